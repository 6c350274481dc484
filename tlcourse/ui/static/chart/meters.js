// Meters: additional measurements of a run, as lines in the accuracy panel. Pure.
// A reading arrives as an evaluation of the split "meter", with its value as accuracy.

import { along, sharedBy } from "../model/lines.js";
import { showAccuracy, showPoints, showValue } from "../format.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/reduce.js").Evaluation} Evaluation
 *  @typedef {import("./panels.js").Scene} Scene
 *  @typedef {import("./panels.js").Series} Series
 *  @typedef {import("./panels.js").Told} Told
 *  @typedef {{name: string, key: string, hue: number, share: boolean, now: Evaluation[], twin: Evaluation[],
 *   all: Evaluation[]}} Meter  share: all values lie in 0 … 1, so it can share the accuracy's axis */

/** Colours not used for loss, accuracy or twin. */
const METER_HUES = [2, 7, 4, 6, 0];
/** Distance between two labels, and width of a letter, px. */
const LABELS_APART = 13;
const LETTER_PX = 6.2;

/** All meters, in order of their first reading. @param {View} view @param {import("../model/lines.js").Lines} lines @returns {Meter[]} */
export function metersOf(view, lines) {
  /** @type {Map<string, Evaluation[]>} */
  const named = new Map();
  for (const e of view.evals) {
    if (e.split !== "meter" || e.accuracy == null) continue;
    const name = e.name ?? "meter";
    const had = named.get(name);
    if (had) had.push(e);
    else named.set(name, [e]);
  }
  return [...named].map(([name, all], i) => ({
    name, key: `meter:${name}`, hue: METER_HUES[i % METER_HUES.length], all,
    share: all.every((e) => Number(e.accuracy) >= 0 && Number(e.accuracy) <= 1),
    now: along(lines, all), twin: along(lines, all, lines.twin),
  }));
}

/** @param {Meter} meter @param {Evaluation} e */
export function showReading(meter, e) {
  return meter.share ? showAccuracy(e.accuracy) : showValue(Number(e.accuracy));
}

/** The lines of one meter, faint ones first. @param {Scene} scene @param {Meter} meter
 * @param {{line: (some: Evaluation[]) => string, dots: (some: Evaluation[]) => string}} draw @returns {Series[]} */
export function meterSeries({ lines, hidden }, { name, key, hue, all, now, twin }, draw) {
  /** @type {Series[]} */
  const series = [];
  const add = (/** @type {string} */ part, /** @type {"line"|"dots"} */ kind, /** @type {string} */ role, /** @type {string} */ d) =>
    series.push({ key: `${key}:${part}`, kind, role, d, hue });
  for (const line of lines.lines.filter(({ role }) => role === "other")) {
    const own = along(lines, all, line);
    if (own.length && !hidden.has(`line:${line.name}`)) add(`other:${line.name}`, "line", "meter-other", draw.line([...sharedBy(now, line), ...own]));
  }
  if (lines.twin && twin.length && !hidden.has(`line:${lines.twin.name}`)) {
    add("twin", "line", "meter-twin", draw.line([...sharedBy(now, lines.twin), ...twin]));
    add("twin-dots", "dots", "meter", draw.dots(twin));
  }
  if (!hidden.has(`line:${lines.now}`)) {
    add("now", "line", "meter", draw.line(now));
    add("dots", "dots", "meter", now.length > 80 ? "" : draw.dots(now));
  }
  return series;
}

/** Each meter's name beside its last visible reading, without overlap.
 * @param {Meter[]} meters @param {import("../model/curve.js").Frame} frame @param {(step: number) => number} x
 * @param {(value: number) => number} y @param {number} height @returns {NonNullable<import("./panels.js").Plan["labels"]>} */
export function meterLabels(meters, { x0, x1, left, width }, x, y, height) {
  const ends = meters.map((meter) => ({ meter, e: meter.now.filter((e) => e.step >= x0 && e.step <= x1).at(-1) }));
  /** @type {{x: number, y: number, text: string, hue: number, end: boolean}[]} */
  const labels = [];
  for (const { meter, e } of ends) {
    if (!e) continue;
    const at = x(e.step);
    const wide = LETTER_PX * meter.name.length + 8;
    const ahead = at + wide < left + width; // room to the right, where there are no curves yet
    const end = !ahead && at - left > wide;
    const value = y(Number(e.accuracy)) + 4;
    const free = (/** @type {number} */ place) => labels.every((l) => Math.abs(l.y - place) >= LABELS_APART);
    const places = (ahead ? [0, -1, 1, -2, 2] : [-0.85, 0.85, -1.85, 1.85]).map((k) => value + k * LABELS_APART);
    const place = places.find((p) => p > 9 && p < height + 9 && free(p)) ?? places[0];
    labels.push({ x: end ? at : at + 8, y: place, text: meter.name, hue: meter.hue, end });
  }
  return labels;
}

/** What the crosshair shows of a meter. @param {Meter} meter @param {number} step @param {string} [twin] its name @returns {Told[]} */
export function meterTells(meter, step, twin) {
  /** @type {Told[]} */
  const told = [];
  const near = meter.now.filter((e) => e.step <= step).at(-1);
  if (near) told.push([meter.name, `${showReading(meter, near)}${near.step === step ? "" : ` (step ${near.step})`}`]);
  const beside = meter.twin.filter((e) => e.step <= step).at(-1);
  if (beside) told.push([`${meter.name} of ${twin}`, showReading(meter, beside)]);
  return told;
}

/** Each meter's value minus the twin's, at the last step with both readings: "old task −12 points".
 * @param {View} view @param {import("../model/lines.js").Lines} lines @returns {string[]} */
export function metersApart(view, lines) {
  const lead = lines.twin?.lead;
  const start = lead ? lead[0].x[lead[1]] : 0;
  return metersOf(view, lines).flatMap(({ name, share, now, twin }) => {
    const read = new Map(now.map((e) => [e.step, Number(e.accuracy)]));
    const beside = twin.filter((e) => e.step > start && read.has(e.step)).at(-1);
    if (!beside) return [];
    const by = Number(read.get(beside.step)) - Number(beside.accuracy);
    return [`${name} ${share ? showPoints(by) : `${by < 0 ? "−" : "+"}${showValue(Math.abs(by), 2)}`}`];
  });
}

/** A sentence for screen readers. @param {Meter} meter */
export function meterSaid(meter) {
  const first = meter.now[0];
  const last = meter.now.at(-1);
  if (!first || !last) return "";
  const beside = meter.twin.at(-1);
  return `${meter.name}: ${showReading(meter, last)} at step ${last.step}`
    + (first === last ? "" : `, ${showReading(meter, first)} at step ${first.step}`)
    + (beside ? `, ${showReading(meter, beside)} in the twin.` : ".");
}
