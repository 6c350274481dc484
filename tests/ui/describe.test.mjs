// Shares and differences in words, who is taken for whom, and a description as it is kept.

import assert from "node:assert/strict";
import { test } from "node:test";

import { confused, heard, percent, points, tidy } from "../../tlcourse/ui/static/describe.js";

const state = {
  classes: [{ name: "cancel" }, { name: "broken" }, { name: "howto" }],
  matrix: [[8, 2, 0], [5, 5, 0], [0, 1, 9]],
  accuracy: 0.733, before: 0.7, edits: 1, count: 30,
};

test("shares and differences are said in words", () => {
  assert.equal(percent(0.54), "54 %");
  assert.equal(percent(0.5449), "54.5 %");
  assert.equal(points(0.01), "+1 point");
  assert.equal(points(-0.055), "−5.5 points");
  assert.equal(points(1e-9), "no change");
});

test("who is most often taken for whom, and never for itself", () => {
  assert.deepEqual(confused(state, 2), [{ is: "broken", said: "cancel", times: 5 }, { is: "cancel", said: "broken", times: 2 }]);
  assert.equal(confused(state, 9).length, 3);
});

test("a screen reader hears the share, and the change once there is an edit", () => {
  assert.equal(heard(state), "73.3 % of 30 texts right, +3.3 points by the last edit.");
  assert.equal(heard({ ...state, edits: 0 }), "73.3 % of 30 texts right.");
});

test("a description is kept line by line, without what is empty", () => {
  assert.equal(tidy("  call it off \n\n stop it "), "call it off\nstop it");
});
