// Shows what a model would be given for a room.

import { post } from "../api.js";
import { h, replace } from "../dom.js";
import { attempt, badge, empty, facts, field, heading, memoryPath, roomLink, roomPath, when } from "../parts.js";
import { capital, many, number, plain } from "../words.js";

export function show(main, { query: given, here, signal }) {
  const room = h("input", { required: true, value: given.get("room") ?? "", placeholder: "user:42", pattern: "(user|room):[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off", spellcheck: "false" });
  const question = h("input", { maxlength: "4000", placeholder: "The last question, if left out" });
  const budget = h("input", { type: "number", min: "100", max: "100000", value: "1500", required: true });
  const out = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Show it");
  const gather = async () => {
    const body = { room_id: room.value.trim(), token_budget: Number(budget.value), ...(question.value && { query: question.value }) };
    const built = await post("/v1/context", body, signal);
    replace(out, shown(built));
  };
  const submit = (event) => { event.preventDefault(); attempt(button, gather); };
  replace(main, heading("Context"),
    h("p", { class: "lead" }, "What to put in front of a model: the summary, the memories that matter and the last messages, those still in Redis included."),
    h("form", { class: "card", onsubmit: submit, "aria-label": "Gather the context" }, h("div", { class: "row bar" }, field("Room", room), field("Token budget", budget, null, "narrow")),
      h("div", { class: "row bar" }, field("What the memories should help with", question), button)), out);
  if (room.value) attempt(button, gather);
  else room.focus();
}

function shown(built) {
  const parts = [
    h("p", { class: "badges" }, h("span", { class: "faint" }, `${number(built.tokens)} of ${many(built.token_budget, "token")}`),
      !built.by_meaning && badge("by words alone", "warm"), !built.includes_buffered && badge("Redis is away", "bad")),
    built.markdown ? h("pre", { class: "markdown", tabindex: "0", "aria-label": "Markdown" }, built.markdown) : empty("There is nothing to show yet.", "The room is empty."),
  ];
  const from = [
    h("h2", {}, "Where it comes from"),
    built.summary ? h("p", {}, `The summary of messages ${built.summary.covers_from}–${built.summary.covers_to}`) : h("p", { class: "faint" }, "No summary yet."),
    h("ul", { class: "sources" }, built.memories.map((one) => h("li", {}, h("a", { href: memoryPath(one.owner_type, one.owner_id, one.slug) }, one.slug),
      h("span", { class: "faint" }, ` value ${one.value.toFixed(2)}, as of `, when(one.asserted_at))))),
    h("p", {}, roomLink(built.room_id, many(built.messages.length, "message")), ": ",
      built.messages.map((one, place) => [place > 0 && ", ", one.is_buffered ? "buffered" : h("a", { href: roomPath(one.room_id, one.id) }, `#${one.seq}`)])),
    h("details", {}, h("summary", {}, "The strategy"), facts(Object.entries(built.strategy).map(([name, value]) => [capital(plain(name)), value]))),
  ];
  return h("div", { class: "two wide-left" }, h("section", { "aria-label": "The context" }, parts), h("section", { class: "card" }, from));
}
