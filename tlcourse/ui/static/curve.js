// Curves as arrays: smoothing, and thinning to what a screen can show. Pure.

/** Exponential mean without the pull towards zero at the start; gaps (NaN) pass through.
 * The window grows with the run, so that a long curve is as calm as a short one; it stays near a
 * hundredth of the width, so that the curve does not lag behind an intervention.
 * @param {Float32Array} y @param {number} n */
export function smooth(y, n) {
  const keep = 1 - 1 / Math.max(4, Math.min(100, n / 80));
  const out = new Float32Array(n);
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < n; i++) {
    const value = y[i];
    if (Number.isFinite(value)) {
      sum = keep * sum + (1 - keep) * value;
      weight = keep * weight + (1 - keep);
      out[i] = sum / weight;
    } else out[i] = NaN;
  }
  return out;
}

/** An SVG path. Where points are denser than pixel columns, each column keeps its lowest and
 * highest value, so that no spike is lost (100,000 points become two per column).
 * @param {Float32Array} x @param {Float32Array} y @param {number} n
 * @param {(x: number) => number} sx @param {(y: number) => number} sy */
export function path(x, y, n, sx, sy) {
  /** @type {string[]} */
  const parts = [];
  let column = NaN;
  let low = NaN;
  let high = NaN;
  let open = false;
  const flush = () => {
    if (Number.isNaN(low)) return;
    const top = sy(high).toFixed(1);
    const bottom = sy(low).toFixed(1);
    parts.push(`${open ? "L" : "M"}${column} ${bottom}`);
    if (top !== bottom) parts.push(`L${column} ${top}`);
    open = true;
    low = high = NaN;
  };
  for (let i = 0; i < n; i++) {
    const value = y[i];
    if (!Number.isFinite(value)) {
      flush();
      open = false;
      continue;
    }
    const at = Math.round(sx(x[i]) * 2) / 2; // half pixels: sharp on dense screens
    if (at !== column) {
      flush();
      column = at;
    }
    if (Number.isNaN(low)) low = high = value;
    else if (value < low) low = value;
    else if (value > high) high = value;
  }
  flush();
  return parts.join("");
}

/** The highest loss worth showing. Spikes that the smooth curve does not follow may leave the frame, and
 * so may a run that diverges: past 2.5 times the first loss (and past 3, little more than guessing
 * among 20 classes costs) it would press all that went before onto the ground line.
 * @param {Float32Array} raw @param {Float32Array} calm @param {number} n */
export function ceiling(raw, calm, n) {
  let top = 0;
  let calmTop = 0;
  let first = NaN;
  for (let i = 0; i < n; i++) {
    if (Number.isNaN(first) && Number.isFinite(raw[i])) first = raw[i];
    if (raw[i] > top && Number.isFinite(raw[i])) top = raw[i];
    if (calm[i] > calmTop) calmTop = calm[i];
  }
  return Math.min(top, 1.6 * calmTop, Math.max(2.5 * (first || 0), 3)) || 1;
}

/** Where a curve leaves the frame upwards: indices of the first values above `top`.
 * @param {Float32Array} calm @param {number} n @param {number} top */
export function exits(calm, n, top) {
  const found = [];
  for (let i = 0; i < n; i++) if (calm[i] > top && !(calm[i - 1] > top)) found.push(i);
  return found;
}

/** Index of the last x ≤ at, or -1. @param {Float32Array} x @param {number} n @param {number} at */
export function indexAt(x, n, at) {
  let low = 0;
  let high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
