// The log of interventions, newest first; each can be copied as code or undone by a rewind. And training errors.

import { showCount, showMoved, showReason } from "../format.js";
import { goneNotes, rewindTo } from "../model/lanes.js";
import { takes } from "../model/reduce.js";
import { changeIcon, h, icon, keyed, put } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/reduce.js").Note} Note
 *  @typedef {(key: string, command: object) => void} Steer */

const SHOWN = 60;
const COPIED_MS = 1600;

/** @param {Steer} steer */
export function makeLog(steer) {
  const list = h("ol", { class: "tlc-log", tabindex: 0, "aria-label": "Log of interventions, newest first" });
  const none = h("p", { class: "tlc-none" }, "Nothing yet. Your changes appear here, and as marks above the curves.");
  const say = h("span", { class: "tlc-say", "data-say": "undo" });
  const el = h("section", { class: "tlc-logbox", "aria-label": "Log" }, h("header", {}, h("h3", {}, "Log"), say), none, list);
  /** @type {View|null} */
  let view = null;

  /** @param {string} key */
  function makeLine(key) {
    const note = () => /** @type {View} */ (view).notes[Number(key)];
    const copy = h("button", { type: "button", class: "tlc-tiny", "data-control": `copy:${key}`, title: "Copy as code", onclick: () => copyCode(line, copy, note().code) }, icon("copy"));
    const undo = h("button", {
      type: "button", class: "tlc-tiny", "data-control": `undo:${key}`,
      onclick: () => steer("undo", rewindTo(/** @type {View} */ (view), { step: note().step, branch: note().branch, name: null })),
    }, icon("undo"));
    const line = h("li", {}, h("span", { class: "tlc-when" }), h("span", { class: "tlc-what" }), h("span", { class: "tlc-acts" }, undo, copy), h("span", { class: "tlc-why" }));
    return line;
  }

  /** @param {View} next */
  function draw(next) {
    view = next;
    put(none, "hidden", view.notes.length > 0);
    put(list, "hidden", view.notes.length === 0);
    const from = Math.max(0, view.notes.length - SHOWN);
    const gone = goneNotes(view);
    keyed(list, view.notes.slice(from).map((_, i) => String(from + i)).reverse(), makeLine);
    for (const line of /** @type {any} */ (list.children)) {
      const at = Number(line.dataset.key);
      const note = view.notes[at];
      const [when, what, acts, why] = line.children;
      const [undo, copy] = acts.children;
      put(line, "class", note.kind === "warned" ? "tlc-warned" : note.ok ? (gone[at] ? "tlc-ok tlc-undone" : "tlc-ok") : "tlc-refused");
      put(when, "text", `${note.from_step ?? note.step}`);
      put(when, "title", `at step ${note.from_step ?? note.step} of ${note.branch}`);
      put(what, "text", note.text);
      put(why, "text", gone[at] ? "undone by a rewind" : detail(note));
      put(copy, "hidden", !note.code);
      put(copy, "aria-label", `Copy as code: ${note.text}`);
      const undoable = note.ok && !gone[at] && note.steers && takes(view, "rewind");
      put(undo, "hidden", !undoable);
      put(undo, "aria-label", `Rewind to before this: ${note.text}`);
      put(undo, "title", `Rewind to step ${note.step}, before this`);
    }
  }
  return { el, draw };
}

/** Copy to the clipboard; if the browser forbids that, show the code, selected.
 * @param {HTMLElement} line @param {HTMLElement} button @param {string} code */
async function copyCode(line, button, code) {
  try {
    await navigator.clipboard.writeText(code);
    changeIcon(button, "check");
    put(button, "data-copied", true);
    setTimeout(() => {
      changeIcon(button, "copy");
      put(button, "data-copied", null);
    }, COPIED_MS);
  } catch {
    line.querySelector(".tlc-code")?.remove();
    const field = h("input", { class: "tlc-code", type: "text", readonly: true, "aria-label": "Code of this change, to copy", value: code, onblur: () => field.remove() });
    field.value = code;
    line.append(field);
    field.focus();
    field.select();
  }
}

/** @param {Note} note */
export function detail(note) {
  if (!note.ok) return showReason(note.reason ?? "");
  const parts = [];
  if (note.kind === "rewind" && note.from_step != null) parts.push(`back from step ${note.from_step}${note.from_branch && note.from_branch !== note.branch ? ` of ${note.from_branch}` : ""}`);
  else if (note.before != null && note.after != null && note.before !== note.after) {
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
