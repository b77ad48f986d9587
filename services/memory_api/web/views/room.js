// One room: what was said, how far each message is, what it came to, and a turn to record.

import { ask, path, query, read } from "../api.js";
import { announce, append, h, keyed, replace } from "../dom.js";
import { follow } from "../live.js";
import { action, badge, empty, facts, heading, memoryChip, memoryPath, runOf, temporalLink, trouble, when } from "../parts.js";
import { capital, many, plain, short } from "../words.js";
import { composer } from "./composer.js";
import { summaries } from "./summaries.js";

const WAIT = 25;
// An answer that came sooner was not waited for: too many wait already.
const SOON = 1_000;
const PAUSE = 1_500;
const STEPS = ["buffered", "archived", "summarised", "digested"];
const MEANS = {
  buffered: "In Redis, acknowledged", archived: "In Postgres, for good",
  summarised: "Stands in a summary", digested: "Embedded, and what it teaches is remembered",
};

export async function show(main, { parts: [roomId], query: given, here, signal }) {
  if (!here.scopes.includes("read")) {
    replace(main, heading(roomId), empty("This key may record, but not read.", "What was said here is shown to a key with the scope ", h("code", {}, "read"), "."),
      composer(roomId, here, signal));
    return;
  }
  const list = h("ol", { class: "talk", "aria-label": "Messages" });
  const none = h("div", {});
  const side = h("aside", { class: "side", "aria-label": "What came of it" });
  const earlier = action("Earlier messages", () => before(), { hidden: true });
  let tag = null;
  let newest = [];
  let older = [];
  let next = null;
  let begun = false;

  const paint = (room) => {
    const all = [...older, ...newest];
    const steps = new Map([...list.children].map((node) => [node.dataset.key, node.dataset.step]));
    keyed(list, all, (one) => one.id ?? `seq-${one.seq}`, (one) => message(one, roomId, here));
    tell(all, steps);
    replace(none, all.length ? null : empty("Nothing was said here yet.", "Record a turn below and see it on its way."));
    earlier.hidden = next === null;
    if (begun) return;
    begun = true;
    replace(main, title(roomId, room, here),
      h("div", { class: "room-view" },
        h("section", { class: "said", "aria-label": "Conversation" }, h("div", { class: "row" }, earlier), none, list,
          composer(roomId, here, signal)),
        side));
    if (given.get("message")) point(list, given.get("message"));
  };
  const before = async () => {
    const page = await read(path`/v1/rooms/${roomId}/live` + query({ before: next }), signal);
    older = [...page.messages, ...older];
    next = page.earlier;
    paint(page);
  };
  let told = "";
  const look = async () => {
    const asked = performance.now();
    const found = await ask(path`/v1/rooms/${roomId}/live` + query({ wait_seconds: tag && WAIT }), { signal, tag });
    if (found.unchanged) return performance.now() - asked < SOON ? PAUSE : 0;
    tag = found.tag;
    const room = found.data;
    if (!older.length) next = room.earlier;
    const known = new Set(room.messages.map((one) => one.id));
    older = [...older, ...newest.filter((one) => older.length && one.seq && !known.has(one.id))];
    newest = room.messages;
    paint(room);
    const now = newest.map((one) => `${one.seq} ${step(one)} ${one.memories.length}`).join();
    if (now !== told) summaries(side, roomId, newest, signal).catch((error) => signal.aborted || replace(side, trouble(error)));
    told = now;
    return 0;
  };
  await follow(signal, look, (error) => main.prepend(trouble(error)));
}

function title(roomId, room, here) {
  const owner = room.owner_id && h("a", { href: memoryPath(room.owner_type, room.owner_id) },
    room.owner_type === "user" ? "Memories of its owner" : "Memories of its company");
  return heading(roomId, owner, h("a", { href: `#/context${query({ room: roomId })}` }, "Context"),
    temporalLink(here, `room-digest:${roomId}`, null, "Digests in Temporal"));
}

/** How far a message is. Quarantine is off the way, after the archive. */
function step(one) {
  if (one.state === "archived" && one.is_summarised) return "summarised";
  return one.state;
}

function message(one, roomId, here) {
  const at = step(one);
  const who = one.role === "user" ? one.user_id ?? "user" : one.role;
  return h("li", { class: `message ${one.role}`, tabindex: "-1", data: { entry: "", step: at, id: one.id ?? "" } },
    h("header", {}, h("span", { class: "who" }, short(who)), one.role !== "user" ? null : h("span", { class: "unseen" }, "said"),
      h("span", { class: "faint" }, one.seq && `#${one.seq} · `, one.sent_at && when(one.sent_at)),
      !one.remember && badge("not to be remembered", "warm")),
    one.content && h("p", { class: "content" }, one.content),
    one.tool_calls.length > 0 && h("details", { class: "calls" },
      h("summary", { data: { focus: "calls" } }, many(one.tool_calls.length, "tool call")),
      h("pre", { tabindex: "0" }, JSON.stringify(one.tool_calls, null, 2))),
    h("footer", {}, way(at),
      one.memories.length > 0 && h("p", { class: "came" }, h("span", { class: "faint" }, "Remembered as "), unique(one.memories).map(memoryChip)),
      one.id && h("details", { class: "receipt", ontoggle: (event) => receipt(event.target, roomId, one, here) },
        h("summary", { data: { focus: "receipt" } }, "Receipt"))));
}

/** Each step while there are steps to come; then only that it arrived. */
function way(at) {
  if (at === "quarantined") {
    return h("p", { class: "held" }, badge("in quarantine", "bad"), h("a", { href: "#/quarantine" }, "See why"));
  }
  if (at === STEPS.at(-1)) return h("p", { class: "arrived", title: MEANS[at] }, capital(at));
  const reached = STEPS.indexOf(at);
  return h("ol", { class: "steps", "aria-label": `Step: ${at}` }, STEPS.map((name, place) =>
    h("li", { class: place < reached ? "done" : place === reached ? "done now" : "", title: MEANS[name],
      "aria-current": place === reached ? "step" : null }, capital(name))));
}

const unique = (memories) => [...new Map(memories.map((one) => [`${one.owner_id} ${one.slug}`, one])).values()];

async function receipt(details, roomId, one, here) {
  if (!details.open || details.querySelector("dl, .trouble")) return;
  try {
    const found = await read(path`/v1/rooms/${roomId}/messages/${one.id}`);
    append(details, [facts([
      ["State", plain(found.state)], ["Number in the room", found.seq], ["Message id", h("code", {}, found.message_id)],
      ["Run", found.run_id && runOf(here, found.run_id)],
    ])]);
  } catch (error) {
    append(details, [trouble(error)]);
  }
}

/** Says aloud what moved since it was shown last. */
function tell(messages, before) {
  if (!before.size && !messages.some((one) => one.state === "buffered")) return;
  const moved = messages.filter((one) => before.get(String(one.id ?? `seq-${one.seq}`)) !== step(one));
  const said = [...STEPS, "quarantined"].map((at) => [at, moved.filter((one) => step(one) === at).length])
    .filter(([, count]) => count > 0).map(([at, count]) => `${many(count, "message")} ${at}`);
  if (said.length) announce(`${said.join(", ")}.`);
}

function point(list, id) {
  const node = [...list.children].find((one) => one.dataset.id === id);
  if (!node) return;
  node.classList.add("pointed");
  node.scrollIntoView({ block: "center" });
  node.focus({ preventScroll: true });
}
