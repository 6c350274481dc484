// Meters in the accuracy panel: node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeSmoother } from "../../tlcourse/ui/static/model/curve.js";
import { difference, linesOf } from "../../tlcourse/ui/static/model/lines.js";
import { meterLabels, metersOf } from "../../tlcourse/ui/static/chart/meters.js";
import { accuracyPanel, differencePanel } from "../../tlcourse/ui/static/chart/panels.js";
import { spoken } from "../../tlcourse/ui/static/chart/spoken.js";
import { evaluation, falling, line, stretch, viewOf } from "./chart_views.mjs";

const reading = (step, value, name, more) => evaluation(step, value, { split: "meter", name, loss: null, ...more });
const points = (d) => [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);

/** A run to 200, forgetting an old task, wound back from 140 to 120 before; a twin without since 100. */
function watched(more = []) {
  const at = (step) => (step <= 100 ? [0, step] : [2, step - 120]);
  const evals = [0, 50, 100, 150, 200].flatMap((step) => [evaluation(step, step / 250), reading(step, 0.95 - step / 400, "old task"), reading(step, 3 + step, "norm")]);
  const twin = [150, 200].map((step) => reading(step, 0.7, "old task", { branch: "twin", at: [1, step - 101] }));
  const lost = reading(140, 0.01, "old task", { at: [0, 139] });
  const placed = [...evals, ...more.filter((e) => e.branch === "main")].map((e) => ({ ...e, at: at(e.step) }));
  return viewOf(
    [stretch("main", falling(1, 140)), stretch("twin", falling(101, 200), { root: [0, 100], control: true }), stretch("main", falling(121, 200), { root: [0, 120] })],
    { evals: [...placed, ...twin, lost, ...more.filter((e) => e.branch !== "main")],
      lines: [line("main", "now", [0, 0, 120], [2]), line("twin", "twin", [1]), line("main", "gone", [0, 120, 140])] },
  );
}

function sceneOf(view, { x0 = 0, x1 = 400, hidden = [], whole = true } = {}) {
  const lines = linesOf(view);
  const smooth = makeSmoother()(view.stretches, view.curve);
  return { view, lines, smooth, raw: view.stretches.map(({ y }) => y), apart: difference(view, lines, smooth), whole, hidden: new Set(hidden), frame: { x0, x1, left: 0, width: 400 } };
}
const plain = (text) => text.replace(/\s/g, " ");
const drawn = (plan) => Object.fromEntries(plan.series.map((s) => [s.key, s]));

test("a meter is a line of its own colour beside the accuracy, with its name and legend", () => {
  const plan = accuracyPanel(sceneOf(watched()));
  const line = drawn(plan)["meter:old task:now"];
  assert.deepEqual(points(line.d).map(([x]) => x), [0, 50, 100, 150, 200]);
  assert.ok(points(line.d)[0][1] < points(line.d)[4][1]); // it falls
  assert.equal(line.role, "meter");
  assert.deepEqual(plan.labels.map((l) => [l.text, l.hue]), [["old task", line.hue]]);
  assert.deepEqual(plan.legend.map((e) => plain(e.text)), ["validation", "old task 45 %", "norm 203"]);
});

test("in a twin it is dashed and begins where the twin begins", () => {
  const twin = drawn(accuracyPanel(sceneOf(watched())))["meter:old task:twin"];
  assert.equal(twin.role, "meter-twin");
  assert.deepEqual(points(twin.d).map(([x]) => x), [100, 150, 200]);
});

test("the difference to the twin is told of each meter that both have read", () => {
  const alone = reading(200, 150, "norm", { branch: "twin", at: [1, 99] });
  const said = (more) => plain(differencePanel(sceneOf(watched(more))).said).split("; ").slice(1);
  assert.deepEqual(said([]), ["old task −25 points"]);
  assert.deepEqual(said([alone]), ["old task −25 points", "norm +53"]);
  assert.match(plain(spoken(sceneOf(watched()))), /; old task −25 points\./);
});

test("values that are no shares are told and not drawn", () => {
  const plan = accuracyPanel(sceneOf(watched()));
  assert.deepEqual(plan.series.filter((s) => s.key.startsWith("meter:norm")), []);
  assert.deepEqual(plan.tells(180).slice(-3).map((told) => told.map(plain)), [["old task", "57.5 % (step 150)"], ["old task of twin", "70 %"], ["norm", "153 (step 150)"]]);
});

test("the legend switches a meter off, and the accuracy", () => {
  const keys = (hidden) => Object.entries(drawn(accuracyPanel(sceneOf(watched(), { hidden })))).filter(([, s]) => s.d).map(([key]) => key);
  assert.ok(!keys(["meter:old task"]).some((key) => key.startsWith("meter")));
  assert.ok(keys(["valid"]).every((key) => key.startsWith("meter")));
  assert.ok(keys([]).includes("now") && keys([]).includes("meter:old task:dots"));
});

test("without meters the panel is what it was", () => {
  const view = viewOf([stretch("main", falling(1, 200))], { evals: [evaluation(100, 0.5)] });
  const plan = accuracyPanel(sceneOf(view));
  assert.deepEqual([plan.legend, plan.labels], [[], []]);
  assert.ok(plan.series.every((s) => !s.key.startsWith("meter")));
});

test("on another timeline a meter is faint, from where that begins", () => {
  const view = watched();
  const bold = { ...stretch("bold", falling(151, 180), { root: [2, 30] }), id: 3 };
  const more = { ...view, stretches: [...view.stretches, bold], lines: [...view.lines, line("bold", "other", [3])], evals: [...view.evals, reading(170, 0.2, "old task", { branch: "bold", at: [3, 19] })] };
  const faint = drawn(accuracyPanel(sceneOf(more)))["meter:old task:other:bold"];
  assert.equal(faint.role, "meter-other");
  assert.deepEqual(points(faint.d).map(([x]) => x), [150, 170]);
});

test("labels do not lie upon each other", () => {
  const view = watched([0, 50, 100, 150, 200].flatMap((step) => ["second", "third"].map((name) => reading(step, 0.45, name, { tick: step > 140 ? step + 20 : step }))));
  const scene = sceneOf(view);
  const labels = meterLabels(metersOf(view, scene.lines).filter((m) => m.share), scene.frame, (x) => x, () => 50, 92);
  const heights = labels.map((l) => l.y).sort((a, b) => a - b);
  assert.equal(labels.length, 3);
  assert.ok(heights.slice(1).every((y, i) => y - heights[i] >= 12), `${heights}`);
});

test("a screen reader hears of it", () => {
  assert.match(plain(spoken(sceneOf(watched()))), /old task: 45 % at step 200, 95 % at step 0, 70 % in the twin\./);
});
