// The lines that the kernel has made of the stretches, as ranges of points to draw. Which points lie on which
// line is the kernel's to decide (session/timelines/paths.py); here it is only looked up. Pure.

import { indexAt } from "./curve.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {import("./curve.js").Range} Range
 *  @typedef {import("./stretches.js").Stretch} Stretch
 *  @typedef {"now"|"other"|"twin"|"gone"} Role
 *  @typedef {[number, number, number|null, number, number|null]} Part  stretch; from point, to point; from event, to event; null: it goes on
 *  @typedef {{name: string, role: Role, parts: Part[]}} Told  a line as the kernel tells it
 *  @typedef {{name: string, role: Role, ranges: Range[], lead: [Stretch, number]|null, at: number}} Line
 *    lead: the point where it leaves another line; at: which of the kernel's lines it is
 *  @typedef {[number, number]|null|undefined} Place  of an event: its stretch, and its position there
 *  @typedef {{now: string, path: Range[], lines: Line[], twin: Line|null, lineAt: (at: Place) => number}} Lines
 *    path: the present timeline from the first step on; lines: the others that have points; lineAt: the
 *    index of the kernel's line that an event lies on */

/** @param {View} view @returns {Lines} */
export function linesOf(view) {
  const [first, ...rest] = view.lines.map((told, at) => drawn(view, told, at));
  const lines = rest.filter((line) => line.ranges.length > 0);
  const twin = lines.find((line) => line.role === "twin") ?? null;
  return { now: first?.name ?? view.now.branch, path: first?.ranges ?? [], lines, twin, lineAt: finder(view.lines) };
}

/** @param {View} view @param {Told} told @param {number} at @returns {Line} */
function drawn(view, { name, role, parts }, at) {
  const ranges = parts.map(([id, from, to]) => ({ stretch: view.stretches[id], from, to: to ?? view.stretches[id].n })).filter(({ from, to }) => to > from);
  return { name, role, ranges, lead: ranges.length && role !== "now" ? before(view, ranges[0]) : null, at };
}

/** The point before a range. @param {View} view @param {Range} range @returns {[Stretch, number]|null} */
function before(view, { stretch, from }) {
  if (from > 0) return [stretch, from - 1];
  return stretch.root ? [view.stretches[stretch.root[0]], stretch.root[1] - 1] : null;
}

/** @param {Told[]} lines @returns {Lines["lineAt"]} */
function finder(lines) {
  /** @type {Map<number, [number, number, number][]>} of each stretch: from event, to event, line */
  const parts = new Map();
  lines.forEach((line, at) => {
    for (const [id, , , low, high] of line.parts) parts.set(id, [...(parts.get(id) ?? []), [low, high ?? Infinity, at]]);
  });
  return (at) => (at ? parts.get(at[0])?.find(([low, high]) => low <= at[1] && at[1] < high)?.[2] ?? -1 : -1);
}

/** The role of the line that something lies on; null for what never reached the run.
 * @param {View} view @param {Lines} lines @param {{at?: Place}} what @returns {Role|null} */
export function roleOf(view, lines, what) {
  return view.lines[lines.lineAt(what.at)]?.role ?? null;
}

/** A line's values by step: the last entry of each step counts, in rising steps.
 * @template {{step: number, at?: Place}} T
 * @param {Lines} lines @param {T[]} entries @param {Line|null} [line] the present timeline, if it is left out @returns {T[]} */
export function along(lines, entries, line) {
  if (line === null) return [];
  /** @type {Map<number, T>} */
  const bySteps = new Map();
  for (const entry of entries) if (lines.lineAt(entry.at) === (line?.at ?? 0)) bySteps.set(entry.step, entry);
  return [...bySteps.values()].sort((a, b) => a.step - b.step);
}

/** The present timeline's last entry at or before the step where a line leaves it, as a list of one or none.
 * @template {{step: number}} T
 * @param {T[]} now @param {Line} line @returns {T[]} */
export function sharedBy(now, { lead }) {
  const start = lead ? lead[0].x[lead[1]] : 0;
  return now.filter((entry) => entry.step <= start).slice(-1);
}

/** The value at a step (or the last before it) of ranges in rising steps; NaN if there is none, or if
 * the last is older than `stale` steps.
 * @param {Range[]} ranges @param {ArrayLike<number>[]} values of each stretch @param {number} step @param {number} [stale] */
export function valueAt(ranges, values, step, stale = Infinity) {
  for (let k = ranges.length - 1; k >= 0; k--) {
    const { stretch, from, to } = ranges[k];
    const i = indexAt(stretch.x, from, to, step);
    if (i >= from) return step - stretch.x[i] <= stale ? values[stretch.id][i] : NaN;
  }
  return NaN;
}

/** The point in which a line begins, as [step, value]. @param {Line} line @param {ArrayLike<number>[]} values
 * @returns {[number, number][]} */
export function leadOf({ lead }, values) {
  return lead ? [[lead[0].x[lead[1]], values[lead[0].id][lead[1]]]] : [];
}

/** With minus without the intervention, at every step that both have taken: the present timeline's
 * smoothed loss minus the twin's. null where there is no twin.
 * @param {View} view @param {Lines} lines @param {ArrayLike<number>[]} smooth
 * @returns {{ranges: Range[], values: Float32Array[], last: number, accuracy: number|null, since: number}|null}
 *   ranges into the twin's points; last: of the loss; accuracy: 0 … 1, the last that both were measured at */
export function difference(view, lines, smooth) {
  const { twin } = lines;
  if (!twin || !lines.path.length) return null;
  const [{ stretch: other }] = twin.ranges; // a twin is one stretch
  const values = new Float32Array(other.n).fill(NaN);
  const without = smooth[other.id];
  let last = NaN;
  for (const { stretch, from, to } of lines.path) {
    const y = smooth[stretch.id];
    for (const range of twin.ranges) {
      const low = Math.max(stretch.x[from], other.x[range.from]);
      const high = Math.min(stretch.x[to - 1], other.x[range.to - 1]);
      let i = Math.max(range.from, indexAt(other.x, range.from, range.to, low));
      let j = Math.max(from, indexAt(stretch.x, from, to, low));
      while (i < range.to && j < to && other.x[i] <= high) { // a saved curve is thinned: not each step is there
        const ahead = other.x[i] - stretch.x[j];
        if (ahead === 0) values[i] = y[j] - without[i];
        if (ahead <= 0) i += 1;
        if (ahead >= 0) j += 1;
      }
    }
  }
  for (let i = other.n - 1; i >= 0 && Number.isNaN(last); i--) last = values[i];
  if (Number.isNaN(last)) return null;
  const since = twin.lead ? twin.lead[0].x[twin.lead[1]] : 0;
  const measured = view.evals.filter((e) => e.split === "valid" && e.accuracy != null);
  const steered = new Map(along(lines, measured).map((e) => [e.step, e.accuracy]));
  const both = along(lines, measured, twin).filter((e) => steered.has(e.step) && e.step > since).at(-1);
  const accuracy = both ? Number(steered.get(both.step)) - Number(both.accuracy) : null;
  const apart = [];
  apart[other.id] = values;
  return { ranges: twin.ranges, values: apart, last, accuracy, since };
}

/** How far the present timeline has come. @param {View} view @param {Lines} lines */
export function tipNow(view, lines) {
  const last = lines.path.at(-1);
  return Math.max(view.now.step, last ? last.stretch.x[last.to - 1] : 0);
}
