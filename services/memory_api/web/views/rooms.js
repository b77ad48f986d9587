// All rooms, the one that was written to last first.

import { query, read } from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { follow } from "../live.js";
import { action, badge, empty, field, heading, roomPath, trouble, when } from "../parts.js";
import { many, number } from "../words.js";

const EVERY = 3_000;

export async function show(main, { here, signal }) {
  if (!here.scopes.includes("read")) {
    replace(main, heading("Rooms"), opener(here), empty("This key may record, but not read.", "Open a room to record a turn in it."));
    return;
  }
  const list = h("ul", { class: "cards", "aria-label": "Rooms" });
  const none = h("div", {});
  const more = action("Older rooms", () => older(), { hidden: true });
  let olderRooms = [];
  let cursor = null;
  let newest = [];

  const paint = () => {
    const known = new Set(newest.map((room) => room.room_id));
    const all = [...newest, ...olderRooms.filter((room) => !known.has(room.room_id))];
    keyed(list, all, (room) => room.room_id, card);
    replace(none, all.length ? null : empty("No room yet.", "Record a turn below, or with ", h("code", {}, "afterturn record"), "."));
    more.hidden = cursor === null;
  };
  const older = async () => {
    const page = await read(`/v1/rooms${query({ cursor })}`, signal);
    olderRooms = [...olderRooms, ...page.rooms];
    cursor = page.next_cursor;
    paint();
  };
  const look = async () => {
    const page = await read("/v1/rooms", signal);
    if (!olderRooms.length) cursor = page.next_cursor;
    newest = page.rooms;
    if (!list.isConnected) replace(main, heading("Rooms"), opener(here), none, list, h("div", { class: "row" }, more));
    paint();
    return EVERY;
  };
  await follow(signal, look, (error) => replace(main, trouble(error)));
}

function opener(here) {
  const input = h("input", { required: true, placeholder: here.user_id ? `user:${here.user_id}` : "user:42 or room:support",
    pattern: "(user|room):[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off", spellcheck: "false" });
  const open = (event) => { event.preventDefault(); location.hash = roomPath(input.value.trim()); };
  return h("form", { class: "row bar", onsubmit: open, "aria-label": "Open a room" }, field("Open or begin a room", input, null, "wide"), h("button", {}, "Open"));
}

function card(room) {
  const waiting = room.last_seq - room.digested - room.quarantined;
  return h("li", {}, h("a", { class: "card room", href: roomPath(room.room_id), data: { entry: "", focus: "room" } },
    h("span", { class: "name" }, room.room_id),
    h("span", { class: "faint" }, many(room.last_seq, "message"), " · ", when(room.last_archived_at)),
    h("span", { class: "badges" },
      waiting > 0 && badge(`${number(waiting)} to digest`, "busy"),
      room.quarantined > 0 && badge(`${number(room.quarantined)} in quarantine`, "bad"),
      waiting <= 0 && !room.quarantined && badge("all digested", "good"))));
}
