// The curves: loss, accuracy, difference from the twin, and one measure per group, over one axis of steps.

import { makeSmoother } from "../model/curve.js";
import { difference, linesOf, tipNow } from "../model/lines.js";
import { accuracyPanel, differencePanel, lossPanel } from "./panels.js";
import { MEASURES, measurePanel } from "./measures.js";
import { fit, roomFor } from "./scale.js";
import { makePanel } from "./paint.js";
import { makeMarks, marksOf, steeredAt } from "./marks.js";
import { watch } from "./zoom.js";
import { spoken } from "./spoken.js";
import { showValue, ticks } from "../format.js";
import { h, put, s } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("./scale.js").Window} Window
 *  @typedef {import("./panels.js").Plan} Plan
 *  @typedef {import("./panels.js").Scene} Scene
 *  @typedef {import("./measures.js").Measure} Measure */

const LEFT = 50;
const RIGHT = 14;
const AXIS = 38;
const LOW = 960; // below this window height in px, panels are lower
const SPEAK_MS = 5000; // between two descriptions of the curves

/** The chart and its `draw`. */
export function makeChart() {
  const flags = makeMarks((at, blocks) => place(at, blocks), hideTip);
  const hair = h("div", { class: "tlc-hair", hidden: true });
  const drawn = h("div", { class: "tlc-range", hidden: true });
  const tip = h("div", { class: "tlc-tip", role: "tooltip", hidden: true });
  const axis = s("svg", { class: "tlc-picture tlc-axis", height: AXIS, "aria-hidden": "true" });
  const inWords = h("p", { class: "tlc-hidden", id: `tlc-words-${Math.random().toString(36).slice(2)}` });
  const readout = h("p", { class: "tlc-hidden", role: "status", "aria-live": "polite" });
  const panels = h("div", { class: "tlc-panels" });
  const plot = h("div", {
    class: "tlc-plot", tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-describedby": inWords.id,
    "aria-label": "Curves. Left and right arrows read values, plus and minus zoom, 0 shows all",
  }, panels, axis, hair, drawn);
  const chooser = h("span", { class: "tlc-choices", role: "group", "aria-label": "Shown for each group" }, h("span", {}, "For each group:"));
  const back = h("button", { type: "button", class: "tlc-small tlc-whole", hidden: true, onclick: () => show(null) });
  const hint = h("span", { class: "tlc-hint" }, "drag across the curves to zoom");
  const empty = h("div", { class: "tlc-empty" }, "Curves appear with the first steps.");
  const el = h("div", { class: "tlc-chart" }, flags.el, plot, tip,
    h("div", { class: "tlc-tools" }, chooser, back, hint), empty, inWords, readout);

  const smoothed = makeSmoother();
  /** @type {Map<string, ReturnType<typeof makePanel>>} */
  const made = new Map();
  const hidden = new Set();
  /** @type {View|null} */
  let view = null;
  /** @type {Scene|null} */
  let scene = null;
  /** @type {Plan[]} */
  let plans = [];
  /** @type {Window|null} */
  let window = null;
  /** @type {Measure|null} */
  let measure = null;
  let width = 0;
  let looked = /** @type {number|null} */ (null);
  let read = false; // by keyboard: then also announced
  let spoke = -Infinity;
  let due = 0;

  for (const [key, { choice }] of Object.entries(MEASURES)) {
    chooser.append(h("button", {
      type: "button", class: "tlc-choice", "aria-pressed": "false", "data-measure": key,
      onclick: () => {
        measure = measure === key ? null : /** @type {Measure} */ (key);
        again();
      },
    }, choice));
  }

  let stale = false; // redraw the curves too, not only the crosshair
  const again = () => {
    stale = true;
    soon();
  };
  const soon = () => {
    if (!due) due = requestAnimationFrame(() => {
      due = 0;
      if (stale && view) draw(view);
      else {
        look(looked, read);
        read = false;
      }
    });
  };
  /** @param {string} key */
  function toggle(key) {
    if (!hidden.delete(key)) hidden.add(key);
    again();
  }

  /** @param {Window|null} next */
  function show(next) {
    window = next && scene ? fit(next, whole(scene)) : null;
    again();
  }

  /** All steps: those planned, or slightly more than were taken. @param {{view: View, lines: Scene["lines"]}} what @returns {Window} */
  function whole(what) {
    const { total } = what.view.now;
    return [0, total == null ? roomFor(taken(what)) : Math.max(total, taken(what))];
  }

  /** @param {View} next */
  function draw(next) {
    view = next;
    stale = false;
    width = el.clientWidth;
    if (!width) return; // not on the page now; the next resize draws it
    const known = scene?.view === view ? scene : learn(view); // unaffected by zooming
    const { lines } = known;
    const all = whole(known);
    if (window) window = fit(window, all);
    const [x0, x1] = window ?? all;
    const frame = { x0, x1, left: LEFT, width: Math.max(40, width - LEFT - RIGHT), low: globalThis.innerHeight < LOW };
    scene = { ...known, whole: window === null, hidden, frame };
    plans = [lossPanel(scene), accuracyPanel(scene), differencePanel(scene), measure && measurePanel(scene, measure)].filter((plan) => plan !== null);
    const sx = (/** @type {number} */ step) => LEFT + (frame.width * (step - x0)) / (x1 - x0);
    const marks = marksOf(view, lines, (24 * (x1 - x0)) / frame.width);
    const right = LEFT + frame.width;
    flags.draw(marks, sx, [LEFT, right]);
    const at = steeredAt(view, lines).map(sx).filter((px) => px >= LEFT && px <= right);
    drawPanels({ width, right, at });
    drawAxis(frame, sx);
    for (const button of Array.from(chooser.querySelectorAll("button"))) put(button, "aria-pressed", button.getAttribute("data-measure") === measure ? "true" : "false");
    put(back, "hidden", window === null);
    if (window) put(back, "text", `steps ${Math.round(x0)}–${Math.round(x1)}: show all`);
    put(hint, "hidden", window !== null || !lines.path.length);
    put(empty, "hidden", lines.path.length > 0 || view.evals.length > 0 || view.error !== null);
    speak();
    look(looked, read);
    read = false;
  }

  /** What the curves need of a view, independent of the zoom. @param {View} from */
  function learn(from) {
    const lines = linesOf(from);
    const smooth = smoothed(from.stretches, from.curve);
    return { view: from, lines, smooth, raw: from.stretches.map(({ y }) => y), apart: difference(from, lines, smooth) };
  }

  /** @param {{width: number, right: number, at: number[]}} frame */
  function drawPanels(frame) {
    plans.forEach((plan, i) => {
      let panel = made.get(plan.key);
      if (!panel) made.set(plan.key, panel = makePanel(plan.key, LEFT, toggle));
      panel.draw(plan, frame, hidden);
      if (panels.children[i] !== panel.el) panels.insertBefore(panel.el, panels.children[i] ?? null);
    });
    while (panels.children.length > plans.length) panels.lastElementChild?.remove();
  }

  let axisDrawn = "";
  /** @param {{x0: number, x1: number, width: number}} frame @param {(step: number) => number} sx */
  function drawAxis({ x0, x1, width: wide }, sx) {
    const told = `${x0} ${x1} ${wide}`;
    if (told === axisDrawn) return;
    axisDrawn = told;
    put(axis, "width", width);
    const right = LEFT + wide;
    const shown = ticks(x0, x1, Math.max(2, Math.floor(wide / 110)));
    axis.replaceChildren(...shown.flatMap((step) => [
      s("path", { d: `M${sx(step).toFixed(1)} 0v4` }),
      s("text", { x: sx(step).toFixed(1), y: 16, "text-anchor": sx(step) > right - 12 ? "end" : "middle", text: showValue(step, 6) }),
    ]), s("text", { x: LEFT + wide / 2, y: 31, "text-anchor": "middle", text: "training step" }));
  }

  /** Describe the curves to screen readers, now and then, and whenever the run's state changes. */
  function speak() {
    if (!scene) return;
    const now = performance.now();
    const state = scene.view.now.status;
    if (now - spoke < SPEAK_MS && inWords.dataset.status === state) return;
    spoke = now;
    inWords.dataset.status = state;
    put(inWords, "text", spoken(scene));
  }

  /** Put the crosshair on a step and show the values there. @param {number|null} step @param {boolean} [byKey] */
  function look(step, byKey = false) {
    if (step !== null && scene) step = Math.min(step, taken(scene));
    if (step === null || !scene || step < scene.frame.x0 || step > scene.frame.x1 || !scene.lines.path.length) {
      if (!hair.hidden) hideTip(); // otherwise it shows a flag
      return put(hair, "hidden", true);
    }
    const told = plans.flatMap((plan) => plan.tells(step).map(([what, value]) => `${what} ${value}`));
    const { x0, x1, left, width: wide } = scene.frame;
    const at = left + (wide * (step - x0)) / (x1 - x0);
    put(hair, "hidden", false);
    put(hair, "style", `transform:translateX(${at.toFixed(1)}px)`);
    place(at, [[`step ${step}`, ...told]], 14);
    if (byKey) put(readout, "text", `step ${step}: ${told.join(", ")}`);
  }

  /** Put the tooltip beside a position: to the right if there is room. Nothing is measured: the style sheet
   * limits its width.
   * @param {number} at @param {string[][]} blocks @param {number} [gap] px */
  function place(at, blocks, gap = -16) {
    tip.replaceChildren(...blocks.map(([first, ...rest]) => h("p", {}, h("b", {}, first), ...rest.map((r) => h("span", {}, r)))));
    put(tip, "hidden", false);
    const room = Math.min(300, width / 2 - 18);
    put(tip, "style", at + gap + room < width - 4 ? `left:${Math.max(4, at + gap).toFixed(0)}px` : `right:${Math.max(4, width - at + gap).toFixed(0)}px`);
  }

  function hideTip() {
    put(tip, "hidden", true);
  }

  watch(plot, {
    ground: () => {
      if (!scene) return null;
      const all = whole(scene);
      return { left: LEFT, right: LEFT + scene.frame.width, shown: window ?? all, whole: all }; // as requested, even if not drawn yet
    },
    point: (step, byKey) => {
      if (step === looked && !byKey) return;
      looked = step;
      read = byKey;
      if (step === null) look(null); // at once: a flag may be about to show its tooltip
      else soon();
    },
    range: (px) => {
      put(drawn, "hidden", px === null);
      if (px) put(drawn, "style", `left:${px[0].toFixed(1)}px;width:${(px[1] - px[0]).toFixed(1)}px`);
    },
    show,
  });
  return { el, draw };
}

/** The highest step ever taken. @param {{view: View, lines: Scene["lines"]}} what */
function taken({ view, lines }) {
  return Math.max(tipNow(view, lines), ...view.stretches.map(({ x, n }) => (n ? x[n - 1] : 0)), 1);
}
