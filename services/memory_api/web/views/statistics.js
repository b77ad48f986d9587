// What the daily analyses counted, with what they call for, and their plots.

import { picture, read } from "../api.js";
import { h, replace } from "../dom.js";
import { coded, empty, heading, trouble, when } from "../parts.js";
import { bytes, capital, duration, number } from "../words.js";

const PLOTS = {
  growth: "Messages, memories and rooms by day", tokens: "Tokens by model and day", digest: "Seconds from turn to digest by day",
  extraction: "Memories learned by day", hit_rate: "Share of the section store's reads that its cache answered by day",
};

export async function show(main, { signal }) {
  const { analyses } = await read("/v1/analytics?days=60", signal);
  const newest = analyses.at(-1);
  if (!newest) {
    replace(main, heading("Statistics"), empty("Nothing was counted yet.", "It is done once a day, and by ", h("code", {}, "afterturn stats"), "."));
    return;
  }
  const { figures } = newest;
  const plots = h("div", { class: "plots" });
  replace(main, heading("Statistics", h("span", { class: "faint" }, "counted ", when(newest.taken_at))),
    advice(newest.recommendations), tiles(figures),
    h("div", { class: "two" }, tokens(figures.tokens, newest.costs), sizes(figures.sizes)), plots);
  await draw(plots, signal);
}

function advice(found) {
  if (!found.length) return h("p", { class: "notice" }, "All is well: nothing calls for attention.");
  return h("section", { class: "card advice", "aria-labelledby": "advice" }, h("h2", { id: "advice" }, "Worth a look"), h("ul", {}, found.map((one) => h("li", {}, coded(capital(one))))));
}

function tiles(figures) {
  const { totals, digest, quarantine } = figures;
  const shown = [
    ["Rooms", number(totals?.rooms)], ["Messages", number(totals?.messages)], ["People's memories", number(totals?.user_memories)],
    ["Companies' memories", number(totals?.company_memories)], ["Turn to digest, median", duration(digest?.p50_seconds)],
    ["Turn to digest, 95 %", duration(digest?.p95_seconds)], ["Chunks waiting", number(digest?.waiting_chunks)], ["In quarantine", number(quarantine?.open)],
  ];
  return h("dl", { class: "tiles" }, shown.map(([name, value]) => h("div", { class: "card" }, h("dt", {}, name), h("dd", {}, value))));
}

function tokens(counted, costs) {
  const rows = (counted?.by_model ?? []).map((row) => h("tr", {}, h("th", { scope: "row" }, row.model), h("td", {}, number(row.prompt)),
    h("td", {}, number(row.completion)), h("td", {}, costs.by_model?.[row.model] ?? "–")));
  return h("section", { class: "card", "aria-labelledby": "tokens" }, h("h2", { id: "tokens" }, "Tokens of the last 7 days"),
    rows.length ? h("div", { class: "scroll", tabindex: "0", role: "group", "aria-labelledby": "tokens" }, h("table", {}, h("thead", {}, h("tr", {}, ["Model", "Asked", "Answered", "Cost"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows)))
      : h("p", { class: "faint" }, "No model was asked."));
}

function sizes(found) {
  const rows = Object.entries(found ?? {}).sort(([, one], [, other]) => other - one).slice(0, 5);
  return h("section", { class: "card", "aria-labelledby": "sizes" }, h("h2", { id: "sizes" }, "Largest tables"),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Table"), h("th", { scope: "col" }, "Size"))),
      h("tbody", {}, rows.map(([name, size]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, bytes(size)))))));
}

/** One at a time: each is drawn when it is asked for. */
async function draw(plots, signal) {
  for (const [name, said] of Object.entries(PLOTS)) {
    const figure = h("figure", { class: "card plot" });
    plots.append(figure);
    try {
      const source = await picture(`/v1/analytics/plots/${name}.svg?days=60`, signal);
      signal.addEventListener("abort", () => URL.revokeObjectURL(source));
      replace(figure, h("img", { src: source, alt: said, width: "640", height: "360" }));
    } catch (error) {
      if (signal.aborted) return;
      replace(figure, trouble(error));
    }
  }
}
