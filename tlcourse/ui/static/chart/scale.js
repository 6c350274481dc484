// Axes: positions of values, axis labels, and the window of steps shown. Pure.

import { showLr, showValue, ticks } from "../format.js";

/** @typedef {{low: number, high: number, log?: boolean}} Axis
 *  @typedef {[number, number]} Window  first and last step shown */

/** The fewest steps that can be shown. */
export const NARROWEST = 8;

/** Share of the height, 0 at the bottom … 1 at the top. @param {Axis} axis @param {number} value */
export function share({ low, high, log }, value) {
  return log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

/** Values and texts of the labels of an axis. @param {Axis} axis @param {number} count @returns {[number, string][]} */
export function rowsOf(axis, count) {
  if (!axis.log) return ticks(axis.low, axis.high, count).map((value) => [value, showValue(value)]);
  const from = Math.ceil(Math.log10(axis.low) - 1e-9);
  const to = Math.floor(Math.log10(axis.high) + 1e-9);
  const every = Math.max(1, Math.ceil((to - from) / count));
  const found = [];
  for (let power = from; power <= to; power += every) found.push(Number(`1e${power}`));
  return found.map((value) => [value, showLr(value)]);
}

/** A logarithmic axis around values, bounded by powers of ten. @param {number[]} values @returns {Axis} */
export function decades(values) {
  const known = values.filter((value) => value > 0 && Number.isFinite(value));
  if (!known.length) return { low: 1e-4, high: 1e-2, log: true };
  const low = Number(`1e${Math.floor(Math.log10(Math.min(...known)) + 1e-9)}`);
  const high = Number(`1e${Math.ceil(Math.log10(Math.max(...known)) - 1e-9)}`);
  return { low, high: high > low ? high : low * 10, log: true };
}

/** A round number slightly above, so that an axis without a known end rarely changes.
 * @param {number} steps */
export function roomFor(steps) {
  if (steps < 20) return 20;
  const power = 10 ** Math.floor(Math.log10(steps));
  return [1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((s) => Math.round(s * power)).find((s) => s > steps) ?? 12 * power;
}

/** Keep a window inside the whole, not narrower than `NARROWEST`; null is the whole.
 * @param {Window} window @param {Window} whole @returns {Window|null} */
export function fit([from, to], whole) {
  const span = Math.max(NARROWEST, to - from);
  if (span >= (whole[1] - whole[0]) * 0.995) return null;
  const centre = (from + to) / 2;
  const low = Math.min(Math.max(whole[0], centre - span / 2), whole[1] - span);
  return [low, low + span];
}

/** Zoom so that `at` stays where it is. factor < 1 zooms in.
 * @param {Window} shown @param {Window} whole @param {number} at @param {number} factor */
export function zoomed(shown, whole, at, factor) {
  const span = Math.max(NARROWEST, (shown[1] - shown[0]) * factor);
  const part = (at - shown[0]) / (shown[1] - shown[0]);
  return fit([at - span * part, at + span * (1 - part)], whole);
}

/** @param {Window} shown @param {Window} whole @param {number} by share of what is shown */
export function panned(shown, whole, by) {
  const span = shown[1] - shown[0];
  return fit([shown[0] + by * span, shown[1] + by * span], whole);
}

/** Labels moved apart so that none overlap. Those at nearly the same place are merged.
 * @param {{y: number, text: string, hue?: string}[]} labels @param {number} gap px @param {number} low @param {number} high */
export function apart(labels, gap, low, high) {
  /** @type {{y: number, text: string, hue?: string}[]} */
  const merged = [];
  for (const label of [...labels].sort((a, b) => a.y - b.y)) {
    const last = merged.at(-1);
    if (last && label.y - last.y < 2) {
      last.text += `, ${label.text}`;
      last.hue = undefined;
    } else merged.push({ ...label });
  }
  let floor = low;
  for (const label of merged) {
    label.y = Math.max(label.y, floor);
    floor = label.y + gap;
  }
  let roof = high;
  for (const label of [...merged].reverse()) {
    label.y = Math.min(label.y, roof);
    roof = label.y - gap;
  }
  return merged;
}
