// What was done, newest first, in words. And what went wrong, message first.

import { showCount, showMoved, showReason } from "./format.js";
import { h, keyed, put } from "./dom.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {import("./reduce.js").Note} Note */

const SHOWN = 60;

export function makeLog() {
  const list = h("ol", { class: "tlc-log", tabindex: 0, "aria-label": "Log of interventions, newest first" });
  const none = h("p", { class: "tlc-none" }, "Nothing yet. What you change appears here, and as a mark on the time axis.");
  const el = h("section", { class: "tlc-logbox", "aria-label": "Log" }, h("header", {}, h("h3", {}, "Log")), none, list);

  /** @param {View} view */
  function draw(view) {
    put(none, "hidden", view.notes.length > 0);
    put(list, "hidden", view.notes.length === 0);
    const from = Math.max(0, view.notes.length - SHOWN);
    const keys = view.notes.slice(from).map((_, i) => String(from + i)).reverse();
    keyed(list, keys, () => h("li", {}, h("span", { class: "tlc-when" }), h("span", { class: "tlc-what" }), h("span", { class: "tlc-why" })));
    for (const line of /** @type {any} */ (list.children)) {
      const note = view.notes[Number(line.dataset.key)];
      put(line, "class", note.ok ? "tlc-ok" : "tlc-refused");
      put(line.children[0], "text", `${note.step}`);
      put(line.children[0], "title", `at step ${note.step}`);
      put(line.children[1], "text", note.text);
      put(line.children[2], "text", detail(note));
    }
  }
  return { el, draw };
}

/** @param {Note} note */
export function detail(note) {
  if (!note.ok) return showReason(note.reason ?? "");
  const parts = [];
  if (note.before != null && note.after != null && note.before !== note.after) {
    parts.push(`${showCount(note.before)} → ${showCount(note.after)} parameters train`);
  }
  const moved = showMoved(note.moved);
  if (moved) parts.push(`moved ${moved}`);
  return parts.join(" · ");
}

export function makeError() {
  const message = h("p", { class: "tlc-message" });
  const trace = h("pre", { tabindex: 0 });
  const el = h("section", { class: "tlc-error", role: "alert", hidden: true }, h("h3", {}, "Training failed"), message,
    h("details", {}, h("summary", {}, "Traceback"), trace));
  /** @param {View} view */
  function draw(view) {
    put(el, "hidden", view.error === null);
    if (!view.error) return;
    put(message, "text", view.error.message);
    put(trace, "text", view.error.traceback);
  }
  return { el, draw };
}
