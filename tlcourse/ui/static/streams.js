// Timelines' losses as arrays that grow. Pure.

/** @typedef {{index: number, step: number}} Cut  what came before `index` at `step` or later is given up
 *  @typedef {{name: string, parent: string|null, start: number, control: boolean, after: number, n: number,
 *   x: Float32Array, y: Float32Array, cuts: Cut[]}} Stream
 *  @typedef {{name: string, parent: string|null, start: number, control: boolean, after: number, from: number,
 *   jumps: [number, number][], cuts: Cut[]}} Told
 *  after: so many notes had been taken when it began */

/** A timeline as the kernel tells it: the whole, or what came since. Steps count up by one but at jumps.
 * @param {Stream|undefined} had @param {Told} told @param {Float32Array} losses @returns {Stream} */
export function extend(had, told, losses) {
  const from = had ? had.n : 0;
  const n = from + losses.length;
  const fits = had !== undefined && n <= had.y.length;
  const x = fits ? had.x : grow(had?.x, n);
  const y = fits ? had.y : grow(had?.y, n);
  y.set(losses, from);
  let jump = 0;
  let step = from ? x[from - 1] : 0;
  for (let i = from; i < n; i++) {
    if (jump < told.jumps.length && told.jumps[jump][0] === i) step = told.jumps[jump++][1];
    else step += 1;
    x[i] = step;
  }
  const { name, parent, start, control, after } = told;
  return { name, parent, start, control, after, n, x, y, cuts: [...(had?.cuts ?? []), ...told.cuts] };
}

/** A timeline as a notebook keeps it: thinned, in plain numbers. @param {any} kept @returns {Stream} */
export function restore(kept) {
  const x = Float32Array.from(kept.x);
  const y = Float32Array.from(kept.y, (/** @type {number|null} */ v) => v ?? NaN);
  return { name: kept.name, parent: kept.parent, start: kept.start, control: kept.control, after: kept.after ?? 0, n: y.length, x, y, cuts: kept.cuts };
}

/** Where a timeline has come to. @param {Stream} stream */
export function tipOf(stream) {
  return stream.n ? stream.x[stream.n - 1] : stream.start;
}

/** Room for n values and as many again, so that appending stays cheap.
 * @param {Float32Array|undefined} had @param {number} n */
function grow(had, n) {
  const more = new Float32Array(Math.max(256, 2 * n));
  if (had) more.set(had);
  return more;
}
