// How numbers, times and names are said.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const whole = new Intl.NumberFormat("en");
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60]];

export const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));
export const day = (time) => dayOnly.format(new Date(time));
export const moment = (time) => exact.format(new Date(time));

export function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 360) / 10} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
  return `${Math.round((value / 1024 ** power) * 10) / 10} ${units[power]}`;
}

export const many = (count, one, several = `${one}s`) => `${number(count)} ${count === 1 ? one : several}`;

/** A UUID says nothing: its beginning is enough to tell two apart. */
export const short = (id) => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? `${id.slice(0, 8)}…` : id);
export const plain = (word) => word.replaceAll("_", " ");
export const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
