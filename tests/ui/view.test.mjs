// The pure parts of the view: node --test tests/ui/

import assert from "node:assert/strict";
import { test } from "node:test";

import { nextLr, readLr, showAccuracy, showCount, showLr, showMoved, showReason, showShare, showTime, showValue, ticks } from "../../tlcourse/ui/static/format.js";
import { HEARTBEAT_MS, SILENCE_MS, divergence, emptyView, reduce, steerable, takes } from "../../tlcourse/ui/static/model/reduce.js";

import { line, rule } from "./chart_views.mjs";

const now = (more) => ({
  status: "running", step: 3, tick: 3, total: 10, branch: "main", twin: null, speed: 5, eta: 1, seconds: 1, memory: {},
  augment: null, weights: {}, ...more,
});
const NOW = line("main", "now", [0]);
const ALL = ["set_lr", "freeze", "unfreeze", "pause", "resume", "stop"];
const state = (more) => ({
  hint: "", can: ALL, now: now(), groups: [{ name: "head", parameters: 10, trainable: true, lr: 1e-3, kind: "layers", stats: true, scale: null }],
  bookmarks: [], evals: [], notes: [], norms: [], rates: [], movement: null, player: null, error: null, stretches: [], lines: [NOW], timelines: [], curve: rule(3), ...more,
});
/** A stretch as told: `first` is the step of its first loss here, or null where it goes on. */
const told = (first, from = 0, more) => ({ id: 0, from, jumps: first == null ? [] : [[from, first]], ...(from ? {} : { branch: "main", root: null, control: false }), ...more });
const snapshot = (loss, more) => ({
  type: "snapshot", view: "v", seq: 0, state: state({ stretches: [told(1)], ...more }), losses: [Float32Array.from(loss)], now: 0,
});
const delta = (seq, loss, more) => ({
  type: "delta", seq, lines: null, timelines: null, curve: null, stretches: loss.length ? [told(null, 1)] : [], losses: loss.length ? [Float32Array.from(loss)] : [], state: now(), groups: null,
  bookmarks: null, player: null, evals: [], notes: [], rates: [], moved: [], norms: [], error: null, now: 0, ...more,
});
const note = (more) => ({ tick: 3, step: 3, branch: "main", ok: true, kind: "freeze", group: "head", text: "froze head", id: null, ...more });
const play = (...messages) => messages.reduce(reduce, emptyView());
const losses = (view, id = 0) => Array.from(view.stretches[id].y.slice(0, view.stretches[id].n));
const steps = (view, id = 0) => Array.from(view.stretches[id].x.slice(0, view.stretches[id].n));
const saved = (status) => ({
  type: "snapshot", source: "trait", now: 0,
  state: state({ now: now({ status }), stretches: [{ ...told(null), x: [1, 50, 99], y: [3, null, 1], smooth: [3, null, 2] }] }),
});

test("a delta goes on where the snapshot ended", () => {
  const view = play(snapshot([3, 2, 1]), delta(1, [0.5, 0.25], { state: now({ tick: 5 }) }));
  assert.deepEqual(losses(view), [3, 2, 1, 0.5, 0.25]);
  assert.deepEqual(steps(view), [1, 2, 3, 4, 5]);
  assert.equal(view.link, "live");
  assert.equal(view.now.tick, 5);
});

test("many deltas equal one snapshot", () => {
  const all = Array.from({ length: 1000 }, (_, i) => 1 / (i + 1));
  let view = play(snapshot([]));
  for (let i = 0; i < 1000; i += 8) view = reduce(view, delta(1 + i / 8, all.slice(i, i + 8), { stretches: [told(i ? null : 1, i)] }));
  assert.deepEqual(losses(view), losses(play(snapshot(all))));
  assert.deepEqual(steps(view), steps(play(snapshot(all))));
});

test("after a gap the view is behind until a snapshot comes", () => {
  const gap = play(snapshot([3]), delta(2, [1]));
  assert.equal(gap.behind, true);
  assert.deepEqual(losses(gap), [3]);
  const healed = reduce(gap, { ...snapshot([3, 2, 2, 2, 1]), seq: 2 });
  assert.equal(healed.behind, false);
  assert.deepEqual(losses(healed), [3, 2, 2, 2, 1]);
  assert.equal(reduce(healed, delta(3, [1])).behind, false);
});

test("a stretch begins with what it goes on from, and lines change with it", () => {
  const lines = [line("main", "now", [0, 0, 1], [1]), line("main", "gone", [0, 1, 3])];
  const back = delta(1, [0.3, 0.2], { stretches: [told(2, 0, { id: 1, root: [0, 1] })], lines });
  const view = play(snapshot([3, 2, 1]), back, delta(2, [0.1], { stretches: [told(null, 2, { id: 1 })] }));
  assert.deepEqual([steps(view), steps(view, 1)], [[1, 2, 3], [2, 3, 4]]);
  assert.deepEqual([view.stretches[1].root, view.stretches[1].branch], [[0, 1], "main"]);
  assert.equal(view.lines, lines);
});

test("a twin and a branch are stretches of their own", () => {
  const both = delta(1, [1], {
    stretches: [told(null, 3), told(4, 0, { id: 1, branch: "twin", root: [0, 3], control: true })],
    losses: [Float32Array.from([1]), Float32Array.from([7, 6])],
  });
  const view = play(snapshot([3, 2, 1]), both, delta(2, [5], { stretches: [told(9, 0, { id: 2, branch: "2", root: [0, 4] })] }));
  assert.deepEqual(view.stretches.map((one) => one.branch), ["main", "twin", "2"]);
  assert.deepEqual([steps(view, 1), losses(view, 1), steps(view, 2)], [[4, 5], [7, 6], [9]]);
  assert.equal(view.stretches[1].control, true);
});

test("measurements of norms stay few, and the newest is kept", () => {
  const norms = (i) => ({ tick: i, step: i, branch: "main", grad: {}, moved: {} });
  let view = play(snapshot([3]));
  for (let i = 1; i <= 3000; i++) {
    view = reduce(view, delta(i, [], { norms: [norms(i)] }));
    assert.equal(view.norms.at(-1)?.tick, i);
  }
  assert.ok(view.norms.length <= 1000);
  assert.ok(view.norms[0].tick < 20);
});

test("a used control waits for the note with its id, whoever else gets answers", () => {
  const used = play(snapshot([3]), { type: "sent", key: "switch:head", id: "v:1", now: 0 });
  assert.deepEqual(used.pending.map((p) => p.key), ["switch:head"]);
  const other = reduce(used, delta(1, [], { notes: [note({ id: "w:1" })] }));
  assert.equal(other.pending.length, 1);
  const mine = reduce(used, delta(1, [], { notes: [note({ id: "v:1", ok: false, reason: "Everything would be frozen." })] }));
  assert.deepEqual(mine.pending, []);
  assert.deepEqual(mine.answers["switch:head"], { ok: false, reason: "Everything would be frozen.", at: 0 });
});

test("an answer that comes inside a snapshot counts", () => {
  const used = play(snapshot([3]), { type: "sent", key: "hold", id: "v:1", now: 0 });
  const view = reduce(used, snapshot([3, 2], { notes: [note({ id: "v:1", kind: "pause" })] }));
  assert.equal(view.pending.length, 0);
  assert.equal(view.answers.hold.ok, true);
});

test("no answer for some seconds is said; a later word ends the silence", () => {
  const used = play(snapshot([3]), { type: "sent", key: "hold", id: "v:1", now: 0 });
  assert.equal(reduce(used, { type: "clock", now: SILENCE_MS - 1 }).link, "live");
  const silent = reduce(used, { type: "clock", now: SILENCE_MS + 1 });
  assert.equal(silent.link, "silent");
  assert.equal(silent.pending[0].late, true);
  assert.equal(reduce(silent, delta(1, [2])).link, "live");
});

test("a running run that says nothing is suspicious, a finished one is not", () => {
  const at = (status) => reduce(play({ ...snapshot([3], { now: now({ status }) }), now: 1 }), { type: "clock", now: HEARTBEAT_MS + 2 });
  assert.equal(at("running").link, "silent");
  assert.equal(at("finished").link, "live");
});

test("a hello that nobody answers is silence", () => {
  const view = play(saved("running"), { type: "hello", now: 5 }, { type: "clock", now: HEARTBEAT_MS + 6 });
  assert.equal(view.link, "silent");
  const busy = play(saved("running"), { type: "hello", now: 5 }, { ...saved("running"), fresh: true, now: 7000 }, { type: "clock", now: HEARTBEAT_MS + 6 });
  assert.equal(busy.link, "connecting"); // its cell is busy, but its messenger speaks
});

test("a quiet clock changes nothing at all", () => {
  const view = play(snapshot([3]));
  assert.equal(reduce(view, { type: "clock", now: 100 }), view);
});

test("what is done next in a row takes its old answer away", () => {
  const refused = play(snapshot([3]), { type: "sent", key: "switch:head", id: "1", now: 0 }, { type: "sent", key: "hold", id: "2", now: 0 },
    delta(1, [], { notes: [note({ id: "1", ok: false, reason: "no" }), note({ id: "2" })] }));
  const next = reduce(refused, { type: "sent", key: "lr:head", id: "3", now: 1 });
  assert.deepEqual(Object.keys(next.answers), ["hold"]);
});

test("answers fade, refusals later than approvals", () => {
  const used = play(snapshot([3]), { type: "sent", key: "a", id: "1", now: 0 }, { type: "sent", key: "b", id: "2", now: 0 },
    delta(1, [], { notes: [note({ id: "1" }), note({ id: "2", ok: false, reason: "no" })] }));
  assert.deepEqual(Object.keys(reduce(used, { type: "clock", now: 4000 }).answers), ["b"]);
  assert.deepEqual(Object.keys(reduce(used, { type: "clock", now: 20000 }).answers), []);
});

test("movement is fastened to the intervention it answers", () => {
  const view = play(snapshot([1, 1, 1], { notes: [note({ tick: 1 }), note({ tick: 3 })] }),
    delta(1, [1], { moved: [{ since: 3, tick: 8, moved: { head: 0.02 }, note: 1 }] }));
  assert.deepEqual(view.notes.map((n) => n.moved), [undefined, { head: 0.02 }]);
  assert.equal(view.movement.moved.head, 0.02);
});

test("typing takes the old refusal of this row away, and of no other", () => {
  const refused = play(snapshot([3]), { type: "sent", key: "lr:head", id: "1", now: 0 }, { type: "sent", key: "switch:body", id: "2", now: 0 },
    delta(1, [], { notes: [note({ id: "1", ok: false, reason: "no" }), note({ id: "2", ok: false, reason: "no" })] }));
  assert.deepEqual(Object.keys(refused.answers).sort(), ["lr:head", "switch:body"]);
  assert.deepEqual(Object.keys(reduce(refused, { type: "typed", key: "lr:head" }).answers), ["switch:body"]);
});

test("a refusal in the cockpit names no Python", () => {
  assert.equal(showReason("A learning rate is a number above 0, not 'abc'. To stop its training use Freeze('head')."), "A learning rate is a number above 0, not 'abc'.");
  assert.equal(showReason("Everything would be frozen. Unfreeze a group first."), "Everything would be frozen. Unfreeze a group first.");
});

test("a loss that exploded is said, with what to do; one that merely jumps is not", () => {
  const lost = (status) => divergence(play(snapshot([2, 9, NaN], { now: now({ status, lost: 3 }) })));
  assert.equal(lost("running"), "The loss has not been a number since step 3. A learning rate was too high: stop, and start again from a fresh model.");
  assert.match(lost("finished"), /too high: start again from a fresh model/);
  assert.match(divergence(play(snapshot([2.3, 2, ...Array(9).fill(4e5)]))), /^The loss is 4e5; at the beginning it was 2\.3\./);
  assert.equal(divergence(play(snapshot([2.3, ...Array(9).fill(5)]))), "");
  assert.equal(divergence(play(snapshot([2.3, 1, 1, 1, 1, 1, 4e5, 1, 1, 1]))), "");
  assert.equal(divergence(play(snapshot([]))), "");
  const back = { stretches: [told(2, 0, { id: 1, root: [0, 1] })], lines: [line("main", "now", [0, 0, 1], [1])] };
  assert.equal(divergence(play(snapshot([2, ...Array(9).fill(4e5)]), delta(1, [2], back))), "");
  assert.match(divergence(play(snapshot([2, ...Array(9).fill(4e5)], { can: ["rewind"] }))), /too high: rewind to before it\.$/);
});

test("without a kernel the saved state is shown and cannot be steered", () => {
  const view = play(saved("running"), { type: "unlink" });
  assert.equal(view.link, "recorded");
  assert.equal(steerable(view), false);
  assert.deepEqual(steps(view), [1, 50, 99]);
  assert.ok(Number.isNaN(losses(view)[1]));
});

test("a kernel that goes away is told apart from a record", () => {
  const view = play(snapshot([1]), { type: "sent", key: "hold", id: "v:1", now: 0 }, { type: "unlink" });
  assert.equal(view.link, "gone");
  assert.deepEqual(view.pending, []);
  assert.equal(steerable(view), false);
});

test("the saved state never overwrites a live view", () => {
  const view = play(snapshot([3, 2, 1]));
  assert.equal(reduce(view, saved("running")), view);
});

test("a run that is over cannot be steered", () => {
  for (const status of ["finished", "stopped", "failed"]) assert.equal(steerable(play(snapshot([1], { now: now({ status }) }))), false);
  assert.equal(steerable(play(snapshot([1]))), true);
});

test("what a run takes is what it can, and after its end only what opens it again", () => {
  const view = (status, can) => play(snapshot([1], { now: now({ status }), can }));
  assert.equal(takes(view("running", ["pause"]), "pause"), true);
  assert.equal(takes(view("running", ["pause"]), "rewind"), false);
  for (const status of ["finished", "stopped"]) {
    assert.equal(takes(view(status, ["rewind", "branch", "pause"]), "rewind"), true);
    assert.equal(takes(view(status, ["rewind", "branch", "pause"]), "pause"), false);
    assert.equal(takes(view(status, ["rewind"]), "rewind"), false, "a loop of one's own is over when it is over");
  }
  assert.equal(takes(view("failed", ["rewind", "branch"]), "rewind"), false);
  assert.equal(takes(reduce(view("running", ["rewind"]), { type: "unlink" }), "rewind"), false);
});

test("learning rates read and print as people write them", () => {
  assert.deepEqual([3e-4, 0.001, 0.0123456, 1, 3000, null].map(showLr), ["3e-4", "0.001", "0.0123", "1", "3e3", ""]);
  assert.deepEqual(["3e-4", "0,001", " 1 ", "3·10^-4", "x", ""].map(readLr), [3e-4, 0.001, 1, 3e-4, null, null]);
});

test("÷3 and ×3 walk the ladder 1 · 3 · 10 and come back", () => {
  assert.deepEqual([1e-3, 3e-3, 2e-4].map((lr) => nextLr(lr, 1)), [3e-3, 1e-2, 6e-4]);
  for (const lr of [1e-5, 3e-4, 1e-1]) assert.equal(nextLr(nextLr(lr, 1), -1), lr);
});

const plain = (text) => text.replaceAll("\u00a0", " ");

test("numbers are short", () => {
  assert.deepEqual([480, 3528, 2223872].map(showCount).map(plain), ["480", "3.53 k", "2.22 M"]);
  assert.deepEqual([0, 0.0123, 1e-7, 9.6, 96, null].map(showShare).map(plain), ["0 %", "1.2 %", "< 0.001 %", "960 %", "> 1000 %", "–"]);
  assert.deepEqual([2e36, 0.5, 123456, NaN].map((v) => showValue(v)), ["2e36", "0.5", "1.2e5", "not a number"]);
  assert.deepEqual([0.915, 1, null].map(showAccuracy).map(plain), ["91.5 %", "100 %", "–"]);
  assert.deepEqual([0.5, 59.4, 125, 3700, null].map(showTime), ["0.5 s", "59 s", "2 min 05 s", "1 h 01 min", "–"]);
  assert.equal(plain(showMoved({ head: 0.01, stem: 0, body: 0.2 })), "body 20 %, head 1 %");
  assert.deepEqual(ticks(0, 400, 4), [0, 100, 200, 300, 400]);
});
