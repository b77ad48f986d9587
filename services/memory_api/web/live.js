// Keeps what is shown true: asks again and again, not while nobody looks, and less often while the API is away.

import { Refused } from "./api.js";

const LONGEST = 30_000;
const pulse = () => document.getElementById("pulse");

/**
 * Looks once, which may fail as any request, and from then on until the signal ends it. `look` answers how many
 * milliseconds to wait, or null where that was all. `stopped` is told of what asking again cannot mend.
 */
export async function follow(signal, look, stopped) {
  const wait = await look();
  if (signal.aborted) return;
  beat("live");
  if (wait !== null) goOn(signal, look, stopped, wait);
}

async function goOn(signal, look, stopped, wait) {
  let failed = 0;
  while (wait !== null && !signal.aborted) {
    await pause(wait, signal);
    await seen(signal);
    if (signal.aborted) return;
    try {
      wait = await look();
      failed = 0;
      if (!signal.aborted) beat("live");
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return;
      if (!(error instanceof Refused) || (error.status !== 0 && error.status < 500)) {
        beat("still");
        stopped(error);
        return;
      }
      beat("away");
      failed += 1;
      wait = Math.min(LONGEST, 1_000 * 2 ** failed);
    }
  }
}

export function beat(state) {
  const said = { live: "Live", away: "Reconnecting", paused: "Paused", still: "" }[state];
  const shown = pulse();
  if (shown.dataset.state === state) return;
  shown.dataset.state = state;
  shown.textContent = said;
}

export const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

function seen(signal) {
  if (!document.hidden) return Promise.resolve();
  beat("paused");
  return new Promise((resolve) => {
    const again = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", again);
      resolve();
    };
    document.addEventListener("visibilitychange", again);
    signal.addEventListener("abort", again, { once: true });
  });
}
