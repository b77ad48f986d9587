// Records a turn, as a chat service would.

import { path, post } from "../api.js";
import { h, replace } from "../dom.js";
import { attempt, field } from "../parts.js";
import { many } from "../words.js";

const OWN = /^user:(.+)$/;

export function composer(roomId, here, signal) {
  if (!here.scopes.includes("ingest")) return h("p", { class: "faint" }, "This key may read, but not record.");
  const own = OWN.exec(roomId)?.[1];
  const said = h("textarea", { rows: "2", required: true, maxlength: "100000", id: "turn-said" });
  const reply = h("textarea", { rows: "2", maxlength: "100000", id: "turn-reply" });
  const speaker = h("input", { value: here.user_id ?? own ?? "", pattern: "[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off", id: "turn-speaker" });
  const remember = h("input", { type: "checkbox", checked: true, id: "turn-remember" });
  const button = h("button", { class: "strong" }, "Record the turn");
  const told = h("p", { class: "faint", role: "status" });
  const record = async () => {
    const turn = crypto.randomUUID();
    const shared = { sent_at: new Date().toISOString(), remember: remember.checked };
    const person = speaker.value.trim();
    const messages = [{ ...shared, id: `${turn}:user`, role: "user", content: said.value, ...(person && { user_id: person }) }];
    if (reply.value.trim()) messages.push({ ...shared, id: `${turn}:assistant`, role: "assistant", content: reply.value });
    await post(path`/v1/rooms/${roomId}/messages`, { messages }, signal);
    replace(told, `${many(messages.length, "message")} recorded.`);
    said.value = reply.value = "";
    said.focus();
  };
  const submit = (event) => {
    event.preventDefault();
    attempt(button, record);
  };
  const onEnter = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  };
  return h("form", { class: "card composer", onsubmit: submit, onkeydown: onEnter, "aria-labelledby": "compose-title" },
    h("h2", { id: "compose-title" }, "Record a turn"),
    field("What the user said", said), field("The reply", reply, "May be left out."),
    h("div", { class: "row bar" }, field("Speaker", speaker),
      h("label", { class: "check" }, remember, " Remember it"), button), told);
}
