// Keys that act wherever nothing is being typed, unless they are switched off: some people's tools press keys for them.

import { h } from "./dom.js";

const IN_VIEW = [["/", "Go to the first field"], ["j", "Next entry"], ["k", "Entry before"], ["?", "These shortcuts"], ["Esc", "Close"]];
const PATIENCE = 1_500;
const OFF = "afterturn.shortcuts-off";
const areOff = () => localStorage.getItem(OFF) !== null;
let went = 0;

/** `areas` gives those that can be opened now. */
export function listen(areas) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (!areOff() && act(event.key, areas())) event.preventDefault();
  });
}

function act(key, areas) {
  const area = went > Date.now() - PATIENCE && areas.find(({ letter }) => letter === key);
  went = key === "g" ? Date.now() : 0;
  if (area) location.hash = `#/${area.name}`;
  else if (key === "?") showHelp(areas);
  else if (key === "/") document.querySelector("main input, main textarea, main select")?.focus();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else return false;
  return true;
}

/** Moves among the entries of a list; an entry is what carries `data-entry`. */
function step(by) {
  const entries = [...document.querySelectorAll("main [data-entry]")];
  const at = entries.findIndex((entry) => entry === document.activeElement || entry.contains(document.activeElement));
  const next = entries[at === -1 ? (by > 0 ? 0 : entries.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

export function showHelp(areas) {
  const before = document.activeElement;
  const close = () => { dialog.close(); dialog.remove(); before?.focus?.(); };
  const line = (keys, said) => h("div", {}, h("dt", {}, keys.map((key) => h("kbd", {}, key))), h("dd", {}, said));
  const dialog = h("dialog", { "aria-labelledby": "help-title", oncancel: (event) => { event.preventDefault(); close(); } },
    h("h2", { id: "help-title" }, "Keyboard shortcuts"),
    h("dl", { class: "keys" },
      areas.map(({ title, letter }) => line(["g", letter], title)), IN_VIEW.map(([key, said]) => line([key], said))),
    h("label", { class: "check" }, h("input", { type: "checkbox", checked: !areOff(), onchange: (event) => switchTo(event.target.checked) }), " Use these keys"),
    h("div", { class: "row end" }, h("button", { type: "button", class: "strong", onclick: close }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

function switchTo(on) {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "");
}

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;
