// Helpers to create and update elements.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on…` props become listeners, the rest attributes.
 * @param {string} tag @param {Record<string, any>} [props] @param {...(Node|string)} children
 * @returns {any} */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else put(node, name, value);
  }
  node.append(...children);
  return node;
}

/** An SVG element. @param {string} tag @param {Record<string, any>} [props] @param {...Node} children
 * @returns {any} */
export function s(tag, props = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) put(node, name, value);
  node.append(...children);
  return node;
}

/** Set an attribute, or the text, only if it differs, to spare the browser and screen readers. false
 * and null remove an attribute.
 * @param {Element} node @param {string} name @param {any} value */
export function put(node, name, value) {
  if (name === "text") {
    if (node.textContent !== String(value)) node.textContent = String(value);
  } else if (value === false || value == null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Make `parent` hold exactly these keyed children, in order, reusing existing ones (and their focus).
 * @param {Element} parent @param {string[]} keys @param {(key: string) => HTMLElement} make */
export function keyed(parent, keys, make) {
  const had = new Map(Array.from(parent.children, (c) => [/** @type {HTMLElement} */ (c).dataset.key, c]));
  keys.forEach((key, i) => {
    let child = had.get(key);
    if (!child) {
      child = make(key);
      /** @type {HTMLElement} */ (child).dataset.key = key;
    }
    had.delete(key);
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  for (const gone of had.values()) gone.remove();
}

/** The keys that are pressed in a widget are the widget's own: none of them runs, undoes or deletes in the
 * notebook, and a click anywhere in the widget brings them here. Enter with Shift, Ctrl or Alt is how one
 * goes on in a notebook, so it presses nothing and leads to the next cell. @param {HTMLElement} root */
export function ownKeys(root) {
  put(root, "tabindex", -1);
  put(root, "data-lm-suppress-shortcuts", "true");
  for (const type of ["keydown", "keypress", "keyup"]) root.addEventListener(type, (e) => e.stopPropagation());
  root.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || !(e.shiftKey || e.ctrlKey || e.altKey || e.metaKey)) return;
    e.preventDefault();
    e.stopPropagation();
    goOn(root);
  }, true); // before the widget's own parts hear it
}

/** On to the cell after a widget's, where there is one. @param {HTMLElement} root */
export function goOn(root) {
  const next = root.closest(".jp-Cell")?.nextElementSibling;
  /** @type {HTMLElement} */ (next?.classList.contains("jp-Cell") ? next : root).focus();
}

// "~": drawn by its outline
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z",
  stop: "M3 3h10v10H3z",
  check: "M2.2 8.6l1.5-1.6 2.9 2.8 5.8-6.2 1.5 1.5-7.3 7.8z",
  cross: "M3.6 2.2L8 6.6l4.4-4.4 1.4 1.4L9.4 8l4.4 4.4-1.4 1.4L8 9.4l-4.4 4.4-1.4-1.4L6.6 8 2.2 3.6z",
  gauge: "M8 3a6.5 6.5 0 0 0-6.5 6.5c0 1.3.4 2.5 1 3.5h11c.6-1 1-2.2 1-3.5A6.5 6.5 0 0 0 8 3zm-.8 7.2L11 5.8l-2.3 5.3a.9.9 0 1 1-1.5-.9z",
  clock: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm.8 6.2l2.9 1.9-.8 1.2L7.2 8.5V4h1.6z",
  alert: "M8 1.2L15.4 14.4H.6zM7.2 5.8v4.6h1.6V5.8zM7.2 11.4V13h1.6v-1.6z",
  snow: "~M8 1.5v13M2.4 4.75l11.2 6.5M13.6 4.75L2.4 11.25M6.2 2.6L8 4.4l1.8-1.8M6.2 13.4L8 11.6l1.8 1.8",
  drop: "M8 1.6c2.7 3.5 4.3 5.7 4.3 8a4.3 4.3 0 0 1-8.6 0c0-2.3 1.6-4.5 4.3-8z",
  waves: "~M1.5 5.8c2.2-3 4.3-3 6.5 0s4.3 3 6.5 0M1.5 11c2.2-3 4.3-3 6.5 0s4.3 3 6.5 0",
  bookmark: "M4 1.5h8v13l-4-3.4-4 3.4z",
  fork: "~M3 4.5h3.2c3.3 0 3 7 6.3 7h.8M3 4.5h10.3",
  copy: "~M5.5 5.5h7.5v8h-7.5zM3 10.5v-8h7.5",
  undo: "~M6.2 3L2.8 6.2l3.4 3.2M3 6.2h6.2a3.6 3.6 0 0 1 0 7.2H6.5",
  plug: "M5 1.5h1.5V5h3V1.5H11V5h1.5v3A4.5 4.5 0 0 1 8.8 12.4v2.1H7.2v-2.1A4.5 4.5 0 0 1 3.5 8V5H5z",
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return s("svg", { class: "tlc-icon", viewBox: "0 0 16 16", "aria-hidden": "true", "data-icon": name },
    s("path", { d: ICONS[name].replace("~", ""), class: ICONS[name].startsWith("~") ? "tlc-outline" : null }));
}

/** Replace the parent's icon, or its text, by another icon. @param {Element} parent @param {string} name */
export function changeIcon(parent, name) {
  const held = parent.querySelector(".tlc-icon");
  if (held?.getAttribute("data-icon") === name) return;
  const next = icon(/** @type {keyof typeof ICONS} */ (name));
  if (held) held.replaceWith(next);
  else parent.replaceChildren(next);
}
