// Searches messages, summaries and memories by words and by meaning.

import { post } from "../api.js";
import { announce, h, replace } from "../dom.js";
import { attempt, badge, empty, field, heading, memoryPath, roomLink, roomPath, when } from "../parts.js";
import { many, short } from "../words.js";

const KINDS = ["semantic", "episodic", "procedural", "message", "summary"];

export function show(main, { query: given, signal }) {
  const words = h("input", { type: "search", required: true, maxlength: "4000", placeholder: "Where does the user live?" });
  const whose = h("select", {}, [["", "Everybody"], ["user", "A person"], ["company", "A company"]].map(([value, text]) => h("option", { value, selected: given.get("of") === value }, text)));
  const id = h("input", { value: given.get("id") ?? "", pattern: "[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off" });
  const kinds = KINDS.map((kind) => h("label", { class: "check" }, h("input", { type: "checkbox", name: "kind", value: kind, checked: true }), ` ${kind}`));
  const found = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Search");
  const search = async () => {
    const wanted = kinds.map((label) => label.firstChild).filter((box) => box.checked).map((box) => box.value);
    const body = { query: words.value, limit: 20, ...(wanted.length && { kinds: wanted }), ...(whose.value && id.value && { [`${whose.value}_id`]: id.value }) };
    const answer = await post("/v1/memories/search", body, signal);
    // The words are content, and stay out of the address.
    replace(found, !answer.by_meaning && h("p", { class: "notice" }, "The embedding model is away: words alone decided."),
      answer.hits.length ? h("ol", { class: "hits", "aria-label": "Found" }, answer.hits.map(hit)) : empty("Nothing like it was found.", "Other words may help, or fewer limits."));
    announce(`${many(answer.hits.length, "result")}.`);
  };
  const submit = (event) => { event.preventDefault(); attempt(button, search); };
  const theirs = field("Their id", id, null, "narrow");
  const choose = () => { theirs.hidden = whose.value === ""; id.required = whose.value !== ""; };
  whose.addEventListener("change", choose);
  choose();
  replace(main, heading("Search"),
    h("form", { class: "card", onsubmit: submit, role: "search", "aria-label": "Memories and messages" },
      h("div", { class: "row bar" }, field("Look for", words), button),
      h("div", { class: "row bar" }, field("Of", whose, null, "narrow"), theirs,
        h("fieldset", { class: "checks" }, h("legend", {}, "Kinds"), kinds))), found);
  words.focus();
}

function hit(one) {
  const where = one.slug ? h("a", { class: "name", href: memoryPath(one.owner_type, one.owner_id, one.slug) }, one.slug)
    : one.kind === "message" ? h("a", { class: "name", href: roomPath(one.room_id, one.id) }, `${one.room_id} #${one.seq}`)
      : one.room_id && roomLink(one.room_id);
  return h("li", { class: "card", tabindex: "-1", data: { entry: "" } },
    h("p", { class: "badges" }, badge(one.kind, one.kind), where, h("span", { class: "faint" }, one.kind === "message" && `${short(one.role)} · `, when(one.happened_at)),
      one.valid_to && badge("no longer true", "bad"),
      h("span", { class: "score" }, `score ${one.score.toFixed(2)}`)),
    h("p", { class: "prose" }, one.text));
}
