// Memories from rows: started, watched, steered.

import { path, post, read } from "../api.js";
import { announce, h, keyed, replace } from "../dom.js";
import { follow } from "../live.js";
import { action, attempt, badge, confirmed, empty, facts, field, heading, temporalLink, trouble, when } from "../parts.js";
import { capital, duration, many, number, plain } from "../words.js";

const MOST = 20;
const TONE = { running: "busy", paused: "warm", done: "good", failed: "bad", cancelled: "bad", terminated: "bad" };
const BUSY = 1_500;
const IDLE = 10_000;

export async function show(main, { here, signal }) {
  const list = h("ul", { class: "cards one", "aria-label": "Backfills" });
  const none = h("div", {});
  const shown = new Map();
  const paint = () => {
    const newestFirst = [...shown.values()].sort((one, other) => other.started_at.localeCompare(one.started_at));
    keyed(list, newestFirst, (one) => one.id, (one) => card(one, here, update));
    replace(none, shown.size ? null : empty("No backfill yet.", "One makes memories of what the host's own tables say of people and companies."));
  };
  const update = (one) => {
    const before = shown.get(one.id);
    if (before && before.state !== one.state) announce(`${plain(one.id)}: ${one.state}.`);
    shown.set(one.id, one);
    paint();
  };
  const look = async () => {
    const { backfills } = await read(`/v1/backfills?limit=${MOST}`, signal);
    // An id's newest run stands first.
    const newest = backfills.filter((run, at) => backfills.findIndex((other) => other.id === run.id) === at);
    const changed = newest.filter((run) => going(run) || run.run_id !== shown.get(run.id)?.run_id || going(shown.get(run.id)));
    const found = await Promise.all(changed.map((run) => one(run.id, signal)));
    for (const backfill of found) if (backfill) update(backfill);
    if (!list.isConnected) replace(main, heading("Backfills"), starter(update), none, list);
    paint();
    return [...shown.values()].some(going) ? BUSY : IDLE;
  };
  await follow(signal, look, (error) => replace(main, trouble(error)));
}

/** Gives null for one that Temporal has forgotten since it was listed. */
async function one(id, signal) {
  try {
    return await read(path`/v1/backfills/${id}`, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

const ofAll = (one) => !one.id.includes(":");
const going = (one) => one.state === "running" || one.state === "paused";

function starter(update) {
  const of = h("select", {}, [["users", "All people"], ["companies", "All companies"], ["user", "One person"], ["company", "One company"]].map(([value, text]) => h("option", { value }, text)));
  const id = h("input", { pattern: "[A-Za-z0-9_.:\\-]{1,200}", autocomplete: "off" });
  const rate = h("input", { type: "number", min: "0.1", step: "any", placeholder: "no limit" });
  const dry = h("input", { type: "checkbox" });
  const missing = h("input", { type: "checkbox" });
  const single = () => of.value === "user" || of.value === "company";
  const only = field("Id", id, null, "narrow");
  const paced = field("Owners a second", rate, null, "narrow");
  const gaps = h("label", { class: "check" }, missing, " Only where nothing is known");
  const choose = () => { only.hidden = !single(); id.required = single(); paced.hidden = gaps.hidden = single(); };
  of.addEventListener("change", choose);
  choose();
  const button = h("button", { class: "strong" }, "Start");
  const start = async () => {
    const started = await post("/v1/backfills", { of: of.value, dry_run: dry.checked,
      ...(single() ? { id: id.value } : { only_missing: missing.checked, ...(rate.value && { max_per_second: Number(rate.value) }) }) });
    update(await read(path`/v1/backfills/${started.id}`));
  };
  const submit = (event) => { event.preventDefault(); attempt(button, start); };
  return h("form", { class: "card", onsubmit: submit, "aria-label": "Start a backfill" },
    h("div", { class: "row bar" }, field("Of", of, null, "narrow"), only, paced,
      gaps, h("label", { class: "check" }, dry, " Try it without writing"), button));
}

function card(one, here, update) {
  const steer = (how) => async () => update(await post(path`/v1/backfills/${one.id}/` + how));
  const cancel = async () => {
    if (await confirmed("Cancel this backfill?", "What it has written stands.", "Cancel it")) await steer("cancel")();
  };
  return h("li", { class: "card", tabindex: "-1", data: { entry: "" } },
    h("header", { class: "heading small" }, h("h2", {}, one.id), badge(one.state, TONE[one.state])),
    one.progress && bar(one.id, one.progress),
    facts([
      ["Started", when(one.started_at)], ["Ended", one.ended_at && when(one.ended_at)], ["Why", one.reason],
      ...Object.entries(one.result ?? {}).filter(([, value]) => typeof value === "number").map(([name, value]) => [capital(plain(name)), number(value)]),
      ["Failed", one.failed_ids.length > 0 && one.failed_ids.join(", ")],
    ]),
    h("div", { class: "row" },
      one.state === "running" && ofAll(one) && action("Pause", steer("pause"), { data: { focus: "steer" } }),
      one.state === "paused" && action("Resume", steer("resume"), { data: { focus: "steer" } }),
      going(one) && action("Cancel", cancel, { data: { focus: "cancel" } }),
      temporalLink(here, one.id, one.run_id, "Open in Temporal")));
}

function bar(id, progress) {
  const label = progress.total === null ? `${number(progress.done)} done` : `${number(progress.done)} of ${many(progress.total, "owner")}`;
  return h("div", { class: "progress" },
    h("progress", { max: "1", value: progress.share ?? undefined, "aria-label": `Progress of ${id}` }),
    h("p", { class: "faint" }, label, progress.failed > 0 && `, ${number(progress.failed)} failed`,
      progress.per_second > 0 && ` · ${progress.per_second.toFixed(1)} a second`,
      progress.eta_seconds !== null && ` · ${duration(progress.eta_seconds)} to go`));
}
