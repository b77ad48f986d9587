// Whose memories there are, and the memories of one of them.

import { path, query, read } from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { follow } from "../live.js";
import { action, badge, empty, field, heading, madeBy, memoryPath, trouble, when } from "../parts.js";
import { many, short } from "../words.js";

const EVERY = 5_000;
const AREA = { user: "users", company: "companies" };
const KINDS = { semantic: "what is true", episodic: "what happened", procedural: "how to do" };

export async function show(main, { parts: [type, id], here, signal }) {
  if (type) await ofOwner(main, type, id, signal);
  else await owners(main, here, signal);
}

async function owners(main, here, signal) {
  const list = h("ul", { class: "cards", "aria-label": "People and companies" });
  const none = h("div", {});
  const look = async () => {
    const found = await read("/v1/owners?limit=200", signal);
    const seen = [...mine(here), ...found.owners];
    keyed(list, [...new Map(seen.map((one) => [one.external_id ?? one.id, one])).values()], (one) => one.id, ownerCard);
    replace(none, list.childElementCount ? null : empty("Nobody yet.", "Whoever speaks in a room is listed here."));
    if (!list.isConnected) replace(main, heading("Memories"), opener(), none, list);
    return EVERY;
  };
  await follow(signal, look, (error) => replace(main, trouble(error)));
}

const mine = (here) => [["user", here.user_id], ["company", here.company_id]].filter(([, id]) => id)
  .map(([type, id]) => ({ type, id, external_id: id, rooms: null, last_archived_at: null }));

function opener() {
  const type = h("select", {}, h("option", { value: "user" }, "Person"), h("option", { value: "company" }, "Company"));
  const id = h("input", { required: true, pattern: "[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off", spellcheck: "false" });
  const open = (event) => { event.preventDefault(); location.hash = memoryPath(type.value, id.value.trim()); };
  return h("form", { class: "row bar", onsubmit: open, "aria-label": "Open somebody's memories" }, field("Whose", type, null, "narrow"), field("Id", id, null, "wide"), h("button", {}, "Open"));
}

const ownerCard = (owner) => h("li", {}, h("a", { class: "card room", href: memoryPath(owner.type, owner.external_id ?? owner.id), data: { entry: "", focus: "owner" } },
  h("span", { class: "name" }, owner.external_id ?? short(owner.id)),
  h("span", { class: "faint" }, owner.rooms !== null && [many(owner.rooms, "room"), " · ", when(owner.last_archived_at)]),
  h("span", { class: "badges" }, badge(owner.type === "user" ? "person" : "company"))));

async function ofOwner(main, type, id, signal) {
  const list = h("ul", { class: "memories", "aria-label": "Memories" });
  const none = h("div", {});
  const more = action("More", async () => { pages += 1; await look(); }, { hidden: true });
  let pages = 1;
  const look = async () => {
    const { memories, rest } = await pagesOf(path`/v1/${AREA[type]}/${id}/memories`, pages, signal);
    keyed(list, memories, (one) => one.slug, (one) => card(one, type, id));
    more.hidden = !rest;
    replace(none, memories.length ? null : empty("Nothing is remembered yet.", "What is worth keeping appears here once it was said and digested."));
    if (!list.isConnected) {
      replace(main, heading(`Memories of ${short(id)}`, badge(type === "user" ? "person" : "company"),
        h("a", { href: `#/search${query({ of: type, id })}` }, "Search in them")), none, list, h("div", { class: "row" }, more));
    }
    return EVERY;
  };
  await follow(signal, look, (error) => replace(main, trouble(error)));
}

async function pagesOf(where, count, signal) {
  const memories = [];
  let cursor = null;
  for (let page = 0; page < count; page += 1) {
    const found = await read(where + query({ cursor, limit: 100 }), signal);
    memories.push(...found.memories);
    cursor = found.next_cursor;
    if (!cursor) break;
  }
  return { memories, rest: cursor };
}

const card = (one, type, id) => h("li", {}, h("a", { class: `card memory ${one.kind}`, href: memoryPath(type, id, one.slug), data: { entry: "", focus: "memory" } },
  h("span", { class: "name" }, one.slug), h("span", { class: "prose" }, one.content),
  h("span", { class: "badges" }, h("span", { class: `badge ${one.kind}`, title: KINDS[one.kind] }, one.kind), madeBy(one.made_by),
    h("span", { class: "faint" }, "as of ", when(one.asserted_at)))));
