// Time in the view: lanes, what a rewind takes back, where the head may go. node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshName, goneNotes, lanesOf, nearBookmark, rewindTo } from "../../tlcourse/ui/static/model/lanes.js";
import { linkNote, memoryWords } from "../../tlcourse/ui/static/controls/header.js";
import { falling, line, note as did, stretch, viewOf } from "./chart_views.mjs";
import { detail } from "../../tlcourse/ui/static/controls/log.js";

const steps = (low, high) => falling(low, high);
const lane = (view, at = 0, room = 0) => lanesOf(view, () => room)[at];

test("one timeline is one lane, from its beginning to where the run is", () => {
  const { row, start, tip, far, present } = lane(viewOf([stretch("main", steps(1, 30))]));
  assert.deepEqual([row, start, tip, far, present], [0, 0, 30, 30, true]);
});

test("after a rewind the lane shows what was given up", () => {
  const back = viewOf([stretch("main", steps(1, 90)), stretch("main", steps(41, 60), { root: [0, 40] })], { lines: [line("main", "now", [0, 0, 40], [1]), line("main", "gone", [0, 40, 90])] });
  assert.deepEqual([lane(back).tip, lane(back).far], [60, 90]);
});

test("a timeline left just after a rewind ends where it was wound back to", () => {
  const view = viewOf([stretch("main", steps(1, 90)), stretch("main", [], { root: [0, 40] }), stretch("b", steps(41, 45), { root: [0, 40] })], {
    lines: [line("b", "now", [0, 0, 40], [2]), line("main", "gone", [0, 40, 90])] });
  assert.deepEqual([lane(view).tip, lane(view).far], [40, 90]);
});

test("lanes share a row where they fit, and never the first or the present one's", () => {
  const twin = (name, low, high) => stretch(name, steps(low, high), { root: [0, low - 1], control: true });
  const view = viewOf([stretch("main", steps(1, 200)), twin("twin", 21, 40), twin("twin 2", 31, 60), twin("twin 3", 101, 120)]);
  assert.deepEqual(lanesOf(view, () => 10).map((one) => one.row), [0, 1, 2, 1]);
  assert.deepEqual(lanesOf(view, () => 70).map((one) => one.row), [0, 1, 2, 3]);
});

test("what lies on a part given up was taken back, be it a command that steers; a refusal was not", () => {
  const lines = [line("main", "now", [0, 0, 20], [1]), line("main", "gone", [0, 20, 30])];
  const notes = [did({ step: 10 }), did({ step: 20, kind: "set_lr" }), did({ step: 25, kind: "save" }), did({ step: 26, ok: false }), did({ step: 20, kind: "rewind", at: [1, 0] })];
  const view = viewOf([stretch("main", steps(1, 30)), stretch("main", [], { root: [0, 20] })], { lines, notes });
  assert.deepEqual(goneNotes(view), [false, true, false, false, false]);
});

test("the command names the timeline only if it is another one, and the bookmark where there is one", () => {
  const view = viewOf([stretch("main", steps(1, 9))]);
  assert.deepEqual(rewindTo(view, { step: 4, branch: "main", name: null }), { kind: "rewind", to: 4 });
  assert.deepEqual(rewindTo(view, { step: 4, branch: "b", name: "warm" }), { kind: "rewind", to: "warm", branch: "b" });
});

test("the head snaps to the nearest bookmark of the present timeline within reach", () => {
  const mark = (name, branch, step, at) => ({ name, branch, step, mb: 1, at });
  const view = viewOf([stretch("main", steps(1, 90)), stretch("main", steps(41, 60), { root: [0, 40] })], {
    lines: [line("main", "now", [0, 0, 40], [1]), line("main", "gone", [0, 40, 90])],
    bookmarks: [mark("a", "main", 30, [0, 30]), mark("b", "main", 44, [1, 4]), mark("given up", "main", 43, [0, 43]), mark("c", "x", 43, [1, 3])] });
  assert.equal(nearBookmark(view, 43, 5)?.name, "b");
  assert.equal(nearBookmark(view, 60, 5), null);
});

test("names offered are free", () => {
  assert.equal(freshName("branch", ["branch 1", "main", "branch 3"]), "branch 2");
});

test("a rewind says from where", () => {
  assert.equal(detail(did({ kind: "rewind", step: 20, from_step: 90, from_branch: "main" })), "back from step 90");
  assert.equal(detail(did({ kind: "rewind", step: 20, from_step: 90, from_branch: "hot" })), "back from step 90 of hot");
});

test("memory is told briefly, the GPU's first where there is one, and in full on demand", () => {
  const words = (memory, brief) => memoryWords(viewOf([stretch("main", steps(1, 9))], { now: { memory } }), brief).replaceAll("\u00a0", " ");
  assert.equal(words({ process: 812.4, snapshots: 12 }, true), "812 MB");
  assert.equal(words({ process: 812.4, snapshots: 12 }, false), "Memory: kernel process 812 MB, snapshots for rewinding 12 MB");
  assert.equal(words({ process: 812, snapshots: 0, gpu: 2345, gpu_total: 150000 }, true), "GPU 2.3 GB of 150 GB");
  assert.equal(words({}, true) + words({}, false), "");
});

test("a recording that plays is no lost kernel", () => {
  assert.equal(linkNote({ ...viewOf([stretch("main", steps(1, 9))]), link: "live" }), "");
});
