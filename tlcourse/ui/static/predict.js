// A prediction before the run: a slider for each item, and a button to commit.

import { goOn, h, ownKeys, put } from "./dom.js";
import { initialize } from "./keep.js";

/** @typedef {{ id: string, text: string, items: { name: string, start: number }[], low: number, high: number, step: number,
 *    factor: number, suffix: string, decimals: number, committed: Record<string, number> | null, seen: boolean, note: string }} State */

const PATIENCE_MS = 4000;

/** A value in words, the same as Python's Question.words. @param {State} state @param {number} value */
export function words(state, value) {
  const bare = (value * state.factor).toLocaleString("en-US", { maximumFractionDigits: state.decimals }).replace(/^-0$/, "0");
  const one = bare === "1" || bare === "-1";
  return bare.replace("-", "−") + (one && state.suffix === " points" ? " point" : state.suffix);
}

/** The text of the footer. @param {State} state @param {"open"|"again"|"sent"|"late"|"committed"|"final"} stage */
export function told(state, stage) {
  if (stage === "sent") return "Saving …";
  if (stage === "late") return "No answer yet. A busy kernel answers when its cell is done; if there is no kernel, run this cell again.";
  if (stage === "final") return "Committed and final: you have seen the outcome.";
  if (stage === "committed") return state.note || "Committed. Run the next cells to see the outcome.";
  if (stage === "again") return "Your earlier guess counts until you commit a new one.";
  if (state.note) return state.note;
  return state.seen ? "The outcome has already been shown, but a guess is still worth making." : "Move the sliders, then commit. Even a wrong guess helps you learn.";
}

/** @param {{ model: any, el: HTMLElement }} context */
function render({ model, el }) {
  /** @type {State} */
  let state = model.get("state");
  let again = false; // a committed guess is being changed
  let waiting = 0;
  let late = false;
  const label = `tlc-question-${Math.random().toString(36).slice(2)}`;
  const sliders = new Map(state.items.map((item) => [item.name, makeRow(state, item.name)]));
  const commit = h("button", { type: "button", class: "tlc-button tlc-commit", "data-control": "commit", onclick: send }, "Commit");
  const other = h("button", { type: "button", class: "tlc-button", "data-control": "again", onclick: turn });
  const foot = h("span", { class: "tlc-told", role: "status" });
  const root = h("section", { class: "tlc tlc-predict", "aria-labelledby": label },
    h("p", { class: "tlc-ask", id: label }, h("span", { class: "tlc-kind" }, `Predict ${state.id}`), " ", h("b", {}, state.text)),
    h("div", { class: "tlc-guesses" }, ...[...sliders.values()].map((row) => row.el)),
    h("div", { class: "tlc-foot" }, commit, other, foot));
  ownKeys(root);
  el.append(root);

  function stage() {
    if (late) return "late";
    if (waiting) return "sent";
    if (!state.committed || again) return again ? "again" : "open";
    return state.seen ? "final" : "committed";
  }

  function draw() {
    const now = stage();
    const open = now === "open" || now === "again";
    for (const row of sliders.values()) row.open(open);
    put(root, "data-stage", now);
    put(commit, "hidden", !!state.committed && !again);
    put(commit, "disabled", !open && now !== "late");
    put(other, "hidden", !state.committed || state.seen || !!waiting);
    put(other, "text", again ? "Keep it" : "Change it");
    put(foot, "text", told(state, now));
  }

  function place() {
    for (const { name, start } of state.items) sliders.get(name)?.set(state.committed?.[name] ?? start);
  }

  function turn() {
    again = !again;
    if (!again) place();
    draw();
    (again ? sliders.values().next().value?.slide : other).focus();
  }

  function send() {
    const values = Object.fromEntries([...sliders].map(([name, row]) => [name, Number(row.slide.value)]));
    late = false;
    clearTimeout(waiting);
    waiting = window.setTimeout(() => { late = true; draw(); }, PATIENCE_MS);
    model.send({ type: "commit", values, over: again });
    draw();
  }

  /** @param {State} next */
  function hear(next) {
    const mine = waiting || late;
    clearTimeout(waiting);
    waiting = 0;
    late = false;
    const changed = JSON.stringify(next.committed) !== JSON.stringify(state.committed);
    state = next;
    if (mine || changed || state.seen) {
      again = false;
      if (state.committed) place();
    }
    const here = document.activeElement === document.body || root.contains(document.activeElement);
    draw();
    if (mine && here && state.committed) goOn(root); // the button under the hand is gone: what comes next is the outcome
  }
  const onState = () => hear(model.get("state"));
  /** @param {any} content */
  const onMessage = (content) => { if (content.type === "answer") hear(content.state); };
  model.on("change:state", onState);
  model.on("msg:custom", onMessage);
  place();
  draw();
  return () => {
    clearTimeout(waiting);
    model.off("change:state", onState);
    model.off("msg:custom", onMessage);
  };
}

/** @param {State} state @param {string} name */
function makeRow(state, name) {
  const value = h("span", { class: "tlc-guess", "aria-hidden": "true" }); // the slider announces it
  const slide = h("input", { type: "range", class: "tlc-dial", min: state.low, max: state.high, step: state.step, "aria-label": name, "data-control": name, oninput: show });
  const el = h("div", { class: "tlc-item" }, h("span", { class: "tlc-item-name" }, name),
    h("span", { class: "tlc-end" }, words(state, state.low)), slide, h("span", { class: "tlc-end" }, words(state, state.high)), value);
  let exact = NaN; // a guess made in code may lie between two slider steps

  function show() {
    exact = Number(slide.value);
    tell();
  }
  function tell() {
    put(value, "text", words(state, exact));
    put(slide, "aria-valuetext", words(state, exact));
  }
  /** @param {number} to */
  function set(to) {
    slide.value = String(to);
    exact = to;
    tell();
  }
  return { el, slide, set, open: (/** @type {boolean} */ yes) => put(slide, "disabled", !yes) };
}

export default { initialize, render };
