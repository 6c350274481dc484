// Which points belong to which line: the timeline that trains now with its past, the others, the twin,
// and what was given up. Pure.

import { indexAt, pieces, seek } from "./curve.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {import("./curve.js").Range} Range
 *  @typedef {"now"|"other"|"twin"|"gone"} Role
 *  @typedef {{name: string, role: Role, ranges: Range[], from: {name: string, step: number}|null}} Line
 *    from: the point of another timeline in which it begins
 *  @typedef {{now: string, reach: Map<string, number>, path: Range[], lines: Line[], twin: string|null,
 *   gone: (what: {tick: number, step: number, branch: string}) => boolean}} Timelines
 *    reach: how far each timeline is part of the present one's past; path: the present timeline from the
 *    first step on, in rising steps; gone: was this measured on a part that was given up? */

/** @param {View} view @returns {Timelines} */
export function timelinesOf(view) {
  const { streams, order } = view;
  const now = view.now.branch in streams ? view.now.branch : order[0] ?? view.now.branch;
  const reach = reachOf(view, now);
  const control = order.filter((name) => streams[name].control).at(-1);
  const twin = control !== undefined && stillWith(view, reach, streams[control]) ? control : null;
  /** @type {Range[]} */
  const path = [];
  /** @type {Line[]} */
  const lines = [];
  for (const name of order) {
    const stream = streams[name];
    const until = reach.get(name) ?? -Infinity;
    /** @type {Range[]} */
    const rest = [];
    for (const { from, to, gone } of pieces(stream)) {
      // A line hangs on the point before it, where that is of the same stretch.
      const hold = (/** @type {number} */ at) => (at > 0 && stream.x[at - 1] < stream.x[at] ? at - 1 : at);
      if (gone) {
        lines.push({ name, role: "gone", ranges: [{ stream, from: hold(from), to }], from: from ? null : root(stream) });
        continue;
      }
      const shared = Math.max(from, indexAt(stream.x, from, to, until) + 1);
      if (shared > from) path.push({ stream, from, to: shared });
      if (to > shared) rest.push({ stream, from: rest.length ? shared : hold(shared), to });
    }
    if (!rest.length) continue;
    const role = name === twin ? "twin" : stream.control ? "gone" : "other";
    lines.push({ name, role, ranges: rest, from: rest[0].from ? null : root(stream) });
  }
  path.sort((a, b) => a.stream.x[a.from] - b.stream.x[b.from]);
  return { now, reach, path, lines, twin, gone: undone(view) };
}

/** @param {import("./streams.js").Stream} stream */
function root(stream) {
  return stream.parent == null ? null : { name: stream.parent, step: stream.start };
}

/** @param {View} view @param {string} now @returns {Map<string, number>} */
function reachOf(view, now) {
  const reach = new Map([[now, Infinity]]);
  let limit = Infinity;
  for (let stream = view.streams[now]; stream?.parent != null && !reach.has(stream.parent);) {
    limit = Math.min(limit, stream.start);
    reach.set(stream.parent, limit);
    stream = view.streams[stream.parent];
  }
  return reach;
}

/** Is what a twin goes without still part of the present timeline? Not where the run was wound back to
 * before it, or left for a timeline that had begun before it. A bookmark may be of the same step, and
 * of a moment after it.
 * @param {View} view @param {Map<string, number>} reach @param {import("./streams.js").Stream} twin */
function stillWith({ notes }, reach, { parent, start, after }) {
  if (parent == null || (reach.get(parent) ?? -Infinity) <= start) return false;
  return !notes.some((note, i) => {
    if (i < after || !note.ok || note.kind !== "rewind" || !reach.has(note.branch) || note.step > start) return false;
    const saved = notes.findLastIndex((one, at) => at < i && one.ok && one.kind === "save" && one.command.name === note.command.to);
    return note.step < start || saved < after;
  });
}

/** A run that is wound back to a step gives up what was measured later on that timeline.
 * @param {View} view */
function undone(view) {
  const rewinds = view.notes.filter((note) => note.ok && note.kind === "rewind");
  return (/** @type {{tick: number, step: number, branch: string}} */ what) =>
    rewinds.some((r) => r.branch === what.branch && r.tick >= what.tick && r.step < what.step);
}

/** Which line something with a step and a timeline belongs to.
 * @param {View} view @param {Timelines} lines @param {{tick: number, step: number, branch: string}} what
 * @returns {Role} */
export function roleOf(view, lines, what) {
  if (lines.gone(what)) return "gone";
  if (view.streams[what.branch]?.control) return what.branch === lines.twin ? "twin" : "gone";
  return what.step <= (lines.reach.get(what.branch) ?? -Infinity) ? "now" : "other";
}

/** The present timeline's values by step: the last entry of each step counts, in rising steps.
 * @template {{tick: number, step: number, branch: string}} T
 * @param {View} view @param {Timelines} lines @param {T[]} entries @param {Role} [role] @returns {T[]} */
export function along(view, lines, entries, role = "now") {
  /** @type {Map<number, T>} */
  const bySteps = new Map();
  for (const entry of entries) if (roleOf(view, lines, entry) === role) bySteps.set(entry.step, entry);
  return [...bySteps.values()].sort((a, b) => a.step - b.step);
}

/** The value at a step (or the last before it) of ranges in rising steps; NaN if there is none, or if
 * the last is older than `stale` steps.
 * @param {Range[]} ranges @param {Record<string, Float32Array>} values @param {number} step @param {number} [stale] */
export function valueAt(ranges, values, step, stale = Infinity) {
  for (let k = ranges.length - 1; k >= 0; k--) {
    const { stream, from, to } = ranges[k];
    const i = indexAt(stream.x, from, to, step);
    if (i >= from) return step - stream.x[i] <= stale ? values[stream.name][i] : NaN;
  }
  return NaN;
}

/** The point in which a line begins. @param {View} view @param {Line} line @param {Record<string, Float32Array>} values
 * @returns {[number, number][]} */
export function leadOf(view, line, values) {
  const parent = line.from && view.streams[line.from.name];
  if (!parent || !line.from) return [];
  const i = seek(parent, line.from.step);
  return i < 0 ? [] : [[parent.x[i], values[parent.name][i]]];
}

/** With minus without the intervention, at every step that both have taken: the present timeline's
 * smoothed loss minus the twin's. null where there is no twin.
 * @param {View} view @param {Timelines} lines @param {Record<string, Float32Array>} calm
 * @returns {{ranges: Range[], values: Record<string, Float32Array>, last: number, accuracy: number|null, since: number}|null}
 *   ranges into the twin's points; last: of the loss; accuracy: 0 … 1, the last that both were measured at */
export function difference(view, lines, calm) {
  const name = lines.twin;
  const line = lines.lines.find((l) => l.role === "twin");
  if (!name || !line || !lines.path.length) return null;
  const twin = view.streams[name];
  const values = new Float32Array(twin.n).fill(NaN);
  const beside = calm[name];
  let last = NaN;
  for (const { stream, from, to } of lines.path) {
    const y = calm[stream.name];
    for (const range of line.ranges) {
      const low = Math.max(stream.x[from], twin.x[range.from]);
      const high = Math.min(stream.x[to - 1], twin.x[range.to - 1]);
      let i = Math.max(range.from, indexAt(twin.x, range.from, range.to, low));
      let j = Math.max(from, indexAt(stream.x, from, to, low));
      while (i < range.to && j < to && twin.x[i] <= high) { // a saved curve is thinned: not each step is there
        const ahead = twin.x[i] - stream.x[j];
        if (ahead === 0) values[i] = y[j] - beside[i];
        if (ahead <= 0) i += 1;
        if (ahead >= 0) j += 1;
      }
    }
  }
  for (let i = twin.n - 1; i >= 0 && Number.isNaN(last); i--) last = values[i];
  if (Number.isNaN(last)) return null;
  const measured = view.evals.filter((e) => e.split === "valid" && e.accuracy != null);
  const steered = new Map(along(view, lines, measured).map((e) => [e.step, e.accuracy]));
  const both = along(view, lines, measured, "twin").filter((e) => steered.has(e.step) && e.step > twin.start).at(-1);
  const accuracy = both ? Number(steered.get(both.step)) - Number(both.accuracy) : null;
  return { ranges: line.ranges, values: { [name]: values }, last, accuracy, since: twin.start };
}

/** How far the present timeline has come. @param {View} view @param {Timelines} lines */
export function tipNow(view, lines) {
  const last = lines.path.at(-1);
  return Math.max(view.now.step, last ? last.stream.x[last.to - 1] : 0);
}
