// Time in the view: lanes, what a rewind takes back, where the head may go. node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshName, goneNotes, lanesOf, nearBookmark, rewindTo } from "../../tlcourse/ui/static/model/lanes.js";
import { emptyView } from "../../tlcourse/ui/static/model/reduce.js";
import { extend } from "../../tlcourse/ui/static/model/stretches.js";
import { linkNote, memoryWords } from "../../tlcourse/ui/static/controls/header.js";
import { detail } from "../../tlcourse/ui/static/controls/log.js";

/** A timeline whose steps are these stretches [from, to]; each but the first begins with a cut. */
function stream(name, stretches, more = {}) {
  let made;
  for (const [low, high] of stretches) {
    const cuts = made ? [{ index: made.n, step: low }] : [];
    const told = { name, parent: null, start: 0, control: false, ...more, from: made?.n ?? 0, jumps: [[made?.n ?? 0, low]], cuts };
    made = extend(made, told, new Float32Array(high - low + 1));
  }
  return made;
}
function viewOf(streams, now) {
  return {
    ...emptyView(), streams: Object.fromEntries(streams.map((s) => [s.name, s])), order: streams.map((s) => s.name),
    now: { ...emptyView().now, branch: streams[0].name, ...now },
  };
}
const did = (kind, step, more) => ({ ok: true, kind, step, tick: step, branch: "main", command: { kind }, ...more });

test("one timeline is one lane, from its beginning to where the run is", () => {
  const [lane] = lanesOf(viewOf([stream("main", [[1, 30]])], { step: 30 }), () => 0);
  assert.deepEqual([lane.row, lane.start, lane.tip, lane.far, lane.present], [0, 0, 30, 30, true]);
});

test("after a rewind the lane shows what was given up", () => {
  const [lane] = lanesOf(viewOf([stream("main", [[1, 90], [41, 60]])], { step: 60 }), () => 0);
  assert.deepEqual([lane.tip, lane.far], [60, 90]);
});

test("a timeline left just after a rewind ends where it was wound back to", () => {
  const wound = { ...stream("main", [[1, 90]]), cuts: [{ index: 90, step: 41 }] };
  const [lane] = lanesOf(viewOf([wound, stream("b", [[1, 5]])], { branch: "b", step: 5 }), () => 0);
  assert.equal(lane.tip, 40);
});

test("a branch wound back to before it began is its own from there on", () => {
  const branch = stream("b", [[51, 70], [41, 45]], { parent: "main", start: 50 });
  const lane = lanesOf(viewOf([stream("main", [[1, 50]]), branch], { branch: "b", step: 45 }), () => 0)[1];
  assert.deepEqual([lane.start, lane.tip, lane.far], [40, 45, 70]);
});

test("lanes share a row where they fit, and never the first or the present one's", () => {
  const twin = (name, low, high) => stream(name, [[low, high]], { parent: "main", start: low - 1, control: true });
  const all = [stream("main", [[1, 200]]), twin("twin", 21, 40), twin("twin 2", 31, 60), twin("twin 3", 101, 120)];
  assert.deepEqual(lanesOf(viewOf(all, { step: 200 }), () => 10).map((lane) => lane.row), [0, 1, 2, 1]);
  assert.deepEqual(lanesOf(viewOf(all, { step: 200 }), () => 70).map((lane) => lane.row), [0, 1, 2, 3]);
});

test("a rewind takes back what was done at its step and later, and only on its timeline", () => {
  const notes = [did("freeze", 10), did("set_lr", 20), did("set_lr", 30), did("set_lr", 30, { branch: "b" }), did("save", 30), did("rewind", 20)];
  assert.deepEqual(goneNotes(notes), [false, true, true, false, false, false]);
  assert.deepEqual(goneNotes([...notes, did("set_lr", 20)]).at(-1), false);
});

test("a rewind to a bookmark keeps what was done before it was set", () => {
  const notes = [did("freeze", 20), did("save", 20, { command: { name: "warm" } }), did("set_lr", 20), did("rewind", 20, { command: { to: "warm" } })];
  assert.deepEqual(goneNotes(notes), [false, false, true, false]);
});

test("refusals are not taken back", () => {
  assert.deepEqual(goneNotes([did("freeze", 30, { ok: false }), did("rewind", 20)]), [false, false]);
});

test("the command names the timeline only if it is another one, and the bookmark where there is one", () => {
  const view = viewOf([stream("main", [[1, 9]])], { step: 9 });
  assert.deepEqual(rewindTo(view, { step: 4, branch: "main", name: null }), { kind: "rewind", to: 4 });
  assert.deepEqual(rewindTo(view, { step: 4, branch: "b", name: "warm" }), { kind: "rewind", to: "warm", branch: "b" });
});

test("the head snaps to the nearest bookmark of its timeline within reach", () => {
  const view = { ...viewOf([stream("main", [[1, 90]])], { step: 90 }), bookmarks: [
    { name: "a", branch: "main", step: 40, mb: 1 }, { name: "b", branch: "main", step: 44, mb: 1 }, { name: "c", branch: "x", step: 43, mb: 1 }] };
  assert.equal(nearBookmark(view, "main", 43, 5)?.name, "b");
  assert.equal(nearBookmark(view, "main", 50, 5), null);
});

test("names offered are free", () => {
  assert.equal(freshName("branch", ["branch 1", "main", "branch 3"]), "branch 2");
});

test("a rewind says from where", () => {
  assert.equal(detail(did("rewind", 20, { from_step: 90, from_branch: "main" })), "back from step 90");
  assert.equal(detail(did("rewind", 20, { from_step: 90, from_branch: "hot" })), "back from step 90 of hot");
});

test("memory is told briefly, the GPU's first where there is one, and in full on demand", () => {
  const words = (memory, brief) => memoryWords(viewOf([stream("main", [[1, 9]])], { memory }), brief).replaceAll("\u00a0", " ");
  assert.equal(words({ process: 812.4, snapshots: 12 }, true), "812 MB");
  assert.equal(words({ process: 812.4, snapshots: 12 }, false), "Memory: this kernel's process 812 MB, snapshots to rewind to 12 MB");
  assert.equal(words({ process: 812, snapshots: 0, gpu: 2345, gpu_total: 150000 }, true), "GPU 2.3 GB of 150 GB");
  assert.equal(words({}, true) + words({}, false), "");
});

test("a recording that plays is no lost kernel", () => {
  assert.equal(linkNote({ ...viewOf([stream("main", [[1, 9]])]), link: "live" }), "");
});
