// Timelines as lanes: in which row each lies, and the moments that one can go to. Pure.

import { linesOf, roleOf } from "./lines.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {{name: string, parent: string|null, start: number, tip: number, far: number,
 *   control: boolean, present: boolean, row: number}} Lane  far: the last step that was given up, or tip
 *  @typedef {{step: number, branch: string, name: string|null}} Moment  name: of a bookmark */

/** One lane for each timeline, in as few rows as they fit into without touching.
 * @param {View} view @param {(name: string) => number} room steps that a name takes before its lane
 * @returns {Lane[]} */
export function lanesOf(view, room) {
  /** @type {number[]} */
  const ends = []; // of each row: how far it is taken
  const now = view.lines[0]?.name;
  return view.timelines.map(({ name, parent, start, control, ...told }, i) => {
    const present = name === now;
    const last = view.stretches[told.tip];
    const tip = present ? view.now.step : last.n ? last.x[last.n - 1] : told.begins;
    const far = Math.max(told.far, tip);
    let row = i && ends.findIndex((end, at) => at > 0 && end < start - room(name));
    if (row < 0) row = Math.max(1, ends.length);
    ends[row] = present ? Infinity : far;
    return { name, parent, start, tip, far, control, present, row };
  });
}

/** Which notes were taken back: the line on which they lie was given up. @param {View} view @returns {boolean[]} */
export function goneNotes(view) {
  const lines = linesOf(view);
  return view.notes.map((note) => note.steers && note.ok && roleOf(view, lines, note) === "gone");
}

/** The bookmark of the present timeline that is nearest to a step, if it is within reach.
 * @param {View} view @param {number} step @param {number} reach */
export function nearBookmark(view, step, reach) {
  const lines = linesOf(view);
  const near = view.bookmarks.filter((b) => b.branch === view.now.branch && roleOf(view, lines, b) === "now" && Math.abs(b.step - step) <= reach);
  return near.sort((a, b) => Math.abs(a.step - step) - Math.abs(b.step - step))[0] ?? null;
}

/** A name that is not taken: "branch 1", "branch 2", … @param {string} word @param {string[]} taken */
export function freshName(word, taken) {
  for (let i = 1; ; i++) if (!taken.includes(`${word} ${i}`)) return `${word} ${i}`;
}

/** The command that goes to a moment. @param {View} view @param {Moment} moment */
export function rewindTo(view, moment) {
  const elsewhere = moment.branch === view.now.branch ? {} : { branch: moment.branch };
  return { kind: "rewind", to: moment.name ?? moment.step, ...elsewhere };
}
