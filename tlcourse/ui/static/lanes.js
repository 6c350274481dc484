// Timelines as lanes: where each lies, and what of the past is given up. Pure.

import { tipOf } from "./streams.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {import("./reduce.js").Note} Note
 *  @typedef {{name: string, parent: string|null, start: number, tip: number, far: number,
 *   control: boolean, present: boolean, row: number}} Lane  far: the last step that was given up, or tip
 *  @typedef {{step: number, branch: string, name: string|null}} Moment */

/** What changes how a run goes on, and so is taken back by a rewind to before it. */
export const LASTING = ["set_lr", "freeze", "unfreeze", "add_lora", "set_scale", "swap_head", "set_weight", "augment"];

/** Which notes were taken back by a later rewind of their timeline: to a step (the state on arrival there),
 * or to a bookmark (what was done at its step before it was set stays).
 * @param {Note[]} notes @returns {boolean[]} */
export function goneNotes(notes) {
  const gone = notes.map(() => false);
  notes.forEach((rewind, now) => {
    if (!rewind.ok || rewind.kind !== "rewind") return;
    const name = rewind.command?.to;
    const set = typeof name === "string" ? notes.findIndex((n) => n.ok && n.kind === "save" && n.command?.name === name) : -1;
    for (let i = 0; i < now; i++) {
      const { ok, kind, branch, step } = notes[i];
      if (!ok || branch !== rewind.branch || !LASTING.includes(kind)) continue;
      if (step > rewind.step || (step === rewind.step && i > set)) gone[i] = true;
    }
  });
  return gone;
}

/** One lane for each timeline, in as few rows as they fit into without touching.
 * @param {View} view @param {(name: string) => number} room steps that a name takes before its lane
 * @returns {Lane[]} */
export function lanesOf(view, room) {
  /** @type {number[]} */
  const ends = []; // of each row: how far it is taken
  return view.order.map((name, i) => {
    const stream = view.streams[name];
    const present = name === (view.order.includes(view.now.branch) ? view.now.branch : view.order[0]);
    const tip = present ? view.now.step : left(stream);
    let far = tip;
    let start = stream.start;
    for (const { index, step } of stream.cuts) {
      far = Math.max(far, index ? stream.x[index - 1] : 0);
      start = Math.min(start, step - 1); // wound back to before it began: from there on it is its own
    }
    let row = i && ends.findIndex((end, at) => at > 0 && end < start - room(name));
    if (row < 0) row = Math.max(1, ends.length);
    ends[row] = present ? Infinity : far;
    return { name, parent: stream.parent, start, tip, far, control: stream.control, present, row };
  });
}

/** Where a timeline that does not train was left. @param {import("./streams.js").Stream} stream */
function left(stream) {
  const last = stream.cuts.at(-1);
  return last && last.index === stream.n ? last.step - 1 : tipOf(stream);
}

/** The bookmark of a timeline that is nearest to a step, if it is within reach.
 * @param {View} view @param {string} branch @param {number} step @param {number} reach */
export function nearBookmark(view, branch, step, reach) {
  const near = view.bookmarks.filter((b) => b.branch === branch && Math.abs(b.step - step) <= reach);
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
