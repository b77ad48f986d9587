// Pieces that several views show.

import { h } from "./dom.js";
import { ago, moment, short } from "./words.js";

export const when = (time) => (time ? h("time", { datetime: time, title: moment(time), data: { ago: "" } }, ago(time)) : "–");

/** Says anew how long ago everything was that stands unchanged. */
export function retell() {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = ago(time.dateTime);
}

/** Text of ours, with what stands in backticks as code. */
export const coded = (text) => text.split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));

export const badge = (text, tone = "") => h("span", { class: `badge ${tone}` }, text);

export const loading = (what) => h("p", { class: "notice loading", role: "status" }, `Loading ${what}…`);

export const empty = (title, ...said) => h("div", { class: "notice" }, h("p", { class: "lead" }, title), h("p", {}, said));

export function trouble(error, again) {
  return h("div", { class: "notice trouble", role: "alert" },
    h("p", { class: "lead" }, error.message),
    error.requestId && h("p", { class: "faint" }, "Request ", h("code", {}, error.requestId)),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

/** A button that does its work once at a time, and says in plain words what went wrong. */
export function action(text, work, attributes = {}) {
  const button = h("button", { type: "button", ...attributes, onclick: () => attempt(button, work) }, text);
  return button;
}

export async function attempt(control, work) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError" && error.status !== 401) toast(error.message);
  } finally {
    control.removeAttribute("aria-busy");
  }
}

export function toast(text) {
  document.querySelector(".toast")?.remove();
  const shown = h("div", { class: "toast", role: "alert" }, h("span", {}, text),
    h("button", { type: "button", class: "quiet", onclick: () => shown.remove() }, "Close"));
  document.body.append(shown);
}

export function heading(title, ...aside) {
  document.title = `${title} · Afterturn`;
  const [badges, links] = [true, false].map((wanted) => aside.flat().filter((one) => one && one.matches(".badge") === wanted));
  return h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), badges, links.length > 0 && h("div", { class: "aside" }, links));
}

export function field(label, input, hint, size = "") {
  input.id ||= `field-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  const described = hint && h("span", { class: "hint", id: `${input.id}-hint` }, hint);
  if (described) input.setAttribute("aria-describedby", described.id);
  return h("div", { class: `field ${size}` }, h("label", { for: input.id }, label), input, described);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => ![null, undefined, "", false].includes(value))
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export const roomLink = (roomId, text = roomId) => h("a", { href: roomPath(roomId) }, text);
export const roomPath = (roomId, message) =>
  `#/rooms/${encodeURIComponent(roomId)}${message ? `?message=${encodeURIComponent(message)}` : ""}`;
export const memoryPath = (type, id, slug) =>
  `#/memories/${type}/${encodeURIComponent(id)}${slug ? `/${encodeURIComponent(slug)}` : ""}`;
export const memoryChip = (memory) =>
  h("a", { class: `chip ${memory.is_current ? "" : "past"}`, href: memoryPath(memory.owner_type, memory.owner_id, memory.slug),
    title: memory.is_current ? "A memory that stands" : "A newer fact followed", data: { focus: `memory-${memory.slug}` } }, memory.slug);

export const madeBy = (who) => ({
  model: badge("worded by the model"), verbatim: badge("verbatim", "warm"), extractive: badge("in the speakers' words", "warm"),
  row: badge("from a row"), caller: badge("saved by a caller"),
})[who] ?? badge(who);

/** A link to a workflow in Temporal's own pages; none where their address is not configured. */
export function temporalLink(here, workflowId, runId, text) {
  if (!here.temporal_ui_url) return null;
  const base = `${here.temporal_ui_url.replace(/\/$/, "")}/namespaces/${encodeURIComponent(here.temporal_namespace)}/workflows`;
  const where = runId ? `${base}/${encodeURIComponent(workflowId)}/${encodeURIComponent(runId)}/history`
    : `${base}?query=${encodeURIComponent(`WorkflowId="${workflowId}"`)}`;
  return h("a", { href: where, target: "_blank", rel: "noopener noreferrer" }, text, h("span", { class: "unseen" }, " (opens a new tab)"));
}

/** Names a run, which is written `WORKFLOW_ID/RUN_ID`, and links to it where that is possible. */
export function runOf(here, run) {
  const [, workflowId, runId] = /^(.+)\/([^/]+)$/.exec(run) ?? [];
  if (!runId) return h("code", {}, short(run));
  const named = `${workflowId.split(":")[0]} ${short(runId)}`;
  return temporalLink(here, workflowId, runId, named) ?? named;
}

/** Asks before something that cannot be taken back. */
export function confirmed(title, said, does) {
  return new Promise((resolve) => {
    const close = (answer) => { dialog.close(); dialog.remove(); resolve(answer); };
    const dialog = h("dialog", { "aria-labelledby": "confirm-title", oncancel: () => close(false) },
      h("h2", { id: "confirm-title" }, title), h("p", {}, said),
      h("div", { class: "row end" },
        h("button", { type: "button", onclick: () => close(false) }, "Leave it"),
        h("button", { type: "button", class: "strong", onclick: () => close(true) }, does)));
    document.body.append(dialog);
    dialog.showModal();
  });
}
