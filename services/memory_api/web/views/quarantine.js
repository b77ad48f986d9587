// What could not be processed, with why, and another try.

import { path, post, query, read } from "../api.js";
import { announce, h, keyed, replace } from "../dom.js";
import { follow } from "../live.js";
import { action, badge, empty, heading, roomLink, toast, trouble, when } from "../parts.js";
import { capital, many, plain, short } from "../words.js";

const EVERY = 5_000;
const BECAME = {
  archived: "It is archived now.", repeated: "It was known already.", put_back: "It waits to be digested again.",
  redriven_before: "It was tried again before.",
};

export async function show(main, { signal }) {
  const list = h("ul", { class: "cards one", "aria-label": "In quarantine" });
  const none = h("div", {});
  const all = action("Try all of them again", () => redriveAll(), { hidden: true });
  let items = [];
  const look = async () => {
    items = (await read(`/v1/quarantine${query({ limit: 200 })}`, signal)).items;
    keyed(list, items, (one) => one.id, (one) => card(one, redriveOne));
    all.hidden = items.length < 2;
    replace(none, items.length ? null : empty("Nothing is in quarantine.", "What no retry can mend would be kept here, whole, with its reason."));
    if (!list.isConnected) replace(main, heading("Quarantine", all), none, list);
    return EVERY;
  };
  const redriveOne = async (one, roomId) => {
    const done = await post(path`/v1/quarantine/${one.id}/redrive`, roomId ? { room_id: roomId } : undefined, signal);
    if (done.outcome === "still_bad") toast(`It is still bad: ${done.detail}`);
    else announce(BECAME[done.outcome]);
    await look();
  };
  const redriveAll = async () => {
    let mended = 0;
    let left = 0;
    for (const one of items) {
      const done = await post(path`/v1/quarantine/${one.id}/redrive`, undefined, signal).catch((error) => {
        if (error.status === 409) return { outcome: "still_bad" };
        throw error;
      });
      if (done.outcome === "still_bad") left += 1;
      else mended += 1;
    }
    await look();
    toast(`${many(mended, "entry", "entries")} went back on the way, ${left} stayed.`);
  };
  await follow(signal, look, (error) => replace(main, trouble(error)));
}

function card(one, redrive) {
  const room = h("input", { "aria-label": "Room that it belongs to", placeholder: "user:42 or room:support", pattern: "(user|room):[A-Za-z0-9_.:\\-]{1,200}", data: { focus: "room" } });
  return h("li", { class: "card", tabindex: "-1", data: { entry: "" } },
    h("header", { class: "heading small" }, h("h2", {}, capital(plain(one.reason)).replace("json", "JSON")), badge(one.kind, "bad")),
    h("p", {}, one.detail),
    h("p", { class: "faint" }, one.room_id ? roomLink(one.room_id) : "No room", " · ", when(one.created_at), " · tried ", many(one.tries, "time"), " · ", h("code", {}, short(one.id))),
    h("div", { class: "row" }, one.room_id === null && room,
      action("Try again", () => redrive(one, one.room_id === null ? room.value.trim() : ""), { data: { focus: "redrive" } })));
}
