// The panels of loss, accuracy and difference: from a view to paths, axis labels and text. Pure.

import { ceiling, cloud, exits, extent, isDense, path } from "../model/curve.js";
import { along, leadOf, sharedBy, tipNow, valueAt } from "../model/lines.js";
import { rowsOf, share } from "./scale.js";
import { meterLabels, meterSeries, meterTells, metersApart, metersOf, showReading } from "./meters.js";
import { showAccuracy, showPoints, showValue } from "../format.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/reduce.js").Evaluation} Evaluation
 *  @typedef {import("../model/lines.js").Lines} Lines
 *  @typedef {import("../model/lines.js").Line} Line
 *  @typedef {import("./scale.js").Axis} Axis
 *  @typedef {{view: View, lines: Lines, smooth: Float64Array[], raw: Float32Array[],
 *   apart: ReturnType<typeof import("../model/lines.js").difference>, whole: boolean, hidden: Set<string>,
 *   frame: import("../model/curve.js").Frame}} Scene  whole: not zoomed
 *  @typedef {"line"|"raw"|"area"|"dots"|"rings"|"band"} Kind
 *  @typedef {{key: string, kind: Kind, role: string, d: string, hue?: number, dense?: boolean}} Series
 *  @typedef {{key: string, text: string, role: string, hue?: number}} Entry  of the legend
 *  @typedef {[string, string]} Told  what, and its value
 *  @typedef {{key: string, title: string, said: string, beside?: string, height: number,
 *   rows: [number, string][], series: Series[], legend: Entry[], off?: number[],
 *   labels?: {x: number, y: number, text: string, hue?: number, end?: boolean}[],
 *   tip?: [number, number]|null, top?: number, tells: (step: number) => Told[]}} Plan  places in px from the panel's top */

/** Margin above and below a panel's frame, px. */
export const PAD = 7;
/** Column width of a smooth curve in px, if points are denser than pixels. */
const GRAIN = 3;

/** The y of a value in a panel. @param {Axis} axis @param {number} height */
export function yOf(axis, height) {
  return (/** @type {number} */ value) => PAD + height * Math.max(-0.2, 1 - share(axis, value));
}

/** @param {Axis} axis @param {number} height @param {number} count @returns {[number, string][]} */
export function rowsAt(axis, height, count) {
  const sy = yOf(axis, height);
  return rowsOf(axis, count).map(([value, text]) => [sy(value), text]);
}

/** The visible lines: all except those switched off in the legend. @param {Scene} scene */
function seen({ lines, hidden }) {
  return lines.lines.filter((line) => !hidden.has(line.role === "gone" ? "gone" : `line:${line.name}`));
}

/** @param {Scene} scene @returns {Plan} */
export function lossPanel(scene) {
  const { view, lines, smooth, raw, hidden, frame, whole } = scene;
  const height = frame.low ? 92 : 132;
  const now = hidden.has(`line:${lines.now}`) ? [] : lines.path;
  const others = seen(scene);
  const axis = lossAxis(scene, now, others);
  const sy = yOf(axis, height);
  /** @type {Series[]} */
  const series = others.map((line, i) => ({
    key: `${line.role}:${line.name}:${i}`, kind: "line", role: line.role,
    d: path(line.ranges, smooth, frame, sy, leadOf(line, smooth), GRAIN),
  }));
  if (!hidden.has("raw")) {
    const dense = isDense(now, frame);
    series.unshift({ key: "raw", kind: "raw", role: "now", d: (dense ? cloud : path)(now, raw, frame, sy), dense });
  }
  series.push({ key: "now", kind: "line", role: "now", d: path(now, smooth, frame, sy, [], GRAIN) });
  const x = (/** @type {number} */ step) => frame.left + (frame.width * (step - frame.x0)) / (frame.x1 - frame.x0);
  const tip = tipNow(view, lines);
  const last = valueAt(lines.path, smooth, tip);
  const exact = valueAt(lines.path, raw, tip); // the smoothed value caps an exploding loss
  const running = view.now.status === "running" && now.length > 0 && Number.isFinite(last) && tip <= frame.x1 && tip >= frame.x0;
  return {
    key: "loss", title: "training loss", said: lines.path.length ? showValue(exact > view.curve.cap ? exact : last) : "", height,
    rows: rowsAt(axis, height, 4), series, legend: legendOf(scene), top: axis.high,
    off: now.length ? exits(now, smooth, axis.high).map(x).filter((at) => at >= frame.left - 1 && at <= frame.left + frame.width + 1) : [],
    tip: running ? [x(tip), Math.max(PAD, sy(last))] : null,
    tells(step) {
      /** @type {Told[]} */
      const told = [];
      const stale = Math.max(1, (frame.x1 - frame.x0) / 100);
      const at = valueAt(lines.path, smooth, step, stale);
      if (now.length && !Number.isNaN(at)) {
        const exact = valueAt(lines.path, raw, step, stale);
        told.push(["loss", hidden.has("raw") ? showValue(at) : `${showValue(exact)}, smoothed ${showValue(at)}`]);
      }
      for (const line of others) {
        const there = line.role === "gone" ? NaN : valueAt(line.ranges, smooth, step, stale);
        if (!Number.isNaN(there)) told.push([`loss of ${line.name}`, showValue(there)]);
      }
      return told;
    },
  };

  /** @param {Scene} s @param {import("../model/curve.js").Range[]} main @param {Line[]} rest @returns {Axis} */
  function lossAxis(s, main, rest) {
    const alive = [...main, ...rest.filter((l) => l.role !== "gone").flatMap((l) => l.ranges)];
    const [, most] = extent(main, raw, frame.x0, frame.x1);
    let [least, smoothMost] = extent(alive, smooth, frame.x0, frame.x1);
    const high = ceiling(Math.max(most || 0, smoothMost || 0), smoothMost, s.view.curve);
    if (whole || !(least < smoothMost)) return { low: 0, high };
    const room = Math.max(smoothMost - least, 1e-6) * 0.35;
    least = Math.max(0, least - room);
    return { low: least, high: Math.max(least + 1e-6, Math.min(high, smoothMost + room)) };
  }
}

/** Legend entries, which switch their lines. @param {Scene} scene @returns {Entry[]} */
function legendOf({ lines }) {
  const others = lines.lines.filter((line) => line.role !== "gone");
  const many = lines.lines.length > 0;
  /** @type {Entry[]} */
  const entries = [
    { key: "raw", text: "each step", role: "raw" },
    { key: `line:${lines.now}`, text: many ? `${lines.now} (now)` : "smoothed", role: "now" },
  ];
  for (const { name, role } of others) entries.push({ key: `line:${name}`, text: nameOf(name, role), role });
  if (lines.lines.some((line) => line.role === "gone")) entries.push({ key: "gone", text: "given up", role: "gone" });
  return lines.path.length ? entries : [];
}

/** @param {string} name @param {string} role */
export function nameOf(name, role) {
  return role === "twin" ? "twin (without)" : name;
}

/** @param {Scene} scene @returns {Plan} */
export function accuracyPanel(scene) {
  const { view, lines, hidden, frame, whole } = scene;
  const height = frame.low ? 66 : 92;
  const known = view.evals.filter((e) => e.accuracy != null);
  const valid = known.filter((e) => e.split === "valid");
  const now = along(lines, valid);
  const meters = metersOf(view, lines);
  const watched = meters.filter((meter) => meter.share && !hidden.has(meter.key));
  const axis = accuracyAxis([...valid, ...watched.flatMap((meter) => meter.now)]);
  const sy = yOf(axis, height);
  const x = (/** @type {number} */ step) => frame.left + (frame.width * (step - frame.x0)) / (frame.x1 - frame.x0);
  const point = (/** @type {Evaluation} */ e) => `${round(x(e.step))} ${round(sy(Number(e.accuracy)))}`;
  const line = (/** @type {Evaluation[]} */ some) => (some.length > 1 ? `M${some.map(point).join("L")}` : "");
  const dots = (/** @type {Evaluation[]} */ some) => some.map((e) => `M${point(e)}h0`).join("");
  /** @type {Series[]} */
  const series = [];
  const twin = hidden.has(`line:${lines.twin?.name}`) || hidden.has("valid") ? [] : along(lines, valid, lines.twin);
  const shown = hidden.has(`line:${lines.now}`) || hidden.has("valid") ? [] : now;
  const from = (/** @type {Line} */ one, /** @type {Evaluation[]} */ own) => (own.length ? [...sharedBy(now, one), ...own] : []);
  if (!hidden.has("valid")) {
    for (const other of seen(scene).filter(({ role }) => role === "other")) {
      const own = along(lines, valid, other);
      if (own.length) series.push({ key: `other:${other.name}`, kind: "line", role: "other", d: line(from(other, own)) });
    }
    const gone = seen(scene).filter(({ role }) => role === "gone").map((one) => line(from(one, along(lines, valid, one))));
    if (!hidden.has("gone")) series.push({ key: "gone", kind: "line", role: "gone", d: gone.join("") });
  }
  if (twin.length) {
    const both = lines.twin ? from(lines.twin, twin) : twin;
    const last = both[both.length - 1].step;
    const beside = shown.filter((e) => e.step >= both[0].step && e.step <= last);
    if (both.length > 1 && beside.length > 1) {
      series.push({ key: "band", kind: "band", role: "twin", d: `M${both.map(point).join("L")}L${[...beside].reverse().map(point).join("L")}Z` });
    }
    series.push({ key: "twin", kind: "line", role: "twin", d: line(both) });
    series.push({ key: "twin-dots", kind: "dots", role: "twin", d: dots(twin) });
  }
  for (const meter of watched) series.push(...meterSeries(scene, meter, { line, dots }));
  series.push({ key: "now", kind: "line", role: "now", d: line(shown) });
  series.push({ key: "dots", kind: "dots", role: "now", d: shown.length > 80 ? "" : dots(shown) });
  const splits = Object.keys(SPLITS).filter((split) => split !== "valid")
    .map((split) => along(lines, known.filter((e) => e.split === split)));
  series.push({ key: "rings", kind: "rings", role: "now", d: splits.flat().map((e) => `M${point(e)}m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z`).join("") });
  return {
    key: "accuracy", title: "validation accuracy", said: now.length ? showAccuracy(now[now.length - 1].accuracy) : "", height,
    beside: splits.map((some) => some.at(-1)).map((e) => (e ? `◇ ${SPLITS[e.split]}\u00a0${showAccuracy(e.accuracy)}` : "")).filter(Boolean).join(" "),
    rows: axis.low === 0 && axis.high === 1 ? [0, 0.5, 1].map((v) => [sy(v), `${100 * v} %`])
      : rowsOf({ low: 100 * axis.low, high: 100 * axis.high }, 3).map(([v, text]) => [sy(v / 100), `${text} %`]),
    series, legend: entries(), labels: meterLabels(watched, frame, x, sy, height),
    tells(step) {
      /** @type {Told[]} */
      const told = [];
      const near = shown.filter((e) => e.step <= step).at(-1);
      if (near) told.push(["validation accuracy", `${showAccuracy(near.accuracy)}${near.step === step ? "" : ` (step ${near.step})`}`]);
      const beside = twin.filter((e) => e.step <= step).at(-1);
      if (beside) told.push([`accuracy of ${lines.twin?.name}`, showAccuracy(beside.accuracy)]);
      return [...told, ...meters.filter((meter) => !hidden.has(meter.key)).flatMap((meter) => meterTells(meter, step, lines.twin?.name))];
    },
  };

  /** Legend entries if there are meters; a meter whose values are not shares has only this entry, no line. @returns {Entry[]} */
  function entries() {
    if (!meters.length) return [];
    return [{ key: "valid", text: "validation", role: "now" }, ...meters.map((meter) => {
      const last = meter.now.at(-1);
      return { key: meter.key, text: `${meter.name}${last ? `\u00a0${showReading(meter, last)}` : ""}`, role: meter.share ? "meter" : "untold", hue: meter.hue };
    })];
  }

  /** @param {Evaluation[]} some @returns {Axis} */
  function accuracyAxis(some) {
    const inside = some.filter((e) => e.step >= frame.x0 && e.step <= frame.x1).map((e) => Number(e.accuracy));
    if (whole || !inside.length) return { low: 0, high: 1 };
    const [low, high] = [Math.min(...inside), Math.max(...inside)];
    const room = Math.max(0.02, 0.2 * (high - low));
    return { low: Math.max(0, low - room), high: Math.min(1, high + room) };
  }
}

/** @type {Record<string, string>} */
const SPLITS = { valid: "validation", train: "training", test: "test" };

/** The current timeline's loss minus the twin's, filled from zero; null without a twin. @param {Scene} scene @returns {Plan|null} */
export function differencePanel({ view, lines, apart, frame, hidden }) {
  if (!apart || hidden.has(`line:${lines.twin?.name}`)) return null;
  const height = 44;
  const [least, most] = extent(apart.ranges, apart.values, frame.x0, frame.x1);
  const reach = Math.max(Math.abs(least || 0), Math.abs(most || 0), 1e-3) * 1.1;
  const axis = { low: -reach, high: reach };
  const sy = yOf(axis, height);
  const d = path(apart.ranges, apart.values, frame, sy, [], GRAIN);
  const zero = round(sy(0));
  const filled = d.split("M").slice(1).map((part) => {
    const last = part.slice(part.lastIndexOf("L") + 1);
    return `M${part.split(" ")[0]} ${zero}L${part}L${last.split(" ")[0]} ${zero}Z`;
  }).join("");
  return {
    key: "difference", title: "with − without", said: [differenceWords(apart.last, apart.accuracy), ...metersApart(view, lines)].join("; "), height,
    rows: [[sy(reach / 1.1), showValue(reach / 1.1, 2)], [sy(0), "0"], [sy(-reach / 1.1), `−${showValue(reach / 1.1, 2)}`]],
    series: [{ key: "area", kind: "area", role: "twin", d: filled }, { key: "line", kind: "line", role: "apart", d }],
    legend: [],
    tells(step) {
      const at = valueAt(apart.ranges, apart.values, step);
      return Number.isNaN(at) ? [] : [["with − without", `${showSigned(at)} loss`]];
    },
  };
}

/** @param {number} value */
function showSigned(value) {
  return `${value < 0 ? "−" : "+"}${showValue(Math.abs(value), 2)}`;
}

/** "loss 0.12 lower, accuracy +3.1 points". @param {number} loss @param {number|null} accuracy */
export function differenceWords(loss, accuracy) {
  const size = Math.abs(loss);
  const same = [size < 0.0005, accuracy != null && Math.abs(accuracy) < 0.0005];
  if (same[0] && (same[1] || accuracy == null)) return same[1] ? "same loss and accuracy" : "same loss";
  const first = same[0] ? "same loss" : `loss ${showValue(size, 2)} ${loss < 0 ? "lower" : "higher"}`;
  return accuracy == null ? first : `${first}, ${same[1] ? "same accuracy" : `accuracy ${showPoints(accuracy)}`}`;
}

/** @param {number} value */
export function round(value) {
  return Math.round(value * 10) / 10;
}
