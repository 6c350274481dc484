// Curves as arrays: smoothing, what was given up, and thinning to what a screen can show. Pure.

import { tipOf } from "./streams.js";

/** @typedef {import("./streams.js").Stream} Stream
 *  @typedef {{from: number, to: number, gone: boolean}} Piece  points from … to - 1; steps rise in it
 *  @typedef {{stream: Stream, from: number, to: number}} Range
 *  @typedef {{x0: number, x1: number, left: number, width: number, low?: boolean}} Frame
 *    steps x0 … x1 lie at left … left + width px; low: on a low screen, curves and rates are to be seen together */

/** px of height that nobody sees in a line of two. */
const HAIR = 1.5;

/** How much of the past stays in the mean, for a run that came so far. The window grows with the run, so
 * that a long curve is as calm as a short one, and stays near a hundredth of it, so that the curve does
 * not lag behind an intervention. It grows in rungs: between two of them nothing is smoothed anew.
 * @param {number} steps */
export function keepOf(steps) {
  const window = Math.max(4, Math.min(100, steps / 80));
  return 1 - 1 / (4 * 2 ** (Math.floor(4 * Math.log2(window / 4) + 1e-9) / 4));
}

/** Smoothed losses of all timelines, kept and continued: what has come since is all that costs.
 * An exponential mean without the pull towards zero at the start; gaps (NaN) pass through. After a rewind
 * it goes on from what it was at that step, and a branch from its parent: not from what was given up. */
export function makeSmoother() {
  /** @type {Map<string, {n: number, x: number, y: number, calm: Float32Array, weight: Float64Array}>} */
  let kept = new Map();
  let keep = 0;

  /** @param {Record<string, Stream>} streams @param {string[]} order @returns {Record<string, Float32Array>} */
  return function smoothed(streams, order) {
    const due = keepOf(Math.max(0, ...order.map((name) => tipOf(streams[name]))));
    if (due !== keep) kept = new Map();
    keep = due;
    /** @type {Record<string, Float32Array>} */
    const out = {};
    for (const name of order) {
      const stream = streams[name];
      let had = kept.get(name);
      if (had && !continues(had, stream)) had = undefined;
      const state = had ?? { n: 0, x: NaN, y: NaN, calm: new Float32Array(0), weight: new Float64Array(0) };
      if (state.calm.length < stream.n) {
        state.calm = longer(state.calm, new Float32Array(2 * stream.n));
        state.weight = longer(state.weight, new Float64Array(2 * stream.n));
      }
      go(stream, state, streams);
      kept.set(name, state);
      out[name] = state.calm;
    }
    return out;
  };

  /** @param {Stream} stream @param {any} state @param {Record<string, Stream>} streams */
  function go(stream, state, streams) {
    const { y, n, cuts } = stream;
    const { calm, weight } = state;
    let from = state.n;
    let at = cuts.findIndex((cut) => cut.index >= from);
    if (at < 0) at = cuts.length;
    while (from < n) {
      if (at < cuts.length && cuts[at].index === from) at += 1;
      const to = at < cuts.length ? Math.min(n, cuts[at].index) : n;
      const starts = from === 0 || cuts[at - 1]?.index === from;
      let [mean, w] = starts ? before(stream, from, state, streams) : [calm[from - 1], weight[from - 1]];
      let sum = (Number.isFinite(mean) ? mean : lastFinite(calm, from)) * w;
      if (!(w > 0)) sum = w = 0;
      for (let i = from; i < to; i++) {
        const value = y[i];
        if (Number.isFinite(value)) {
          sum = keep * sum + (1 - keep) * value;
          w = keep * w + (1 - keep);
          calm[i] = sum / w;
        } else calm[i] = NaN;
        weight[i] = w;
      }
      from = to;
    }
    Object.assign(state, { n, x: n ? stream.x[n - 1] : NaN, y: n ? y[n - 1] : NaN });
  }

  /** What the mean was just before the point at `index`, which begins a new piece.
   * @param {Stream} stream @param {number} index @param {any} state @param {Record<string, Stream>} streams
   * @returns {[number, number]} */
  function before(stream, index, state, streams) {
    const step = index < stream.n ? stream.x[index] - 1 : stream.start;
    const found = seek(stream, step, index);
    if (found >= 0) return [state.calm[found], state.weight[found]];
    const parent = stream.parent == null ? undefined : streams[stream.parent];
    const had = parent && parent !== stream ? kept.get(parent.name) : undefined;
    if (!parent || !had) return [0, 0];
    const i = seek(parent, Math.min(step, stream.start), had.n);
    return i >= 0 ? [had.calm[i], had.weight[i]] : before(parent, 0, had, streams);
  }
}

/** Is what was smoothed a beginning of this stream? A fresh snapshot may be finer than a saved one.
 * @param {{n: number, x: number, y: number}} had @param {Stream} stream */
function continues(had, stream) {
  return had.n <= stream.n && (had.n === 0 || (stream.x[had.n - 1] === had.x && Object.is(stream.y[had.n - 1], had.y)));
}

/** @param {Float32Array} values @param {number} n */
function lastFinite(values, n) {
  for (let i = n - 1; i >= 0; i--) if (Number.isFinite(values[i])) return values[i];
  return 0;
}

/** @template {Float32Array|Float64Array} T @param {T} had @param {T} room @returns {T} */
function longer(had, room) {
  room.set(/** @type {any} */ (had));
  return room;
}

/** Index of the last step ≤ `step` among the points before `end`, in the latest piece that has one; or -1.
 * @param {Stream} stream @param {number} step @param {number} [end] */
export function seek(stream, step, end = stream.n) {
  const edges = [0, ...stream.cuts.map((cut) => cut.index).filter((index) => index < end), end];
  for (let k = edges.length - 2; k >= 0; k--) {
    if (edges[k] < edges[k + 1] && stream.x[edges[k]] <= step) return indexAt(stream.x, edges[k], edges[k + 1], step);
  }
  return -1;
}

/** A timeline in pieces in which the steps rise: what it goes on with, and what was given up.
 * @param {Stream} stream @returns {Piece[]} */
export function pieces(stream) {
  const { x, n, cuts } = stream;
  const edges = [0, ...cuts.map((cut) => cut.index), n];
  /** @type {Piece[]} */
  const found = [];
  for (let k = 0; k + 1 < edges.length; k++) {
    const [from, to] = [edges[k], edges[k + 1]];
    if (from >= to) continue;
    const limit = Math.min(Infinity, ...cuts.slice(k).map((cut) => cut.step)); // of the cuts still to come
    const live = indexAt(x, from, to, limit - 0.5) + 1;
    if (live > from) found.push({ from, to: live, gone: false });
    if (to > live) found.push({ from: Math.max(from, live), to, gone: true });
  }
  return found;
}

/** Index of the last x ≤ at within from … to - 1, or from - 1.
 * @param {Float32Array} x @param {number} from @param {number} to @param {number} at */
export function indexAt(x, from, to, at) {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Lowest and highest finite value of the ranges between two steps; [NaN, NaN] if there is none.
 * @param {Range[]} ranges @param {Record<string, Float32Array>} values @param {number} low @param {number} high
 * @returns {[number, number]} */
export function extent(ranges, values, low, high) {
  let least = Infinity;
  let most = -Infinity;
  for (const { stream, from, to } of ranges) {
    const y = values[stream.name];
    const end = indexAt(stream.x, from, to, high) + 1;
    const first = indexAt(stream.x, from, to, low);
    if (first === to - 1 && stream.x[first] < low) continue; // ended before
    for (let i = Math.max(from, first); i < end; i++) {
      const value = y[i];
      if (value < least && value > -Infinity) least = value;
      if (value > most && value < Infinity) most = value;
    }
  }
  return least > most ? [NaN, NaN] : [least, most];
}

/** The highest loss worth showing. Spikes that the smooth curve does not follow may leave the frame, and
 * so may a run that diverges: past 2.5 times the first loss (and past 3, little more than guessing
 * among 20 classes costs) it would press all that went before onto the ground line.
 * @param {number} most of the losses @param {number} calmMost of the smooth curve @param {number} first loss */
export function ceiling(most, calmMost, first) {
  const top = Math.min(most || 0, 1.6 * (calmMost || 0), Math.max(2.5 * (first || 0), 3));
  return top > 0 ? top : 1;
}

/** Steps at which a curve leaves the frame upwards.
 * @param {Range[]} ranges @param {Record<string, Float32Array>} values @param {number} top */
export function exits(ranges, values, top) {
  const found = [];
  let above = false;
  for (const { stream, from, to } of ranges) {
    const y = values[stream.name];
    for (let i = from; i < to; i++) {
      if (y[i] > top && !above) found.push(stream.x[i]);
      if (Number.isFinite(y[i])) above = y[i] > top;
    }
  }
  return found;
}

/** An SVG path through ranges of points. Where they are denser than half pixels, each pixel column keeps
 * its lowest and highest value, so that no spike is lost: 100,000 points become two per column. What is
 * no higher than a hair becomes one point, which costs a browser half as much.
 * @param {Range[]} ranges one after another in one line @param {Record<string, Float32Array>} values
 * @param {Frame} frame @param {(y: number) => number} sy @param {[number, number][]} [lead] points (step, value) to begin with
 * @param {number} [grain] px of a column: a smooth curve needs fewer */
export function path(ranges, values, frame, sy, lead = [], grain = 1) {
  let d = "";
  let open = false;
  const point = (/** @type {number} */ px, /** @type {number} */ py) => {
    d += `${open ? "L" : "M"}${Math.round(px * 10) / 10} ${Math.round(py * 10) / 10}`;
    open = true;
  };
  for (const [step, value] of lead) if (Number.isFinite(value)) point(frame.left + ((step - frame.x0) * frame.width) / (frame.x1 - frame.x0), sy(value));
  columns(ranges, values, frame, grain, (px, low, high) => {
    if (Number.isNaN(low)) {
      open = false;
      return;
    }
    const bottom = sy(low);
    const top = low === high ? bottom : sy(high);
    if (bottom - top < HAIR) point(px, (bottom + top) / 2);
    else {
      point(px, bottom);
      point(px, top);
    }
  });
  return d;
}

/** The same as a closed shape between the lowest and the highest of each column: for very dense, noisy
 * points, where a line would go up and down in each and cost ten times as much to draw.
 * @param {Range[]} ranges @param {Record<string, Float32Array>} values @param {Frame} frame @param {(y: number) => number} sy */
export function cloud(ranges, values, frame, sy) {
  let d = "";
  let roof = "";
  const close = () => {
    if (roof) d += `${roof}Z`;
    roof = "";
  };
  columns(ranges, values, frame, 1, (px, low, high) => {
    if (Number.isNaN(low)) return close();
    const at = Math.round(px * 10) / 10;
    d += `${roof ? "L" : "M"}${at} ${Math.round(sy(low) * 10 + 4) / 10}`;
    roof = `L${at} ${Math.round(sy(high) * 10 - 4) / 10}${roof}`;
  });
  close();
  return d;
}

/** Are these so many points that they are a cloud? @param {Range[]} ranges @param {Frame} frame */
export function isDense(ranges, { x0, x1, width }) {
  let n = 0;
  for (const { stream, from, to } of ranges) n += indexAt(stream.x, from, to, x1) - indexAt(stream.x, from, to, x0);
  return n > 4 * width;
}

/** Low and high of each pixel column, or each point where there is room; NaN where there is a gap.
 * @param {Range[]} ranges @param {Record<string, Float32Array>} values @param {Frame} frame
 * @param {number} grain px of a column @param {(px: number, low: number, high: number) => void} tell */
function columns(ranges, values, { x0, x1, left, width }, grain, tell) {
  const scale = width / (x1 - x0);
  for (const { stream, from, to } of ranges) {
    const { x } = stream;
    const y = values[stream.name];
    const first = Math.max(from, indexAt(x, from, to, x0)); // one more on each side: lines leave the frame
    const last = Math.min(to, indexAt(x, from, to, x1) + 2);
    if ((last - first) * grain <= 2 * width) {
      for (let i = first; i < last; i++) {
        const value = Number.isFinite(y[i]) ? y[i] : NaN;
        tell(left + (x[i] - x0) * scale, value, value);
      }
      continue;
    }
    for (let i = first; i < last;) {
      const column = grain * Math.floor(((x[i] - x0) * scale) / grain);
      const end = Math.max(i + 1, Math.min(last, indexAt(x, i, last, x0 + (column + grain) / scale - 1e-6) + 1));
      let low = Infinity;
      let high = -Infinity;
      for (; i < end; i++) {
        const value = y[i];
        if (value < low && value > -Infinity) low = value;
        if (value > high && value < Infinity) high = value;
      }
      if (low > high) low = high = NaN;
      tell(left + column + grain / 2, low, high);
    }
  }
}
