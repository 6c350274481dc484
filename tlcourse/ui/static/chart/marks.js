// Interventions and bookmarks above the curves: a row of flags with tooltips.

import { showCount, showMoved } from "../format.js";
import { roleOf } from "../model/lines.js";
import { changeIcon, h, keyed, put } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/reduce.js").Note} Note
 *  @typedef {import("../model/reduce.js").Bookmark} Bookmark
 *  @typedef {{step: number, notes: Note[], bookmarks: Bookmark[], pale: boolean}} Mark */

/** @type {Record<string, string>} */
const FLAGS = { freeze: "snow", unfreeze: "drop", augment: "waves", stop: "stop", rewind: "undo", branch: "fork", bookmark: "bookmark" };
/** @type {Record<string, string>} */
const LETTERS = { set_lr: "lr", add_lora: "LoRA", set_scale: "scale", swap_head: "head", set_weight: "weight" };

/** The step of a note; for a rewind, the step that it left. @param {Note} note */
function placeOf(note) {
  return note.kind === "rewind" ? note.from_step ?? note.step : note.step;
}

/** Interventions that changed something, and bookmarks; those within `gap` steps are merged.
 * pale: everything in it was given up, or is not on the current timeline.
 * @param {View} view @param {import("../model/lines.js").Lines} lines @param {number} gap @returns {Mark[]} */
export function marksOf(view, lines, gap) {
  /** @type {Mark[]} */
  const single = view.notes.filter((note) => note.marked).map((note) => ({
    step: placeOf(note), notes: [note], bookmarks: [], pale: note.kind !== "rewind" && roleOf(view, lines, note) !== "now",
  }));
  for (const bookmark of view.bookmarks) {
    if (bookmark.name !== "start") single.push({ step: bookmark.step, notes: [], bookmarks: [bookmark], pale: roleOf(view, lines, bookmark) !== "now" });
  }
  /** @type {Mark[]} */
  const marks = [];
  for (const mark of single.sort((a, b) => a.step - b.step)) {
    const last = marks[marks.length - 1];
    if (last && mark.step - last.step <= gap) {
      last.notes.push(...mark.notes);
      last.bookmarks.push(...mark.bookmarks);
      last.pale = last.pale && mark.pale;
    } else marks.push(mark);
  }
  return marks;
}

/** Steps of interventions on the current timeline. @param {View} view @param {import("../model/lines.js").Lines} lines */
export function steeredAt(view, lines) {
  return view.notes.filter((note) => note.marked && note.kind !== "rewind" && roleOf(view, lines, note) === "now").map((note) => note.step);
}

/** The lines of a mark's tooltip. @param {Note} note */
export function tell(note) {
  const lines = [`step ${placeOf(note)}: ${note.text}`];
  if (note.before != null && note.after != null && note.before !== note.after) {
    lines.push(`${showCount(note.before)} → ${showCount(note.after)} parameters train`);
  }
  const moved = showMoved(note.moved);
  if (moved) lines.push(`then moved: ${moved}`);
  return lines;
}

/** @param {Mark} mark @returns {string[][]} */
function telling({ notes, bookmarks, pale }) {
  const told = [...notes.map(tell), ...bookmarks.map((b) => [`bookmark ${b.name}`, `step ${b.step} of ${b.branch}`])];
  return pale ? [...told, ["", "given up, or on another timeline"]] : told;
}

/** @param {Mark} mark */
function keyOf({ step, notes, bookmarks }) {
  return `${step}:${notes[0]?.tick}:${notes[0]?.kind ?? bookmarks[0].name}`;
}

/** The icon or text of a flag. @param {Element} flag @param {Mark} mark */
function sign(flag, { notes, bookmarks }) {
  const kind = notes.length ? notes[0].kind : "bookmark";
  const many = notes.length + bookmarks.length;
  put(flag, "data-flag", many > 1 ? "many" : kind);
  if (many > 1) put(flag, "text", many);
  else if (FLAGS[kind]) changeIcon(flag, FLAGS[kind]);
  else put(flag, "text", LETTERS[kind] ?? "•");
}

/** The row of flags and its `draw`. @param {(at: number, blocks: string[][]) => void} show @param {() => void} hide */
export function makeMarks(show, hide) {
  const el = h("div", { class: "tlc-flags", role: "toolbar", "aria-label": "Interventions and bookmarks" });
  /** @type {Map<string, {mark: Mark, at: number}>} */
  let placed = new Map();
  const say = (/** @type {string} */ key) => {
    const there = placed.get(key);
    if (there) show(there.at, telling(there.mark));
  };

  /** @param {Mark[]} marks @param {(step: number) => number} sx @param {[number, number]} shown px */
  function draw(marks, sx, [left, right]) {
    const inside = marks.filter((mark) => sx(mark.step) >= left - 1 && sx(mark.step) <= right + 1);
    placed = new Map(inside.map((mark) => [keyOf(mark), { mark, at: sx(mark.step) }]));
    const held = el.contains(document.activeElement) ? document.activeElement : null;
    keyed(el, [...placed.keys()], (key) => h("button", {
      type: "button", class: "tlc-flag", tabindex: -1,
      onmouseenter: () => say(key), onmouseleave: hide, onfocus: () => say(key), onblur: hide, onclick: () => say(key),
    }));
    for (const flag of Array.from(el.children)) {
      const { mark, at } = /** @type {{mark: Mark, at: number}} */ (placed.get(/** @type {HTMLElement} */ (flag).dataset.key ?? ""));
      put(flag, "style", `left:${at.toFixed(1)}px`);
      put(flag, "data-pale", mark.pale);
      sign(flag, mark);
      put(flag, "aria-label", telling(mark).flat().filter(Boolean).join("; "));
    }
    const all = Array.from(el.children);
    const stop = held ?? all.find((flag) => flag.getAttribute("tabindex") === "0") ?? all.at(-1);
    for (const flag of all) put(flag, "tabindex", flag === stop ? 0 : -1);
  }

  el.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => {
    const all = /** @type {HTMLElement[]} */ (Array.from(el.children))
      .sort((a, b) => parseFloat(a.style.left) - parseFloat(b.style.left));
    const at = all.indexOf(/** @type {HTMLElement} */ (e.target));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[e.key];
    if (to == null || !all[to]) return;
    e.preventDefault();
    for (const flag of all) put(flag, "tabindex", flag === all[to] ? 0 : -1);
    all[to].focus();
  });
  return { el, draw };
}
