// Signs in, finds the view that the address names, and keeps one view going at a time.

import { keyOf, on, read, signIn, signOut } from "./api.js";
import { announce, h, replace } from "./dom.js";
import { beat } from "./live.js";
import { empty, field, heading, loading, retell, trouble } from "./parts.js";
import { listen, showHelp } from "./shortcuts.js";
import * as backfills from "./views/backfills.js";
import * as context from "./views/context.js";
import * as memories from "./views/memories.js";
import * as memory from "./views/memory.js";
import * as quarantine from "./views/quarantine.js";
import * as room from "./views/room.js";
import * as rooms from "./views/rooms.js";
import * as search from "./views/search.js";
import * as statistics from "./views/statistics.js";

// In the order of the navigation; the letter opens the area after `g`. One of the scopes is needed.
const AREAS = [
  { name: "rooms", title: "Rooms", letter: "r", scopes: ["read", "ingest"] },
  { name: "memories", title: "Memories", letter: "m", scopes: ["read"] },
  { name: "search", title: "Search", letter: "s", scopes: ["read"] },
  { name: "context", title: "Context", letter: "c", scopes: ["read"] },
  { name: "backfills", title: "Backfills", letter: "b", scopes: ["admin"] },
  { name: "quarantine", title: "Quarantine", letter: "q", scopes: ["admin"] },
  { name: "statistics", title: "Statistics", letter: "t", scopes: ["admin"], ofEverybody: true },
];
const RETELL = 15_000;
const VIEWS = [
  [/^rooms$/, rooms], [/^rooms\/([^/]+)$/, room],
  [/^memories$/, memories], [/^memories\/(user|company)\/([^/]+)$/, memories],
  [/^memories\/(user|company)\/([^/]+)\/([^/]+)$/, memory],
  [/^search$/, search], [/^context$/, context], [/^backfills$/, backfills],
  [/^quarantine$/, quarantine], [/^statistics$/, statistics],
];
const main = document.getElementById("main");
let here = null;
let showing = new AbortController();
let path = null;

async function show() {
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  beat("still");
  try {
    here ??= await read("/v1/caller", signal);
  } catch (error) {
    if (signal.aborted || error.status === 401) return;
    replace(main, trouble(error, show));
    return;
  }
  frame();
  const [wanted, given] = (location.hash.replace(/^#\/?/, "") || "rooms").split("?");
  const moved = path !== null && path !== wanted;
  path = wanted;
  const area = AREAS.find(({ name }) => name === wanted.split("/")[0]);
  mark(area?.name);
  const found = find(wanted);
  if (!found) {
    replace(main, heading("There is no such page"), h("p", {}, h("a", { href: "#/rooms" }, "Go to the rooms")));
    return;
  }
  if (!opens(area)) {
    replace(main, heading(area.title), empty("This key does not open this page.", area.ofEverybody && here.scopes.includes("admin")
      ? "It counts everybody's rooms, and the key is bound to one owner." : ["It takes the scope ", h("code", {}, area.scopes[0]), "."]));
    return;
  }
  const [parts, view] = found;
  replace(main, loading("it"));
  try {
    await view.show(main, { parts, query: new URLSearchParams(given), here, signal });
  } catch (error) {
    if (signal.aborted || error.name === "AbortError" || error.status === 401) return;
    replace(main, heading("That did not work"), trouble(error, show));
  }
  if (moved && !signal.aborted) arrive();
}

/** Gives the view of an address and the names in it, or nothing. */
function find(wanted) {
  for (const [pattern, view] of VIEWS) {
    const match = pattern.exec(wanted);
    if (!match) continue;
    try {
      return [match.slice(1).map(decodeURIComponent), view];
    } catch {
      return null;
    }
  }
  return null;
}

const opens = ({ scopes, ofEverybody }) =>
  scopes.some((scope) => here.scopes.includes(scope)) && !(ofEverybody && (here.user_id || here.company_id));
const opened = () => (here ? AREAS.filter(opens) : []);

/** After a step to another view, whoever reads by ear or by keyboard is at its title. */
function arrive() {
  const at = document.activeElement;
  if (at !== main && main.contains(at)) return;
  scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function frame() {
  const areas = document.getElementById("areas");
  if (!areas.childElementCount) {
    replace(areas, h("ul", {}, opened().map(({ name, title }) => h("li", {}, h("a", { href: `#/${name}`, data: { area: name } }, title)))));
  }
  document.getElementById("sign-out").hidden = !keyOf();
}

function mark(name) {
  for (const link of document.querySelectorAll("#areas a")) {
    if (link.dataset.area === name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    } else link.removeAttribute("aria-current");
  }
}

function askForKey() {
  const refused = keyOf() !== null;
  showing.abort();
  leave();
  const key = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false", id: "key" });
  const enter = (event) => {
    event.preventDefault();
    signIn(key.value.trim());
    show();
  };
  replace(main, h("form", { class: "card sign-in", onsubmit: enter, "aria-label": "Sign in" }, heading("Sign in"),
    refused && h("p", { class: "wrong", role: "alert" }, "This key is not known here. It may be revoked, or cut short."),
    field("API key", key, "It is kept in this tab until you close it. `afterturn keys create` makes one."),
    h("button", { class: "strong" }, "Sign in")));
  key.focus();
}

function leave() {
  signOut();
  here = null;
  path = null;
  replace(document.getElementById("areas"));
  document.getElementById("sign-out").hidden = true;
  beat("still");
}

on.addEventListener("unknown", askForKey);
addEventListener("hashchange", show);
document.getElementById("sign-out").addEventListener("click", () => { leave(); announce("Signed out."); show(); });
document.getElementById("help").addEventListener("click", () => showHelp(opened()));
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
listen(opened);
setInterval(retell, RETELL);
show();
