// What a view draws of messages from a kernel, as JSON: node drawn_lines.mjs < cases > pictures

import { readFileSync } from "node:fs";

import { goneNotes, lanesOf } from "../../tlcourse/ui/static/model/lanes.js";
import { along, difference, leadOf, linesOf, roleOf } from "../../tlcourse/ui/static/model/lines.js";
import { makeSmoother } from "../../tlcourse/ui/static/model/curve.js";
import { emptyView, reduce } from "../../tlcourse/ui/static/model/reduce.js";
import { accuracyPanel, differencePanel, lossPanel } from "../../tlcourse/ui/static/chart/panels.js";
import { marksOf, steeredAt } from "../../tlcourse/ui/static/chart/marks.js";

const floats = (/** @type {string} */ text) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
const points = (/** @type {any[]} */ ranges, /** @type {any[]} */ values) => ranges.flatMap(({ stretch, from, to }) => Array.from(values[stretch.id].slice(from, to), (v) => (Number.isFinite(v) ? v : null)));

/** @param {any} view @param {(stretches: any[], rule: any) => Float64Array[]} smoothed */
function picture(view, smoothed) {
  const lines = linesOf(view);
  const smooth = smoothed(view.stretches, view.curve);
  const [raw, steps] = [view.stretches.map((s) => s.y), view.stretches.map((s) => s.x)];
  const apart = difference(view, lines, smooth);
  const scene = { view, lines, smooth, raw, apart, whole: true, hidden: new Set(), frame: { x0: 0, x1: 60, left: 0, width: 600 } };
  const valid = view.evals.filter((/** @type {any} */ e) => e.split === "valid");
  const all = [{ name: lines.now, role: "now", ranges: lines.path, lead: null, at: 0 }, ...lines.lines];
  return {
    lines: all.map((line) => ({
      name: line.name, role: line.role, steps: points(line.ranges, steps), losses: points(line.ranges, raw), smooth: points(line.ranges, smooth),
      start: leadOf(line, smooth)[0] ?? null, evals: along(lines, valid, line).map((e) => [e.step, e.accuracy]),
    })),
    hands: view.notes.filter((n) => n.ok && n.kind !== "warned").map((n) => (n.kind === "rewind" ? "now" : roleOf(view, lines, n))),
    gone: goneNotes(view), lanes: lanesOf(view, () => 1), marks: marksOf(view, lines, 0).map((m) => [m.step, m.pale]), steered: steeredAt(view, lines),
    drawn: [lossPanel(scene), accuracyPanel(scene), differencePanel(scene)].map((plan) => plan && [plan.rows, plan.legend, plan.series, plan.tells(20)]),
    top: lossPanel(scene).top,
  };
}

/** @param {any} state @param {any} message */
const hear = (state, { content, buffers }) => reduce(state, { ...content, losses: buffers.map(floats), now: 0 });

const cases = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map((/** @type {any} */ { live, late, saved }) => {
  const smoothed = makeSmoother();
  let view = emptyView();
  for (const message of live) {
    view = hear(view, message);
    smoothed(view.stretches, view.curve); // as it would be at each frame
  }
  return {
    live: picture(view, smoothed), late: picture(hear(emptyView(), late), makeSmoother()),
    saved: picture(reduce(emptyView(), { type: "snapshot", source: "trait", state: saved, now: 0 }), makeSmoother()),
  };
})));
