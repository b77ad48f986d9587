// One memory: what it says, what it said before, and the messages that bear it out.

import { path, read } from "../api.js";
import { h, replace } from "../dom.js";
import { badge, facts, heading, madeBy, memoryPath, roomPath, runOf, when } from "../parts.js";
import { day, moment, short } from "../words.js";

const AREA = { user: "users", company: "companies" };

export async function show(main, { parts: [type, id, slug], here, signal }) {
  const base = path`/v1/${AREA[type]}/${id}/memories/${slug}`;
  const none = (error) => { if (error.status === 404) return null; throw error; };
  const [memory, history, lineage] = await Promise.all([
    read(base, signal).catch(none), read(`${base}/history`, signal), read(`${base}/lineage`, signal),
  ]);
  replace(main,
    h("p", { class: "crumbs" }, h("a", { href: memoryPath(type, id) }, `Memories of ${short(id)}`)),
    heading(slug, memory ? badge(memory.kind, memory.kind) : badge("no longer true", "bad")),
    memory ? h("blockquote", { class: "prose big" }, memory.content) : null,
    memory && facts([
      ["Asserted", when(memory.asserted_at)], ["Made by", madeBy(memory.made_by)], ["Model", memory.model], ["Prompt", memory.prompt_version],
      ["Run", memory.run_id && runOf(here, memory.run_id)],
      ["Id in Mem0", h("code", {}, short(memory.memory_id))],
    ]),
    h("div", { class: "two" }, timeline(history.versions), origins(lineage.origins)));
}

function timeline(versions) {
  return h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, "What it said over time"),
    h("ol", { class: "timeline" }, [...versions].reverse().map((version) => h("li", { class: version.valid_to ? "" : "now" },
      h("p", { class: "faint" }, h("time", { datetime: version.valid_from, title: moment(version.valid_from) }, day(version.valid_from)),
        version.valid_to ? [" – ", h("time", { datetime: version.valid_to, title: moment(version.valid_to) }, day(version.valid_to))] : " – now"),
      h("p", { class: "prose" }, version.content ?? h("em", {}, "It was no longer true.")),
      h("p", { class: "badges" }, badge(version.kind, version.kind), madeBy(version.made_by))))));
}

function origins(found) {
  return h("section", { "aria-labelledby": "lineage" }, h("h2", { id: "lineage" }, "Where it came from"),
    h("ol", { class: "origins" }, [...found].reverse().map((origin) => h("li", { class: "card" },
      h("p", { class: "faint" }, "Asserted ", when(origin.asserted_at), ", recorded ", when(origin.recorded_at), " ", madeBy(origin.made_by)),
      origin.messages.length === 0 && h("p", {}, origin.made_by === "caller" ? "Saved through the API; no message bears it out."
        : origin.made_by === "row" ? "Read from a row of the host's own tables." : "Its messages are not for this key, or were deleted."),
      origin.messages.map((message) => h("figure", { class: "source" },
        h("blockquote", { class: "prose" }, message.content),
        h("figcaption", {}, short(message.user_id ?? message.role), " in ",
          h("a", { href: roomPath(message.room_id, message.id) }, `${message.room_id} #${message.seq}`), ", ", when(message.sent_at))))))));
}
