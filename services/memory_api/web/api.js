// Asks the memory API. The key stays in this tab alone.

const KEY = "afterturn.key";
const AWAY = "The API does not answer.";
const PLAIN = {
  403: "This key does not allow it.",
  404: "There is no such thing, or not for this key.",
  409: "Something else is under way.",
  413: "That is too large.",
  422: "Something in it is wrong.",
  503: "A server that this needs is away for now.",
};

export class Refused extends Error {
  constructor(status, problem = {}) {
    super(problem.detail || PLAIN[status] || (status ? `The API answered with ${status}.` : AWAY));
    this.status = status;
    this.title = problem.title;
    this.requestId = problem.request_id;
  }
}

export const keyOf = () => sessionStorage.getItem(KEY);
export const signIn = (key) => sessionStorage.setItem(KEY, key);
/** Nothing that this key brought here outlives it. */
export const signOut = () => sessionStorage.clear();
export const on = new EventTarget();

export async function ask(path, { method = "GET", body, signal, tag } = {}) {
  const answer = await send(path, { method, body, signal, tag });
  if (answer.status === 304) return { unchanged: true, tag };
  if (answer.status === 204) return { tag: null, data: null };
  return { tag: answer.headers.get("ETag"), data: await answer.json() };
}

export const read = async (path, signal) => (await ask(path, { signal })).data;
export const post = async (path, body, signal) => (await ask(path, { method: "POST", body, signal })).data;
export const picture = async (path, signal) => URL.createObjectURL(await (await send(path, { signal })).blob());

/** Makes a path: each part that is not of the template is escaped. */
export const path = (parts, ...values) =>
  parts.reduce((made, part, place) => made + encodeURIComponent(values[place - 1]) + part);

export const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

async function send(where, { method = "GET", body, signal, tag }) {
  const headers = { Accept: "application/json, image/svg+xml" };
  if (keyOf()) headers.Authorization = `Bearer ${keyOf()}`;
  if (tag) headers["If-None-Match"] = tag;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    // The tag is ours: the browser's own cache would answer a 304 as a 200.
    answer = await fetch(where.replace(/^\//, ""), {
      method, headers, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0);
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) on.dispatchEvent(new Event("unknown"));
  throw new Refused(answer.status, problem);
}
