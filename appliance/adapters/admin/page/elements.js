// Makes and updates elements. Text only ever goes in as text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element of this id. */
export const at = (id) => document.getElementById(id);

/** A new element. `attributes`: `class`, `onclick` and so on; false and null are left out. Children: nodes or text. */
export function make(name, attributes = {}, ...children) {
  return dressed(document.createElement(name), attributes, children);
}

/** The same for a part of a picture. */
export function draw(name, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, name), attributes, children);
}

function dressed(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set a text, only if it is another one: what does not change is not read aloud again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show or hide. */
export function show(element, isShown) {
  element.hidden = !isShown;
}

/** A word with a sign before it, so that nothing depends on colour alone. `tone`: ok, warn, bad, idle. */
export function pill(tone, word) {
  return tell(make("span"), tone, word);
}

const SIGNS = { ok: "✓", warn: "!", bad: "✕", idle: "○", busy: "…" };

/** Make an existing element such a pill. */
export function tell(element, tone, word) {
  const text = `${SIGNS[tone]} ${word}`;
  say(element, text);
  const classes = `pill ${tone}`;
  if (element.className !== classes) element.className = classes;
  return element;
}

/**
 * Make the children of `parent` those of `items`, in order. `create(item)` makes one and `update(element, item)` brings
 * it up to date; an item keeps its element by `key(item)`, and with it the focus.
 */
export function reconcile(parent, items, key, create, update) {
  const names = items.map((item) => String(key(item)));
  const wanted = new Set(names);
  // What goes, goes first: an element that stays is then where it belongs, and one that is moved would lose the focus.
  for (const child of [...parent.children]) if (!wanted.has(child.dataset.key)) child.remove();
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const [place, item] of items.entries()) {
    const name = names[place];
    let child = known.get(name);
    if (child === undefined) {
      child = create(item);
      child.dataset.key = name;
    }
    update(child, item);
    if (child === next) {
      next = next.nextElementSibling;
    } else {
      parent.insertBefore(child, next);
    }
  }
}
