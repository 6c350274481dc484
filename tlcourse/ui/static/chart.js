// Loss above, accuracy below, one time axis; every intervention a mark with a tooltip.

import { showAccuracy, showCount, showMoved, showValue, ticks } from "./format.js";
import { ceiling, exits, indexAt, path, smooth } from "./curve.js";
import { changeIcon, h, keyed, put, s } from "./dom.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {import("./reduce.js").Note} Note
 *  @typedef {{tick: number, notes: Note[]}} Mark */

const LEFT = 46;
const RIGHT = 14;
const FLAGS = 24; // room for the marks' flags
const LOSS = { top: FLAGS + 26, height: 138 };
const ACCURACY = { top: LOSS.top + LOSS.height + 36, height: 92 };
const BOTTOM = ACCURACY.top + ACCURACY.height;
const HEIGHT = BOTTOM + 34;
/** @type {Record<string, string>} */
const SPLITS = { valid: "validation", train: "training", test: "test" };

/** Marks: interventions that changed something, those nearer than `gap` ticks together.
 * @param {Note[]} notes @param {number} gap @returns {Mark[]} */
export function marksOf(notes, gap) {
  /** @type {Mark[]} */
  const marks = [];
  for (const note of notes) {
    if (!note.ok || note.kind === "evaluate") continue;
    const last = marks[marks.length - 1];
    if (last && note.tick - last.tick <= gap) last.notes.push(note);
    else marks.push({ tick: note.tick, notes: [note] });
  }
  return marks;
}

/** What a mark says, line by line. @param {Note} note */
export function tell(note) {
  const lines = [`step ${note.step}: ${note.text}`];
  if (note.before != null && note.after != null && note.before !== note.after) {
    lines.push(`${showCount(note.before)} → ${showCount(note.after)} parameters train`);
  }
  const moved = showMoved(note.moved);
  if (moved) lines.push(`then moved: ${moved}`);
  return lines;
}

/** The chart and its `draw`. */
export function makeChart() {
  const grid = s("g", { class: "tlc-grid" });
  const lines = s("g", { class: "tlc-marklines" });
  const raw = s("path", { class: "tlc-raw" });
  const calm = s("path", { class: "tlc-calm" });
  const accuracy = s("path", { class: "tlc-accuracy" });
  const dots = s("g", { class: "tlc-dots" });
  const off = s("g", { class: "tlc-off" });
  const end = s("circle", { class: "tlc-end", r: 3.5 });
  const hair = s("path", { class: "tlc-hair" });
  const clip = `tlc-clip-${Math.random().toString(36).slice(2)}`;
  const window = s("rect", { x: LEFT, y: LOSS.top - 2, height: LOSS.height + 4 });
  const picture = s("svg", { class: "tlc-picture", role: "img", height: HEIGHT },
    s("defs", {}, s("clipPath", { id: clip }, window)),
    grid, lines, s("g", { "clip-path": `url(#${clip})` }, raw, calm), accuracy, dots, off, end, hair);
  const flags = h("div", { class: "tlc-flags", role: "toolbar", "aria-label": "Interventions" });
  const tip = h("div", { class: "tlc-tip", role: "tooltip", hidden: true });
  const lossNow = h("b");
  const accuracyNow = h("b");
  const beside = h("span", { class: "tlc-beside" });
  const legend = [
    h("div", { class: "tlc-legend tlc-of-loss", style: `top:${LOSS.top - 22}px` }, h("i"), "training loss ", lossNow),
    h("div", { class: "tlc-legend tlc-of-accuracy", style: `top:${ACCURACY.top - 23}px` }, h("i"), "validation accuracy ", accuracyNow, beside),
  ];
  const empty = h("div", { class: "tlc-empty" }, "Curves appear with the first steps.");
  const el = h("div", { class: "tlc-chart" }, picture, ...legend, flags, tip, empty);

  /** @type {View|null} */
  let view = null;
  let width = 0;
  let total = 1;
  /** @type {Mark[]} */
  let marks = [];
  let kept = { y: /** @type {Float32Array|null} */ (null), n: -1, calm: new Float32Array(0) };
  const sx = (/** @type {number} */ tick) => LEFT + ((width - LEFT - RIGHT) * tick) / total;

  /** @param {View} next */
  function draw(next) {
    view = next;
    width = el.clientWidth;
    if (!width) return; // not on the page at present; its next size draws it
    total = Math.max(view.now.total, view.now.tick, 1);
    const { x, y, n } = view;
    if (kept.y !== y || kept.n !== n) kept = { y, n, calm: smooth(y, n) };
    const top = ceiling(y, kept.calm, n) * 1.05;
    const sl = (/** @type {number} */ loss) => Math.max(LOSS.top - 20, LOSS.top + LOSS.height * (1 - loss / top));
    const sa = (/** @type {number} */ share) => BOTTOM - ACCURACY.height * share;
    put(picture, "width", width);
    put(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    put(window, "width", Math.max(0, width - LEFT - RIGHT + 4));
    drawGrid(top, sl, sa);
    put(raw, "d", path(x, y, n, sx, sl));
    put(calm, "d", path(x, kept.calm, n, sx, sl));
    const last = n ? kept.calm[n - 1] : NaN;
    put(lossNow, "text", n ? showValue(last) : "");
    put(end, "display", Number.isFinite(last) && view.now.status === "running" ? null : "none");
    put(end, "cx", sx(x[n - 1] ?? 0));
    put(end, "cy", Math.max(LOSS.top, sl(last || 0)));
    drawExits(top);
    drawAccuracy(sa);
    drawMarks();
    put(empty, "hidden", n > 0 || view.evals.length > 0 || view.error !== null);
    const heard = view.evals.filter((e) => e.split === "valid").at(-1);
    put(picture, "aria-label", `Training loss ${n ? showValue(last) : "not yet known"}, validation accuracy `
      + `${heard?.accuracy == null ? "not yet known" : showAccuracy(heard.accuracy)}, at step ${view.now.step} of ${view.now.total}.`);
  }

  /** @param {number} top @param {(v: number) => number} sl @param {(v: number) => number} sa */
  function drawGrid(top, sl, sa) {
    /** @type {Element[]} */
    const parts = [];
    /** @param {number} at @param {string} text */
    const row = (at, text) => parts.push(s("path", { d: `M${LEFT} ${at.toFixed(1)}H${width - RIGHT}` }),
      label(LEFT - 7, at + 3.5, text, "end"));
    for (const loss of ticks(0, top, 4)) row(sl(loss), showValue(loss));
    for (const share of [0, 0.5, 1]) row(sa(share), `${100 * share} %`);
    for (const tick of ticks(0, total, Math.max(2, Math.floor(width / 110)))) {
      parts.push(s("path", { d: `M${sx(tick).toFixed(1)} ${BOTTOM}v4` }), label(sx(tick), BOTTOM + 16, showValue(tick, 6), sx(tick) > width - RIGHT - 12 ? "end" : "middle"));
    }
    parts.push(label(LEFT + (width - LEFT - RIGHT) / 2, BOTTOM + 31, "training step", "middle"));
    grid.replaceChildren(...parts);
  }

  /** An arrow where the loss leaves the frame, with words at the first. @param {number} top */
  function drawExits(top) {
    const { x, n } = /** @type {View} */ (view);
    const places = exits(kept.calm, n, top).map((i) => sx(x[i]));
    off.replaceChildren(...places.map((at) => s("path", { d: `M${at.toFixed(1)} ${LOSS.top - 2}l5 8h-10z` })));
    if (!places.length) return;
    const left = places[0] > width - 110;
    off.append(label(places[0] + (left ? -9 : 9), LOSS.top + 7, "off the scale", left ? "end" : "start"));
  }

  /** @param {(v: number) => number} sa */
  function drawAccuracy(sa) {
    const known = /** @type {View} */ (view).evals.filter((e) => e.accuracy != null);
    const valid = known.filter((e) => e.split === "valid");
    const at = (/** @type {any} */ e) => `${sx(e.tick).toFixed(1)} ${sa(e.accuracy).toFixed(1)}`;
    put(accuracy, "d", valid.length > 1 ? `M${valid.map(at).join("L")}` : "");
    const shown = known.slice(-400);
    dots.replaceChildren(...shown.map((e) => {
      const cx = sx(e.tick);
      const cy = sa(/** @type {number} */ (e.accuracy));
      const dot = e.split === "valid" ? s("circle", { cx, cy, r: valid.length > 80 ? 1.5 : 2.8 })
        : s("path", { class: "tlc-other", d: `M${cx} ${cy - 4.5}l4.5 4.5l-4.5 4.5l-4.5 -4.5z` });
      const split = SPLITS[e.split] ?? e.split;
      dot.append(s("title", {}, document.createTextNode(`${split} accuracy ${showAccuracy(e.accuracy)} at step ${e.tick}`)));
      return dot;
    }));
    put(accuracyNow, "text", showAccuracy(valid.at(-1)?.accuracy ?? null));
    const others = Object.keys(SPLITS).map((split) => known.filter((e) => e.split === split && split !== "valid").at(-1));
    put(beside, "text", others.map((e) => (e ? `◇ ${SPLITS[e.split]}\u00a0${showAccuracy(e.accuracy)}` : "")).join(" "));
  }

  function drawMarks() {
    const perPixel = total / Math.max(1, width - LEFT - RIGHT);
    marks = marksOf(/** @type {View} */ (view).notes, 20 * perPixel);
    lines.replaceChildren(...marks.flatMap((m) => m.notes.map((note) =>
      s("path", { d: `M${sx(note.tick).toFixed(1)} ${FLAGS - 4}V${BOTTOM}` }))));
    const held = flags.contains(document.activeElement) ? document.activeElement : null;
    keyed(flags, marks.map((m) => String(m.tick)), (key) => h("button", {
      type: "button", class: "tlc-flag", tabindex: -1,
      onmouseenter: () => showTip(key), onmouseleave: hideTip, onfocus: () => showTip(key), onblur: hideTip,
      onclick: () => showTip(key),
    }));
    marks.forEach((mark, i) => {
      const flag = flags.children[i];
      put(flag, "style", `left:${sx(mark.tick).toFixed(1)}px`);
      const kind = mark.notes[0].kind;
      if (mark.notes.length === 1 && FLAG[kind]) changeIcon(flag, FLAG[kind]);
      else put(flag, "text", mark.notes.length > 1 ? mark.notes.length : "lr");
      put(flag, "aria-label", mark.notes.flatMap(tell).join("; "));
    });
    const all = Array.from(flags.children);
    const stop = held ?? all.find((f) => f.getAttribute("tabindex") === "0") ?? all.at(-1);
    for (const flag of all) put(flag, "tabindex", flag === stop ? 0 : -1);
  }

  flags.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => {
    const all = /** @type {HTMLElement[]} */ (Array.from(flags.children));
    const at = all.indexOf(/** @type {HTMLElement} */ (e.target));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[e.key];
    if (to == null || !all[to]) return;
    e.preventDefault();
    for (const flag of all) put(flag, "tabindex", flag === all[to] ? 0 : -1);
    all[to].focus();
  });

  /** @param {string} key */
  function showTip(key) {
    const mark = marks.find((m) => String(m.tick) === key);
    if (mark) place(sx(mark.tick), mark.notes.map((note) => tell(note)));
  }

  /** @param {number} at @param {string[][]} blocks */
  function place(at, blocks) {
    tip.replaceChildren(...blocks.map(([first, ...rest]) => h("p", {}, h("b", {}, first), ...rest.map((r) => h("span", {}, r)))));
    put(tip, "hidden", false);
    const room = Math.min(tip.offsetWidth, width - 8);
    put(tip, "style", `left:${Math.max(4, Math.min(width - room - 4, at - room / 2))}px;top:${FLAGS + 8}px`);
  }

  function hideTip() {
    put(tip, "hidden", true);
  }

  picture.addEventListener("pointermove", (/** @type {PointerEvent} */ e) => {
    if (!view?.n) return;
    const tick = Math.round(((e.clientX - picture.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT)) * total);
    const i = indexAt(view.x, view.n, tick);
    if (i < 0 || tick > total) return leave();
    const at = view.x[i];
    const near = view.evals.filter((v) => v.split === "valid" && v.tick <= at).at(-1);
    put(hair, "d", `M${sx(at).toFixed(1)} ${LOSS.top}V${BOTTOM}`);
    const rest = [`loss ${showValue(view.y[i])}, smoothed ${showValue(kept.calm[i])}`];
    if (near?.accuracy != null) rest.push(`validation accuracy ${showAccuracy(near.accuracy)} (step ${near.tick})`);
    place(sx(at), [[`step ${at}`, ...rest]]);
  });
  const leave = () => {
    put(hair, "d", "");
    hideTip();
  };
  picture.addEventListener("pointerleave", leave);
  return { el, draw };
}

/** @type {Record<string, string>} */
const FLAG = { freeze: "snow", unfreeze: "drop", augment: "waves", pause: "pause", resume: "play", stop: "stop" };

/** @param {number} x @param {number} y @param {string} text @param {string} anchor */
function label(x, y, text, anchor) {
  return s("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor, text });
}
