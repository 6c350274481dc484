// Curves as arrays: smoothing, and thinning to what a screen can show. Pure.

/** @typedef {import("./stretches.js").Stretch} Stretch
 *  @typedef {{stretch: Stretch, from: number, to: number}} Range  points from … to - 1; steps rise in it
 *  @typedef {{keep: number, cap: number, reach: number, spike: number, room: number}} Rule  as the kernel tells it (plots/timelines.py):
 *    keep: share of the past in the mean; cap: what a higher loss counts as in it; reach, spike, room: see `ceiling`
 *  @typedef {{x0: number, x1: number, left: number, width: number, low?: boolean}} Frame
 *    steps x0 … x1 lie at left … left + width px; low: on a low screen, curves and rates are to be seen together */

/** A height in px that is invisible in a line two px wide. */
const HAIR = 1.5;

/** The smoothed losses of each stretch, kept and continued: only what has come since costs anything.
 * An exponential mean that starts at the first value and leaves gaps (NaN) where the loss does. A stretch
 * goes on from the mean at the point where it begins. */
export function makeSmoother() {
  /** @type {{stretch: Stretch, n: number, smooth: Float64Array, mean: Float64Array, weight: Float64Array}[]} */
  let kept = [];
  let [keep, cap] = [NaN, NaN];

  /** @param {Stretch[]} stretches @param {Rule} rule @returns {Float64Array[]} */
  return function smoothed(stretches, rule) {
    if (rule.keep !== keep || rule.cap !== cap) kept = [];
    ({ keep, cap } = rule);
    kept.length = Math.min(kept.length, stretches.length);
    return stretches.map((stretch, id) => {
      if (stretch.smooth) return stretch.smooth;
      const had = kept[id];
      const state = had && continues(had, stretch) ? had : { stretch, n: 0, smooth: new Float64Array(0), mean: new Float64Array(0), weight: new Float64Array(0) };
      kept[id] = state;
      go(stretch, state);
      return state.smooth;
    });
  };

  /** @param {Stretch} stretch @param {typeof kept[0]} state */
  function go(stretch, state) {
    const { y, n, root } = stretch;
    const before = root && kept[root[0]];
    if (state.smooth.length < n) for (const name of /** @type {const} */ (["smooth", "mean", "weight"])) state[name] = longer(state[name], 2 * n);
    const { smooth, mean, weight } = state;
    let m = state.n ? mean[state.n - 1] : before && root ? before.mean[root[1] - 1] : 0;
    let w = state.n ? weight[state.n - 1] : before && root ? before.weight[root[1] - 1] : 0;
    for (let i = state.n; i < n; i++) {
      if (Number.isFinite(y[i])) {
        const sum = keep * m * w + (1 - keep) * Math.min(y[i], cap);
        w = keep * w + (1 - keep);
        m = sum / w;
        smooth[i] = m;
      } else smooth[i] = NaN;
      mean[i] = m;
      weight[i] = w;
    }
    Object.assign(state, { n, stretch });
  }
}

/** Is what was smoothed a beginning of this stretch? @param {{n: number, stretch: Stretch}} had @param {Stretch} stretch */
function continues({ n, stretch: before }, stretch) {
  return n <= stretch.n && String(before.root) === String(stretch.root) && (n === 0 || (stretch.x[n - 1] === before.x[n - 1] && Object.is(stretch.y[n - 1], before.y[n - 1])));
}

/** @param {Float64Array} had @param {number} room */
function longer(had, room) {
  const made = new Float64Array(room);
  made.set(had);
  return made;
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
 * @param {Range[]} ranges @param {ArrayLike<number>[]} values @param {number} low @param {number} high
 * @returns {[number, number]} */
export function extent(ranges, values, low, high) {
  let least = Infinity;
  let most = -Infinity;
  for (const { stretch, from, to } of ranges) {
    const y = values[stretch.id];
    const end = indexAt(stretch.x, from, to, high) + 1;
    const first = indexAt(stretch.x, from, to, low);
    if (first === to - 1 && stretch.x[first] < low) continue; // ended before
    for (let i = Math.max(from, first); i < end; i++) {
      const value = y[i];
      if (value < least && value > -Infinity) least = value;
      if (value > most && value < Infinity) most = value;
    }
  }
  return least > most ? [NaN, NaN] : [least, most];
}

/** Upper end of the axis of losses. Spikes that the smooth curve does not follow may leave the frame, and so
 * may a run that explodes: it would press its own past flat.
 * @param {number} most of what is drawn @param {number} smoothMost of the smooth curves @param {Rule} rule */
export function ceiling(most, smoothMost, { reach, spike, room }) {
  const top = Math.min(most || 0, spike * (smoothMost || 0), reach);
  return top > 0 ? room * top : 1;
}

/** Steps at which a curve leaves the frame upwards.
 * @param {Range[]} ranges @param {ArrayLike<number>[]} values @param {number} top */
export function exits(ranges, values, top) {
  const found = [];
  let above = false;
  for (const { stretch, from, to } of ranges) {
    const y = values[stretch.id];
    for (let i = from; i < to; i++) {
      if (y[i] > top && !above) found.push(stretch.x[i]);
      if (Number.isFinite(y[i])) above = y[i] > top;
    }
  }
  return found;
}

/** An SVG path through ranges of points. Where they are denser than half pixels, each pixel column keeps
 * its lowest and highest value, so that no spike is lost: 100,000 points become two per column. What is
 * no higher than a hair becomes one point, which costs a browser half as much.
 * @param {Range[]} ranges one after another in one line @param {ArrayLike<number>[]} values
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
 * @param {Range[]} ranges @param {ArrayLike<number>[]} values @param {Frame} frame @param {(y: number) => number} sy */
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
  for (const { stretch, from, to } of ranges) n += indexAt(stretch.x, from, to, x1) - indexAt(stretch.x, from, to, x0);
  return n > 4 * width;
}

/** Low and high of each pixel column, or each point where there is room; NaN where there is a gap.
 * @param {Range[]} ranges @param {ArrayLike<number>[]} values @param {Frame} frame
 * @param {number} grain px of a column @param {(px: number, low: number, high: number) => void} tell */
function columns(ranges, values, { x0, x1, left, width }, grain, tell) {
  const scale = width / (x1 - x0);
  for (const { stretch, from, to } of ranges) {
    const { x } = stretch;
    const y = values[stretch.id];
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
