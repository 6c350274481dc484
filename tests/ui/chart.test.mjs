// The pure parts of the chart: node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { ceiling, exits, extent, indexAt, keepOf, makeSmoother, path, pieces, seek } from "../../tlcourse/ui/static/model/curve.js";
import { along, difference, roleOf, timelinesOf, tipNow, valueAt } from "../../tlcourse/ui/static/model/lines.js";
import { marksOf, steeredAt } from "../../tlcourse/ui/static/chart/marks.js";
import { measurePanel } from "../../tlcourse/ui/static/chart/measures.js";
import { accuracyPanel, differencePanel, differenceWords, lossPanel } from "../../tlcourse/ui/static/chart/panels.js";
import { NARROWEST, apart, decades, fit, panned, roomFor, rowsOf, share, zoomed } from "../../tlcourse/ui/static/chart/scale.js";
import { spoken } from "../../tlcourse/ui/static/chart/spoken.js";
import { falling, note, evaluation, simple, storied, stream, viewOf } from "./chart_views.mjs";

const steps = (values, from = 1) => values.map((y, i) => [from + i, y]);
const ranges = (one) => [{ stream: one, from: 0, to: one.n }];
const calmOf = (view) => makeSmoother()(view.streams, view.order);
const points = (d) => [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);

function sceneOf(view, { x0 = 0, x1 = 400, width = 400, hidden = [], whole = true } = {}) {
  const lines = timelinesOf(view);
  const calm = calmOf(view);
  const raw = Object.fromEntries(view.order.map((name) => [name, view.streams[name].y]));
  return { view, lines, calm, raw, apart: difference(view, lines, calm), whole, hidden: new Set(hidden), frame: { x0, x1, left: 0, width } };
}

// -- smoothing ---------------------------------------------------------------------------------

test("smoothing keeps a constant, follows gaps and starts at the first value", () => {
  const flat = calmOf(viewOf([stream("main", steps(Array(50).fill(2)))])).main;
  assert.ok(flat.slice(0, 50).every((v) => Math.abs(v - 2) < 1e-6));
  const gap = calmOf(viewOf([stream("main", steps([4, NaN, 4]))])).main;
  assert.equal(gap[0], 4);
  assert.ok(Number.isNaN(gap[1]));
  assert.equal(gap[2], 4);
});

test("what is smoothed a little at a time is what is smoothed at once", () => {
  const all = storied().streams.main;
  const little = makeSmoother();
  let calm;
  for (let n = 0; n <= all.n; n += 7) {
    const now = { ...all, n, cuts: all.cuts.filter((cut) => cut.index <= n) };
    calm = little({ main: now }, ["main"]);
  }
  calm = little({ main: all }, ["main"]).main;
  const once = makeSmoother()({ main: all }, ["main"]).main;
  assert.ok(calm.slice(0, all.n).every((v, i) => Math.abs(v - once[i]) < 1e-5 * once[i]));
});

test("a finer snapshot after a saved, thinned curve is smoothed anew", () => {
  const smoother = makeSmoother();
  smoother({ main: stream("main", [[1, 3], [50, 9], [99, 1]]) }, ["main"]);
  const fine = stream("main", steps(Array(120).fill(2)));
  assert.equal(smoother({ main: fine }, ["main"]).main[5], 2);
});

test("after a rewind the mean goes on from that step, not from the blow-up", () => {
  const blown = stream("main", [...steps(Array(20).fill(1)), ...steps(Array(10).fill(1e6), 21), ...steps(Array(5).fill(1), 21)], { cuts: [[30, 21]] });
  const calm = makeSmoother()({ main: blown }, ["main"]).main;
  assert.ok(calm[29] > 1e5);
  assert.ok(Math.abs(calm[30] - 1) < 1e-6, `${calm[30]}`);
});

test("a twin's mean begins where its parent's was, so that equal losses differ by nothing", () => {
  const main = stream("main", falling(1, 200));
  const twin = stream("twin", falling(1, 200).slice(100), { parent: "main", start: 100, control: true });
  const view = viewOf([main, twin]);
  const calm = calmOf(view);
  assert.deepEqual(calm.twin.slice(0, 100), calm.main.slice(100, 200));
  const gap = difference(view, timelinesOf(view), calm);
  assert.equal(gap.last, 0);
  assert.ok(gap.values.twin.slice(0, 100).every((v) => v === 0));
});

test("the window grows in rungs up to a hundred steps", () => {
  assert.equal(keepOf(10), 0.75);
  assert.equal(keepOf(1e6), keepOf(1e5));
  assert.ok(keepOf(1e6) <= 0.99 && keepOf(1e6) > 0.985);
  assert.equal(keepOf(4000), keepOf(4100));
});

// -- timelines ---------------------------------------------------------------------------------

test("a rewind gives up what came after it, also when a later one goes further back", () => {
  const one = stream("main", [...steps([1, 1, 1, 1, 1]), ...steps([2, 2, 2, 2], 3), ...steps([3, 3], 2)], { cuts: [[5, 3], [9, 2]] });
  assert.deepEqual(pieces(one), [
    { from: 0, to: 1, gone: false }, { from: 1, to: 5, gone: true }, { from: 5, to: 9, gone: true }, { from: 9, to: 11, gone: false },
  ]);
  assert.equal(seek(one, 2), 9);
  assert.equal(seek(one, 4, 9), 6);
  assert.equal(seek(one, 0), -1);
});

test("just after a rewind, before any step, the run is where it was wound back to", () => {
  const view = viewOf([stream("main", steps([5, 4, 3, 2]), { cuts: [[4, 3]] })], { now: { step: 2 } });
  const lines = timelinesOf(view);
  assert.equal(tipNow(view, lines), 2);
  assert.deepEqual(lines.path.map(({ from, to }) => [from, to]), [[0, 2]]);
  assert.deepEqual(lines.lines.map((line) => line.role), ["gone"]);
});

test("the present timeline's path is its past in the parent and its own", () => {
  const view = storied();
  const there = { ...view, now: { ...view.now, branch: "bolder" } };
  const lines = timelinesOf(there);
  const rising = lines.path.flatMap(({ stream: s, from, to }) => Array.from(s.x.slice(from, to)));
  assert.deepEqual(rising, Array.from({ length: 260 }, (_, i) => i + 1));
  assert.deepEqual([...new Set(lines.lines.map((line) => `${line.role} ${line.name}`))].sort(), ["gone main", "gone twin", "other main"]);
  assert.equal(lines.lines.find((line) => line.role === "other").ranges[0].stream.x[lines.lines.find((line) => line.role === "other").ranges[0].from], 180);
});

test("measurements belong to the line on which they were made", () => {
  const view = storied();
  const lines = timelinesOf(view);
  const role = (step, tick, branch = "main") => roleOf(view, lines, { step, tick, branch });
  assert.equal(role(100, 100), "now");
  assert.equal(role(120, 120), "gone");
  assert.equal(role(120, 160), "now");
  assert.equal(role(220, 360, "bolder"), "other");
  assert.equal(role(220, 260, "twin"), "twin");
  assert.deepEqual(along(view, lines, view.rates).map((r) => [r.step, r.lrs.head]), [[0, 1e-3], [100, 1e-3], [110, 3e-4], [200, 3e-4]]);
});

test("a twin is compared with what had its intervention, and with nothing else", () => {
  const twin = stream("twin", falling(61, 90), { parent: "main", start: 60, control: true, after: 2 });
  const again = falling(1, 90).concat(falling(61, 80));
  const main = stream("main", again, { cuts: [[90, 61]] });
  const set = (name, step) => note({ kind: "save", step, command: { kind: "save", name } });
  const back = (to, step) => note({ kind: "rewind", step, command: { kind: "rewind", to } });
  const role = (notes) => timelinesOf(viewOf([main, twin], { notes })).twin;
  const did = note({ kind: "unfreeze", step: 60 });
  assert.equal(role([set("calm", 60), did]), "twin");
  assert.equal(role([set("calm", 60), did, back(60, 60)]), null);
  assert.equal(role([set("calm", 60), did, back("calm", 60)]), null);
  assert.equal(role([set("calm", 60), did, back(30, 30)]), null);
  assert.equal(role([set("calm", 60), did, back(61, 61)]), "twin");
  assert.equal(role([set("calm", 60), did, set("done", 60), back("done", 60)]), "twin");
  assert.equal(role([back(60, 60), did]), "twin"); // wound back before it began
  const undone = viewOf([main, twin], { notes: [set("calm", 60), did, back("calm", 60)] });
  assert.equal(difference(undone, timelinesOf(undone), calmOf(undone)), null);
  assert.deepEqual([...new Set(timelinesOf(undone).lines.map((line) => line.role))], ["gone"]);
});

test("an older twin is told as given up, the newest is the twin", () => {
  const view = viewOf([stream("main", falling(1, 90)), stream("twin", falling(21, 60), { parent: "main", start: 20, control: true }),
    stream("twin 2", falling(71, 90), { parent: "main", start: 70, control: true })]);
  assert.deepEqual(timelinesOf(view).lines.map((line) => [line.name, line.role]), [["twin", "gone"], ["twin 2", "twin"]]);
});

test("values are read at a step or just before it", () => {
  const one = stream("main", [[1, 5], [2, 4], [9, 3]]);
  const values = { main: one.y };
  assert.equal(valueAt(ranges(one), values, 2), 4);
  assert.equal(valueAt(ranges(one), values, 8), 4);
  assert.ok(Number.isNaN(valueAt(ranges(one), values, 8, 3)));
  assert.ok(Number.isNaN(valueAt(ranges(one), values, 0)));
});

test("the difference is with minus without, at the steps that both took", () => {
  const view = storied();
  const gap = difference(view, timelinesOf(view), calmOf(view));
  assert.equal(gap.since, 200);
  assert.ok(gap.last < -0.05 && gap.last > -0.2, `${gap.last}`);
  assert.ok(Math.abs(gap.accuracy - 0.06 * (1 - Math.exp(-130 / 40))) < 1e-9);
  assert.equal(difference(simple(), timelinesOf(simple()), calmOf(simple())), null);
});

test("the difference in words", () => {
  assert.equal(differenceWords(-0.12, 0.031), "0.12 lower loss, +3.1\u00a0points than without");
  assert.equal(differenceWords(0.5, -0.02), "0.5 higher loss, −2\u00a0points than without");
  assert.equal(differenceWords(-0.0063, 0.01), "0.0063 lower loss, +1\u00a0point than without");
  assert.equal(differenceWords(0, null), "the same loss as without");
  assert.equal(differenceWords(0.00001, 0), "the same loss and accuracy as without");
});

// -- paths -------------------------------------------------------------------------------------

test("100,000 points become at most two per pixel column and keep the one spike", () => {
  const n = 100_000;
  const y = new Float32Array(n).fill(1);
  y[61_234] = 9;
  const one = { ...stream("main", []), n, x: Float32Array.from({ length: n }, (_, i) => i + 1), y };
  const d = path([{ stream: one, from: 0, to: n }], { main: y }, { x0: 0, x1: n, left: 50, width: 600 }, (v) => 100 - 10 * v);
  const drawn = points(d);
  assert.ok(drawn.length <= 2 * 601, `${drawn.length}`);
  assert.equal(Math.min(...drawn.map(([, py]) => py)), 10);
  const [spike] = drawn.find(([, py]) => py === 10);
  assert.ok(Math.abs(spike - (50 + (61_235 / n) * 600)) <= 1, `${spike}`);
});

test("zoomed in, each point is where it belongs and one more on each side leads out", () => {
  const one = stream("main", steps(Array.from({ length: 1000 }, (_, i) => i)));
  const d = path(ranges(one), { main: one.y }, { x0: 100, x1: 110, left: 0, width: 100 }, (v) => v);
  assert.deepEqual(points(d).map(([x]) => x), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
  assert.equal(points(d)[3][1], 102);
});

test("a gap in the curve lifts the pen", () => {
  const one = stream("main", steps([1, 2, NaN, 3, 4]));
  const d = path(ranges(one), { main: one.y }, { x0: 0, x1: 5, left: 0, width: 5 }, (v) => v);
  assert.equal((d.match(/M/g) ?? []).length, 2);
});

test("a spike does not squeeze the curve, and an explosion leaves the scale", () => {
  assert.equal(ceiling(50, 1, 1), 1.6);
  assert.equal(ceiling(2, 1.9, 2), 2);
  assert.equal(ceiling(1e9, 1e8, 2), 5);
  assert.equal(ceiling(NaN, NaN, NaN), 1);
  const one = stream("main", steps([1, 1, 7, 8, 1, 1, 9]));
  assert.deepEqual(exits(ranges(one), { main: one.y }, 5), [3, 7]);
  assert.deepEqual(extent(ranges(one), { main: one.y }, 2, 4), [1, 8]);
  assert.deepEqual(extent(ranges(one), { main: one.y }, 8, 9), [NaN, NaN]);
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
  const twin = stream("twin", falling(61, 90), { parent: "main", start: 60, control: true });
  const main = stream("main", falling(1, 90).concat(falling(61, 70)), { cuts: [[90, 61]] });
  const pairs = [70, 80, 90].flatMap((step) => [evaluation(step, 0.2), evaluation(step, 0.8, { branch: "twin" })]);
  const view = viewOf([main, twin], { evals: [evaluation(60, 0.7), ...pairs], notes: [note({ kind: "rewind", tick: 90, step: 60 })] });
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
  const view = viewOf([stream("main", falling(1, 100))], { rates: [
    { tick: 0, step: 0, branch: "main", lrs: { head: 1e-2, stage4: 1e-3 } }, { tick: 40, step: 40, branch: "main", lrs: { head: 1e-2 } },
    { tick: 60, step: 60, branch: "main", lrs: { head: 1e-2, stage4: 1e-4 } }] });
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
  assert.equal(measurePanel(sceneOf(viewOf([stream("main", falling(1, 9))])), "grad").said, "not measured yet");
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
  const view = viewOf([stream("main", falling(1, 60))], { bookmarks: [{ name: "start", branch: "main", step: 0, mb: 1 }, { name: "warm", branch: "main", step: 42, mb: 1 }],
    notes: [10, 12, 40].map((step) => note({ tick: step, step })).concat(note({ tick: 50, step: 50, ok: false }), note({ tick: 55, step: 55, kind: "evaluate" })) });
  const marks = marksOf(view, timelinesOf(view), 5);
  assert.deepEqual(marks.map((m) => [m.step, m.notes.length, m.bookmarks.length]), [[10, 2, 0], [40, 1, 1]]);
  assert.deepEqual(steeredAt(view, timelinesOf(view)), [10, 12, 40]);
});

test("what was done on a part given up is pale; a rewind stands where the run was", () => {
  const view = storied();
  const marks = marksOf(view, timelinesOf(view), 0);
  assert.deepEqual(marks.map((m) => [m.step, m.pale]), [[110, false], [120, true], [140, false], [160, false], [180, true], [200, false]]);
  assert.deepEqual(steeredAt(view, timelinesOf(view)), [110, 200]);
});

test("what was done at the very step that a rewind goes back to is given up too", () => {
  const view = viewOf([stream("main", [...falling(1, 30), ...falling(21, 40)], { cuts: [[30, 21]] })], {
    notes: [note({ tick: 20, step: 20 }), note({ tick: 30, step: 20, from_step: 30, kind: "rewind" }), note({ tick: 35, step: 25 })] });
  assert.deepEqual(steeredAt(view, timelinesOf(view)), [25]);
});

test("a screen reader hears where the curves are", () => {
  const said = spoken(sceneOf(storied()));
  assert.match(said, /Step 330 of 400, running\. The training loss fell from 2\.\d+ to 0\.\d+/);
  assert.match(said, /Validation accuracy is 89\.\d.% at step 330/);
  assert.match(said, /others: bolder/);
  assert.match(said, /from step 200 on: 0\.\d+ lower loss, \+5\.8\u00a0points than without/);
  assert.match(said, /Learning rates: head 3e-4, stage4 1e-4, stage3 1e-4\./);
  assert.equal(spoken(sceneOf(viewOf([]))), "No step was taken yet, of 400.");
});

test("an empty view is drawn empty", () => {
  const scene = sceneOf(viewOf([], { evals: [evaluation(0, 0.1)] }));
  assert.deepEqual(lossPanel(scene).legend, []);
  assert.match(accuracyPanel(scene).said, /^10.%$/);
  assert.deepEqual(measurePanel(scene, "rates").series, []);
});
