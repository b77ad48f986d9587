// Builds elements. Whatever was said becomes text and never markup: nothing here takes HTML.

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Shows `items` in `list`, touching only those that changed, so that focus and scrolling stay where they are. */
export function keyed(list, items, keyOf, render) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const wanted = items.map((item) => {
    const key = String(keyOf(item));
    const shown = JSON.stringify(item);
    const before = old.get(key);
    if (before && before.shown === shown) return before;
    const node = render(item);
    node.dataset.key = key;
    node.shown = shown;
    if (before) carryOver(before, node);
    return node;
  });
  const focused = focusIn(list);
  const kept = new Set(wanted);
  for (const node of [...list.children]) if (!kept.has(node)) node.remove();
  wanted.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
  refocus(list, focused);
}

/** Replaces what is in `element`; the control that had the focus has it again. */
export function replace(element, ...children) {
  const focused = focusIn(element);
  element.replaceChildren();
  append(element, children);
  refocus(element, focused);
  return element;
}

function carryOver(before, node) {
  const open = before.querySelector("details[open]");
  if (open) node.querySelector("details")?.setAttribute("open", "");
}

function focusIn(element) {
  const active = document.activeElement;
  if (!active || !element.contains(active)) return null;
  return { name: active.dataset.focus, key: active.closest("[data-key]")?.dataset.key };
}

function refocus(element, focused) {
  if (!focused || element.contains(document.activeElement)) return;
  const within = focused.key ? element.querySelector(`[data-key="${CSS.escape(focused.key)}"]`) : element;
  const control = focused.name && within?.querySelector(`[data-focus="${CSS.escape(focused.name)}"]`);
  (control || within)?.focus({ preventScroll: true });
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
