// The pure parts of the chart: node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { ceiling, exits, extent, indexAt, makeSmoother, path } from "../../tlcourse/ui/static/model/curve.js";
import { along, difference, linesOf, roleOf, tipNow, valueAt } from "../../tlcourse/ui/static/model/lines.js";
import { marksOf, steeredAt } from "../../tlcourse/ui/static/chart/marks.js";
import { measurePanel } from "../../tlcourse/ui/static/chart/measures.js";
import { accuracyPanel, differencePanel, differenceWords, lossPanel } from "../../tlcourse/ui/static/chart/panels.js";
import { NARROWEST, apart, decades, fit, panned, roomFor, rowsOf, share, zoomed } from "../../tlcourse/ui/static/chart/scale.js";
import { spoken } from "../../tlcourse/ui/static/chart/spoken.js";
import { falling, note, evaluation, line, rule, simple, storied, stretch, viewOf } from "./chart_views.mjs";

const steps = (values, from = 1) => values.map((y, i) => [from + i, y]);
const ranges = (one) => [{ stretch: { ...one, id: 0 }, from: 0, to: one.n }];
const smoothOf = (view) => makeSmoother()(view.stretches, view.curve);
const points = (d) => [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);

function sceneOf(view, { x0 = 0, x1 = 400, width = 400, hidden = [], whole = true } = {}) {
  const lines = linesOf(view);
  const smooth = smoothOf(view);
  return { view, lines, smooth, raw: view.stretches.map(({ y }) => y), apart: difference(view, lines, smooth), whole, hidden: new Set(hidden), frame: { x0, x1, left: 0, width } };
}

// -- smoothing ---------------------------------------------------------------------------------

test("smoothing keeps a constant, follows gaps and starts at the first value", () => {
  const [flat] = smoothOf(viewOf([stretch("main", steps(Array(50).fill(2)))]));
  assert.ok(flat.slice(0, 50).every((v) => Math.abs(v - 2) < 1e-6));
  const [gap] = smoothOf(viewOf([stretch("main", steps([4, NaN, 4]))]));
  assert.equal(gap[0], 4);
  assert.ok(Number.isNaN(gap[1]));
  assert.equal(gap[2], 4);
});

test("what is smoothed a little at a time is what is smoothed at once, to the last bit", () => {
  const { stretches, curve } = storied();
  const little = makeSmoother();
  for (let n = 0; n <= 700; n += 7) little(stretches.map((one, id) => ({ ...one, n: Math.max(0, Math.min(n - 140 * id, one.n)) })), curve);
  const once = makeSmoother()(stretches, curve);
  little(stretches, curve).forEach((values, id) => assert.deepEqual(values.slice(0, stretches[id].n), once[id].slice(0, stretches[id].n)));
});

test("a finer snapshot is smoothed anew; what the kernel smoothed is taken as it is", () => {
  const smoother = makeSmoother();
  const saved = { ...stretch("main", [[1, 3], [50, 9], [99, 1]]), id: 0, smooth: Float64Array.from([3, 4, 5]) };
  assert.equal(smoother([saved], rule(3))[0][2], 5);
  const fine = { ...stretch("main", steps(Array(120).fill(2))), id: 0 };
  assert.equal(smoother([fine], rule(2))[0][5], 2);
});

test("a stretch goes on from the mean where it begins, not from the blow-up", () => {
  const blown = stretch("main", [...steps(Array(20).fill(1)), ...steps(Array(10).fill(1e6), 21)]);
  const [first, again] = smoothOf(viewOf([blown, stretch("main", steps(Array(5).fill(1), 21), { root: [0, 20] })]));
  assert.ok(first[29] > 5 && first[29] <= 6, "an explosion counts as the cap");
  assert.ok(Math.abs(again[0] - 1) < 1e-6);
});

test("a twin's mean begins where its parent's was, so that equal losses differ by nothing", () => {
  const view = viewOf([stretch("main", falling(1, 200)), stretch("twin", falling(1, 200).slice(100), { root: [0, 100], control: true })]);
  const smooth = smoothOf(view);
  assert.deepEqual(smooth[1].slice(0, 100), smooth[0].slice(100, 200));
  const gap = difference(view, linesOf(view), smooth);
  assert.equal(gap.last, 0);
  assert.ok(gap.values[1].slice(0, 100).every((v) => v === 0));
});

// -- lines -------------------------------------------------------------------------------------

test("lines are drawn as the kernel tells them, each from the point where it leaves another", () => {
  const view = storied();
  const lines = linesOf(view);
  const rising = lines.path.flatMap(({ stretch: s, from, to }) => Array.from(s.x.slice(from, to)));
  assert.deepEqual(rising, Array.from({ length: 330 }, (_, i) => i + 1));
  assert.deepEqual(lines.lines.map((one) => [one.name, one.role, one.lead[0].x[one.lead[1]]]), [["main", "gone", 100], ["bolder", "other", 180], ["twin", "twin", 200]]);
  assert.equal(lines.twin, lines.lines[2]);
});

test("just after a rewind, before any step, the run is where it was wound back to", () => {
  const view = viewOf([stretch("main", steps([5, 4, 3, 2])), stretch("main", [], { root: [0, 2] })], {
    now: { step: 2 }, lines: [line("main", "now", [0, 0, 2], [1]), line("main", "gone", [0, 2, 4])] });
  const lines = linesOf(view);
  assert.equal(tipNow(view, lines), 2);
  assert.deepEqual(lines.path.map(({ from, to }) => [from, to]), [[0, 2]]);
  assert.deepEqual(lines.lines.map((one) => one.role), ["gone"]);
});

test("a line without points is not drawn, and measurements on it are found", () => {
  const view = viewOf([stretch("main", steps([5, 4])), stretch("b", [], { root: [0, 2] })]);
  assert.deepEqual(linesOf(view).lines, []);
  assert.equal(roleOf(view, linesOf(view), { at: [1, 0] }), "other");
});

test("measurements belong to the line on which they were made", () => {
  const view = storied();
  const lines = linesOf(view);
  const role = (...at) => roleOf(view, lines, { at });
  assert.deepEqual([role(0, 99), role(0, 120), role(1, 20), role(2, 40), role(4, 20)], ["now", "gone", "now", "other", "twin"]);
  assert.equal(roleOf(view, lines, { at: null }), null);
  assert.deepEqual(along(lines, view.rates).map((one) => [one.step, one.lrs.head]), [[0, 1e-3], [100, 1e-3], [110, 3e-4], [200, 3e-4]]);
});

test("values are read at a step or just before it", () => {
  const one = stretch("main", [[1, 5], [2, 4], [9, 3]]);
  const values = [one.y];
  assert.equal(valueAt(ranges(one), values, 2), 4);
  assert.equal(valueAt(ranges(one), values, 8), 4);
  assert.ok(Number.isNaN(valueAt(ranges(one), values, 8, 3)));
  assert.ok(Number.isNaN(valueAt(ranges(one), values, 0)));
});

test("the difference is with minus without, at the steps that both took", () => {
  const view = storied();
  const gap = difference(view, linesOf(view), smoothOf(view));
  assert.equal(gap.since, 200);
  assert.ok(gap.last < -0.05 && gap.last > -0.2, `${gap.last}`);
  assert.ok(Math.abs(gap.accuracy - 0.06 * (1 - Math.exp(-130 / 40))) < 1e-9);
  assert.equal(difference(simple(), linesOf(simple()), smoothOf(simple())), null);
});

test("the difference in words", () => {
  assert.equal(differenceWords(-0.12, 0.031), "loss 0.12 lower, accuracy +3.1\u00a0points");
  assert.equal(differenceWords(0.5, -0.02), "loss 0.5 higher, accuracy −2\u00a0points");
  assert.equal(differenceWords(-0.0063, 0), "loss 0.0063 lower, same accuracy");
  assert.equal(differenceWords(0, null), "same loss");
  assert.equal(differenceWords(0.00001, 0), "same loss and accuracy");
});

// -- paths -------------------------------------------------------------------------------------

test("100,000 points become at most two per pixel column and keep the one spike", () => {
  const n = 100_000;
  const y = new Float32Array(n).fill(1);
  y[61_234] = 9;
  const one = { ...stretch("main", []), n, x: Float32Array.from({ length: n }, (_, i) => i + 1), y };
  const d = path([{ stretch: { ...one, id: 0 }, from: 0, to: n }], [y], { x0: 0, x1: n, left: 50, width: 600 }, (v) => 100 - 10 * v);
  const drawn = points(d);
  assert.ok(drawn.length <= 2 * 601, `${drawn.length}`);
  assert.equal(Math.min(...drawn.map(([, py]) => py)), 10);
  const [spike] = drawn.find(([, py]) => py === 10);
  assert.ok(Math.abs(spike - (50 + (61_235 / n) * 600)) <= 1, `${spike}`);
});

test("zoomed in, each point is where it belongs and one more on each side leads out", () => {
  const one = stretch("main", steps(Array.from({ length: 1000 }, (_, i) => i)));
  const d = path(ranges(one), [one.y], { x0: 100, x1: 110, left: 0, width: 100 }, (v) => v);
  assert.deepEqual(points(d).map(([x]) => x), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
  assert.equal(points(d)[3][1], 102);
});

test("a gap in the curve lifts the pen", () => {
  const one = stretch("main", steps([1, 2, NaN, 3, 4]));
  const d = path(ranges(one), [one.y], { x0: 0, x1: 5, left: 0, width: 5 }, (v) => v);
  assert.equal((d.match(/M/g) ?? []).length, 2);
});

test("a spike does not squeeze the curve, and an explosion leaves the scale", () => {
  assert.equal(ceiling(50, 1, rule(1)), 1.05 * 1.6);
  assert.equal(ceiling(2, 1.9, rule(2)), 1.05 * 2);
  assert.equal(ceiling(1e9, 1e8, rule(2)), 1.05 * 5);
  assert.equal(ceiling(NaN, NaN, rule(1)), 1);
  const one = stretch("main", steps([1, 1, 7, 8, 1, 1, 9]));
  assert.deepEqual(exits(ranges(one), [one.y], 5), [3, 7]);
  assert.deepEqual(extent(ranges(one), [one.y], 2, 4), [1, 8]);
  assert.deepEqual(extent(ranges(one), [one.y], 8, 9), [NaN, NaN]);
});

test("indexAt finds the last step not after", () => {
  const x = Float32Array.from([1, 2, 5, 9]);
  assert.equal(indexAt(x, 0, 4, 5), 2);
  assert.equal(indexAt(x, 0, 4, 8), 2);
  assert.equal(indexAt(x, 0, 4, 0.5), -1);
  assert.equal(indexAt(x, 2, 4, 1), 1);
});

// -- panels ------------------------------------------------------------------------------------

test("a simple run has one line, its raw one, and no difference", () => {
  const scene = sceneOf(simple());
  const plan = lossPanel(scene);
  assert.deepEqual(plan.series.map((one) => one.key), ["raw", "now"]);
  assert.deepEqual(plan.legend.map((entry) => entry.text), ["each step", "smoothed"]);
  assert.equal(differencePanel(scene), null);
  assert.equal(plan.tip[0], 230);
  assert.match(accuracyPanel(scene).beside, /test.83/);
});

test("the legend switches lines off, in the picture and in what hovering tells", () => {
  const all = lossPanel(sceneOf(storied()));
  assert.deepEqual(all.legend.map((entry) => entry.key), ["raw", "line:main", "line:bolder", "line:twin", "gone"]);
  const roles = (plan) => plan.series.map((one) => one.role);
  assert.ok(roles(all).includes("gone") && roles(all).includes("twin") && roles(all).includes("other"));
  assert.ok(all.tells(220).some(([what]) => what === "loss of twin"));
  const few = sceneOf(storied(), { hidden: ["gone", "line:twin", "raw"] });
  assert.deepEqual(roles(lossPanel(few)).sort(), ["now", "other"]);
  assert.ok(!lossPanel(few).tells(220).some(([what]) => what === "loss of twin"));
  assert.ok(!accuracyPanel(few).series.some((one) => one.role === "twin" || one.role === "gone"));
  assert.equal(differencePanel(few), null);
});

test("a branch's accuracy begins where it left, not at its own first measurement", () => {
  const branch = accuracyPanel(sceneOf(storied())).series.find((one) => one.key === "other:bolder");
  assert.deepEqual(points(branch.d).map(([x]) => x), [170, 200, 220, 240, 260]); // it left at 180
});

test("accuracies that were given up stay one line each, the run's and its twin's", () => {
  const twin = stretch("twin", falling(61, 90), { root: [0, 60], control: true });
  const pairs = [70, 80, 90].flatMap((step) => [evaluation(step, 0.2, { at: [0, step - 1] }), evaluation(step, 0.8, { branch: "twin", at: [1, step - 61] })]);
  const view = viewOf([stretch("main", falling(1, 90)), twin, stretch("main", falling(61, 70), { root: [0, 60] })], {
    evals: [evaluation(60, 0.7, { at: [0, 59] }), ...pairs],
    lines: [line("main", "now", [0, 0, 60], [2]), line("main", "gone", [0, 60, 90]), line("twin", "gone", [1])] });
  const gone = accuracyPanel(sceneOf(view)).series.find((one) => one.key === "gone").d;
  assert.deepEqual(gone.split("M").slice(1).map((part) => part.split("L").length), [4, 4]);
});

test("the given-up blow-up does not set the scale", () => {
  const rows = lossPanel(sceneOf(storied())).rows.map(([, text]) => Number(text));
  assert.ok(Math.max(...rows) <= 3, `${rows}`);
});

test("the area of the difference is closed on its zero line, below it when the loss is lower", () => {
  const plan = differencePanel(sceneOf(storied()));
  const [area, line] = plan.series;
  const zero = plan.rows[1][0];
  assert.ok(area.d.endsWith("Z"));
  const [first, ...rest] = points(area.d);
  assert.equal(first[1], zero);
  assert.ok(rest.every(([, y]) => y >= zero - 1));
  assert.deepEqual(points(area.d).slice(1, -1), points(line.d));
});

test("zoomed in, loss and accuracy fill their panels", () => {
  const scene = sceneOf(simple(), { x0: 180, x1: 230, whole: false });
  const rows = (plan) => plan.rows.map(([, text]) => Number(text.replace(" %", "")));
  assert.ok(Math.max(...rows(lossPanel(scene))) < 0.8);
  assert.ok(Math.min(...rows(accuracyPanel(scene))) > 60);
});

test("rates are stairs on a logarithmic axis, with a gap while a group is frozen", () => {
  const view = viewOf([stretch("main", falling(1, 100))], { rates: [
    { step: 0, at: [0, 0], lrs: { head: 1e-2, stage4: 1e-3 } }, { step: 40, at: [0, 40], lrs: { head: 1e-2 } },
    { step: 60, at: [0, 60], lrs: { head: 1e-2, stage4: 1e-4 } }] });
  const plan = measurePanel(sceneOf(view, { x1: 100, width: 100 }), "rates");
  assert.deepEqual(plan.series.map((one) => one.key), ["group:stage4", "group:head"]);
  assert.equal(plan.series[0].d, "M0 55H40M60 103H100");
  assert.deepEqual(plan.tells(50), [["head", "0.01"]]);
  assert.deepEqual(plan.tells(99), [["stage4", "1e-4"], ["head", "0.01"]]);
  assert.deepEqual(measurePanel(sceneOf(view, { hidden: ["group:head"] }), "rates").series.map((one) => one.key), ["group:stage4"]);
});

test("norms are drawn for the groups that have them; movement from zero", () => {
  const scene = sceneOf(simple());
  assert.deepEqual(measurePanel(scene, "grad").legend.map((entry) => entry.text), ["stage4", "head"]);
  const moved = measurePanel(scene, "moved");
  assert.equal(moved.rows[0][1], "0 %");
  assert.equal(moved.tells(100).find(([name]) => name === "head")[1].replace("\u00a0", " "), "34 %");
  assert.equal(measurePanel(sceneOf(viewOf([stretch("main", falling(1, 9))])), "grad").said, "not measured yet");
});

// -- axes --------------------------------------------------------------------------------------

test("zooming keeps the step under the hand, stays inside, and ends at the whole", () => {
  assert.deepEqual(zoomed([0, 100], [0, 100], 20, 0.5), [10, 60]);
  assert.deepEqual(zoomed([10, 60], [0, 100], 20, 3), null);
  assert.deepEqual(zoomed([0, 100], [0, 100], 0, 1e-6), [0, NARROWEST]);
  assert.deepEqual(panned([10, 60], [0, 100], 5), [50, 100]);
  assert.deepEqual(fit([-20, 30], [0, 100]), [0, 50]);
  assert.equal(fit([-20, 130], [0, 100]), null);
});

test("a run whose end nobody knows gets an axis that moves seldom", () => {
  let ends = new Set();
  for (let n = 1; n <= 10_000; n += 1) {
    assert.ok(roomFor(n) > n);
    ends.add(roomFor(n));
  }
  assert.ok(ends.size < 40, `${ends.size}`);
});

test("a logarithmic axis goes from a power of ten to another", () => {
  assert.deepEqual(decades([3e-4, 1e-2]), { low: 1e-4, high: 1e-2, log: true });
  assert.deepEqual(decades([1e-3]), { low: 1e-3, high: 1e-2, log: true });
  assert.equal(share(decades([3e-4, 1e-2]), 1e-3), 0.5);
  assert.deepEqual(rowsOf(decades([3e-4, 1e-2]), 4).map(([, text]) => text), ["1e-4", "0.001", "0.01"]);
  assert.deepEqual(decades([0, NaN]), { low: 1e-4, high: 1e-2, log: true });
});

test("labels of the same place become one, others move apart", () => {
  const found = apart([{ y: 50, text: "a" }, { y: 50.5, text: "b" }, { y: 55, text: "c" }, { y: 98, text: "d" }], 12, 0, 95);
  assert.deepEqual(found.map((l) => [l.y, l.text]), [[50, "a, b"], [62, "c"], [95, "d"]]);
});

// -- marks and words ---------------------------------------------------------------------------

test("marks that would touch are one mark; evaluations and refusals are none", () => {
  const view = viewOf([stretch("main", falling(1, 60))], { bookmarks: [{ name: "start", branch: "main", step: 0, mb: 1, at: null }, { name: "warm", branch: "main", step: 42, mb: 1, at: [0, 42] }],
    notes: [10, 12, 40].map((step) => note({ tick: step, step })).concat(note({ tick: 50, step: 50, ok: false }), note({ tick: 55, step: 55, kind: "evaluate" })) });
  const marks = marksOf(view, linesOf(view), 5);
  assert.deepEqual(marks.map((m) => [m.step, m.notes.length, m.bookmarks.length]), [[10, 2, 0], [40, 1, 1]]);
  assert.deepEqual(steeredAt(view, linesOf(view)), [10, 12, 40]);
});

test("what was done on a part given up is pale; a rewind stands where the run was", () => {
  const view = storied();
  const marks = marksOf(view, linesOf(view), 0);
  assert.deepEqual(marks.map((m) => [m.step, m.pale]), [[110, false], [120, true], [140, false], [160, false], [180, true], [200, false]]);
  assert.deepEqual(steeredAt(view, linesOf(view)), [110, 200]);
});

test("stopping has a flag and a line as everything that changes how a run goes on", () => {
  const view = viewOf([stretch("main", falling(1, 60))], { notes: [note({ step: 60, kind: "stop", text: "stopped" }), note({ step: 30, kind: "pause" })] });
  assert.deepEqual(marksOf(view, linesOf(view), 0).map((m) => m.step), [60]);
  assert.deepEqual(steeredAt(view, linesOf(view)), [60]);
});

test("a bookmark off the present timeline is pale", () => {
  const view = { ...storied(), bookmarks: [{ name: "lost", branch: "main", step: 120, mb: 1, at: [0, 119] }], notes: [] };
  assert.deepEqual(marksOf(view, linesOf(view), 0).map((m) => [m.step, m.pale]), [[120, true]]);
});

test("a screen reader hears where the curves are", () => {
  const said = spoken(sceneOf(storied()));
  assert.match(said, /Step 330 of 400, running\. The training loss fell from 2\.\d+ to 0\.\d+/);
  assert.match(said, /Validation accuracy is 89\.\d.% at step 330/);
  assert.match(said, /Current timeline: main\. Others: bolder/);
  assert.match(said, /change at step 200: loss 0\.\d+ lower, accuracy \+5\.8\u00a0points/);
  assert.match(said, /Learning rates: head 3e-4, stage4 1e-4, stage3 1e-4\./);
  assert.equal(spoken(sceneOf(viewOf([]))), "No steps taken yet, of 400.");
});

test("an empty view is drawn empty", () => {
  const scene = sceneOf(viewOf([stretch("main", [])], { evals: [evaluation(0, 0.1)] }));
  assert.deepEqual(lossPanel(scene).legend, []);
  assert.match(accuracyPanel(scene).said, /^10.%$/);
  assert.deepEqual(measurePanel(scene, "rates").series, []);
});
