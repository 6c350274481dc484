// The panels of learning rates, gradient norms and weight movement: one line per group. Pure.

import { along, tipNow } from "../model/lines.js";
import { PAD, round, rowsAt, yOf } from "./panels.js";
import { apart, decades } from "./scale.js";
import { showLr, showShare, showValue } from "../format.js";

/** @typedef {import("./panels.js").Scene} Scene
 *  @typedef {import("./panels.js").Plan} Plan
 *  @typedef {import("./scale.js").Axis} Axis
 *  @typedef {[number, number|null][]} Points  (step, value), in rising steps; null is a gap
 *  @typedef {"rates"|"grad"|"moved"} Measure */

/** Measures that can be shown below loss and accuracy, one at a time. @type {Record<Measure, {choice: string, title: string}>} */
export const MEASURES = {
  rates: { choice: "learning rates", title: "learning rate" },
  grad: { choice: "gradients", title: "gradient norm ‖g‖" },
  moved: { choice: "movement", title: "weights moved ‖w − w₀‖ / ‖w₀‖" },
};
/** Number of hues; further groups reuse them, dashed. */
export const HUES = 8;

/** @param {Scene} scene @param {Measure} measure @returns {Plan} */
export function measurePanel(scene, measure) {
  const { view, lines, hidden, frame } = scene;
  const height = 96;
  const stepwise = measure === "rates";
  const tip = tipNow(view, lines);
  const names = view.groups.map((group) => group.name);
  const entries = stepwise ? along(lines, view.rates) : along(lines, view.norms);
  for (const entry of entries) for (const name of Object.keys(valuesOf(entry))) if (!names.includes(name)) names.push(name);
  /** @type {Map<string, Points>} */
  const points = new Map();
  names.forEach((name) => {
    const found = entries.map((entry) => /** @type {[number, number|null]} */ ([entry.step, valuesOf(entry)[name] ?? null]));
    if (found.some(([, value]) => value != null) && !hidden.has(`group:${name}`)) points.set(name, found);
  });
  const axis = axisOf([...points.values()], measure, frame);
  const sy = yOf(axis, height);
  const sx = (/** @type {number} */ step) => frame.left + (frame.width * (step - frame.x0)) / (frame.x1 - frame.x0);
  const shown = names.filter((name) => points.has(name));
  const show = measure === "rates" ? showLr : measure === "grad" ? (/** @type {number} */ v) => showValue(v, 2) : showShare;
  const known = names.filter((name) => entries.some((entry) => valuesOf(entry)[name] != null));
  return {
    key: measure, title: MEASURES[measure].title, said: entries.length ? "" : "not measured yet", height,
    rows: rowsAt(axis, height, measure === "moved" ? 3 : 4).map(([y, text], i, all) => [y, measure === "moved" ? percent(axis, i, all.length, text) : text]),
    series: shown.map((name) => ({
      key: `group:${name}`, kind: /** @type {const} */ ("line"), role: names.indexOf(name) < HUES ? "group" : "group-dashed",
      hue: names.indexOf(name) % HUES,
      d: stepwise ? stairs(points.get(name) ?? [], sx, sy, tip) : joined(points.get(name) ?? [], sx, sy),
    })),
    labels: frame.width > 420 ? labelsOf() : [],
    legend: known.map((name) => ({ key: `group:${name}`, text: name, role: "group", hue: names.indexOf(name) % HUES })),
    tells: (step) => {
      const told = shown.map((name) => /** @type {[string, number|null]} */ ([name, lastAt(points.get(name) ?? [], step)]));
      return told.filter(([, value]) => value != null).map(([name, value]) => [`${name}`, show(Number(value))]);
    },
  };

  /** @param {any} entry @returns {Record<string, number|null>} */
  function valuesOf(entry) {
    return stepwise ? entry.lrs : entry[measure];
  }

  /** Names at the ends of the lines. */
  function labelsOf() {
    const end = Math.min(sx(stepwise ? tip : entries.at(-1)?.step ?? 0), frame.left + frame.width);
    const left = end > frame.left + frame.width - 150;
    const found = shown.map((name) => ({ name, value: lastAt(points.get(name) ?? [], frame.x1) }))
      .filter(({ value }) => value != null)
      .map(({ name, value }) => ({ y: Math.min(PAD + height, sy(Number(value))), text: name, hue: String(names.indexOf(name) % HUES) }));
    return apart(found, 12, PAD + 6, PAD + height - 2)
      .map((l) => ({ x: left ? end - 4 : end + 6, y: left ? l.y - 4 : l.y + 4, text: l.text, hue: l.hue === undefined ? undefined : Number(l.hue), end: left }));
  }
}

/** @param {Points[]} lines @param {Measure} measure @param {{x0: number, x1: number}} frame @returns {Axis} */
function axisOf(lines, measure, { x0, x1 }) {
  const values = lines.flatMap((points) => points.filter(([step], i) => step <= x1 && (points[i + 1]?.[0] ?? Infinity) >= x0))
    .flatMap(([, value]) => (value == null ? [] : [value]));
  if (measure !== "moved") return decades(values);
  return { low: 0, high: Math.max(0.001, ...values) * 1.08 };
}

/** @param {Axis} axis @param {number} i @param {number} count @param {string} text */
function percent(axis, i, count, text) {
  return i === 0 ? "0 %" : showShare(Number(text)).replace("\u00a0", " ");
}

/** Steps: each value holds until the next. @param {Points} points @param {(v: number) => number} sx @param {(v: number) => number} sy @param {number} tip */
function stairs(points, sx, sy, tip) {
  let d = "";
  let open = false;
  points.forEach(([step, value], i) => {
    const until = round(sx(points[i + 1]?.[0] ?? Math.max(tip, step)));
    if (value == null) open = false;
    else {
      d += `${open ? "V" : `M${round(sx(step))} `}${round(sy(value))}H${until}`;
      open = true;
    }
  });
  return d;
}

/** @param {Points} points @param {(v: number) => number} sx @param {(v: number) => number} sy */
function joined(points, sx, sy) {
  let d = "";
  let open = false;
  let column = NaN;
  for (const [step, value] of points) {
    const at = round(sx(step));
    if (value == null || !Number.isFinite(sy(value))) open = false;
    else if (at !== column || !open) {
      d += `${open ? "L" : "M"}${at} ${round(sy(value))}`;
      open = true;
      column = at;
    }
  }
  return d.includes("L") ? d : d && `${d}h0`;
}

/** @param {Points} points @param {number} step */
function lastAt(points, step) {
  let found = null;
  for (const [at, value] of points) if (at <= step) found = value;
  return found;
}
