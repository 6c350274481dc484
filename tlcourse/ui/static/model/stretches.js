// Losses of stretches of training, as arrays that grow. Pure.

/** @typedef {[number, number]|null} Root  the last point before a stretch: its stretch, and how many of that one's points are shared
 *  @typedef {{id: number, branch: string, root: Root, control: boolean, n: number, x: Float32Array, y: Float32Array,
 *   smooth?: Float64Array}} Stretch  x: steps; y: losses; smooth: if the kernel has smoothed them
 *  @typedef {{id: number, from: number, jumps: [number, number][], branch?: string, root?: Root, control?: boolean}} News
 *    branch, root and control come when a stretch begins */

/** A stretch and what the kernel tells of it: everything, or what came since. Steps count up by one except at jumps.
 * @param {Stretch|undefined} had @param {News} news @param {Float32Array} losses @returns {Stretch} */
export function extend(had, news, losses) {
  const from = had ? had.n : 0;
  const n = from + losses.length;
  const fits = had !== undefined && n <= had.y.length;
  const x = fits ? had.x : grow(had?.x, n);
  const y = fits ? had.y : grow(had?.y, n);
  y.set(losses, from);
  let jump = 0;
  let step = from ? x[from - 1] : 0;
  for (let i = from; i < n; i++) {
    if (jump < news.jumps.length && news.jumps[jump][0] === i) step = news.jumps[jump++][1];
    else step += 1;
    x[i] = step;
  }
  const { id, branch = had?.branch ?? "", root = had?.root ?? null, control = had?.control ?? false } = news;
  return { id, branch, root, control, n, x, y };
}

/** A stretch as a notebook keeps it: thinned, in plain numbers. @param {any} kept @param {number} id @returns {Stretch} */
export function restore(kept, id) {
  const number = (/** @type {number|null} */ v) => v ?? NaN;
  const y = Float32Array.from(kept.y, number);
  return { id, branch: kept.branch, root: kept.root, control: kept.control, n: y.length, x: Float32Array.from(kept.x), y, smooth: Float64Array.from(kept.smooth, number) };
}

/** Room for n values and as many again, so that appending stays cheap.
 * @param {Float32Array|undefined} had @param {number} n */
function grow(had, n) {
  const more = new Float32Array(Math.max(256, 2 * n));
  if (had) more.set(had);
  return more;
}
