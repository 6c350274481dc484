// A value in words, and what the foot says.

import assert from "node:assert/strict";
import { test } from "node:test";

import { told, words } from "../../tlcourse/ui/static/predict.js";

const percent = { factor: 100, suffix: " %", decimals: 1 };
const points = { factor: 100, suffix: " points", decimals: 1 };
const count = { factor: 1, suffix: "", decimals: 0 };

test("a value is said as Python's Question.words says it", () => {
  assert.equal(words(percent, 0.52), "52 %");
  assert.equal(words(percent, 0.525), "52.5 %");
  assert.equal(words(points, -0.05), "−5 points");
  assert.equal(words(points, 0.01), "1 point");
  assert.equal(words(points, -0.0000001), "0 points");
  assert.equal(words(count, 1440), "1,440");
});

test("a note of the kernel's is said, and what another stage says is not", () => {
  const state = { note: "In another notebook.", seen: false, committed: { a: 1 } };
  assert.equal(told(state, "committed"), "In another notebook.");
  assert.match(told(state, "sent"), /^Saving/);
  assert.match(told({ ...state, note: "" }, "committed"), /^Committed/);
  assert.match(told({ ...state, note: "", seen: true }, "open"), /already/);
});
