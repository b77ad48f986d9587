// What came of a room: the rolling summary, its parts, and the memories that its newest messages bear out.

import { path, read } from "../api.js";
import { h, replace } from "../dom.js";
import { madeBy, memoryChip } from "../parts.js";

export async function summaries(side, roomId, messages, signal) {
  const found = await read(path`/v1/rooms/${roomId}/summary`, signal).catch((error) => {
    // Nothing of it is archived yet.
    if (error.status === 404) return { rolling: null, parts: [] };
    throw error;
  });
  const memories = new Map(messages.flatMap((one) => one.memories).map((one) => [`${one.owner_id} ${one.slug}`, one]));
  replace(side,
    h("section", { class: "card" }, h("h2", {}, "Summary"),
      found.rolling ? text(found.rolling) : h("p", { class: "faint" }, "It is made when messages are digested."),
      found.parts.length > 0 && h("details", { data: { key: "parts" } },
        h("summary", { data: { focus: "parts" } }, `Its parts (${found.parts.length})`),
        h("ol", { class: "parts" }, found.parts.map((part) => h("li", {}, text(part)))))),
    h("section", { class: "card" }, h("h2", {}, "Memories from here"),
      memories.size ? h("p", { class: "chips" }, [...memories.values()].map(memoryChip))
        : h("p", { class: "faint" }, "Nothing worth keeping was found in these messages, or not yet.")));
}

function text(summary) {
  return h("div", {}, h("p", { class: "prose" }, summary.text),
    h("p", { class: "faint" }, `Messages ${summary.covers_from}–${summary.covers_to} `, madeBy(summary.made_by), " ",
      h("span", { class: "nowrap" }, summary.model)));
}
