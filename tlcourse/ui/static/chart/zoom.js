// Input on the curves: hover, drag a range, wheel or pinch, or the same with keys.

import { panned, zoomed } from "./scale.js";

/** @typedef {import("./scale.js").Window} Window
 *  @typedef {{left: number, right: number, shown: Window, whole: Window}} Ground  px of the frame, steps shown, all steps
 *  @typedef {{ground: () => Ground|null, point: (step: number|null, byKey: boolean) => void,
 *   range: (px: [number, number]|null) => void, show: (window: Window|null) => void}} Hands
 *    point: inspect a step; range: a range is being selected; show: show these steps, or all (null) */

/** How far a pointer must move before it selects a range. */
const DRAG_PX = 6;

/** Listen on an element; returns a function that stops it. @param {HTMLElement} el @param {Hands} hands */
export function watch(el, { ground, point, range, show }) {
  /** @type {Map<number, number>} pressed pointers and their positions */
  const down = new Map();
  let began = NaN; // px where the range began
  let spread = NaN; // px between two fingers
  let looked = 0; // the step inspected by keyboard

  const px = (/** @type {PointerEvent|WheelEvent|MouseEvent} */ e) => e.clientX - el.getBoundingClientRect().left;
  const stepAt = (/** @type {Ground} */ g, /** @type {number} */ at) =>
    g.shown[0] + ((at - g.left) / (g.right - g.left)) * (g.shown[1] - g.shown[0]);
  const inside = (/** @type {Ground} */ g, /** @type {number} */ at) => Math.min(g.right, Math.max(g.left, at));

  const onDown = (/** @type {PointerEvent} */ e) => {
    const g = ground();
    if (!g || e.button !== 0) return;
    down.set(e.pointerId, px(e));
    if (down.size === 2) {
      const [a, b] = [...down.values()];
      spread = Math.abs(a - b);
      began = NaN;
      range(null);
    } else if (e.pointerType !== "touch") began = inside(g, px(e));
    else point(Math.round(stepAt(g, inside(g, px(e)))), false);
  };

  const onMove = (/** @type {PointerEvent} */ e) => {
    const g = ground();
    if (!g) return;
    const at = px(e);
    if (down.has(e.pointerId)) down.set(e.pointerId, at);
    if (down.size === 2) return pinch(g);
    if (Number.isFinite(began) && down.size && Math.abs(at - began) > DRAG_PX) {
      if (!el.hasPointerCapture(e.pointerId)) el.setPointerCapture(e.pointerId);
      point(null, false);
      return range([Math.min(began, inside(g, at)), Math.max(began, inside(g, at))]);
    }
    point(at < g.left - 8 || at > g.right + 8 ? null : Math.round(stepAt(g, inside(g, at))), false);
  };

  const onUp = (/** @type {PointerEvent} */ e) => {
    const g = ground();
    const at = px(e);
    const drawn = g && Number.isFinite(began) && down.has(e.pointerId) && Math.abs(at - began) > DRAG_PX;
    down.delete(e.pointerId);
    spread = NaN;
    range(null);
    if (drawn && e.type === "pointerup") {
      const [a, b] = [stepAt(g, began), stepAt(g, inside(g, at))];
      show([Math.min(a, b), Math.max(a, b)]);
    }
    began = NaN;
  };

  /** @param {Ground} g */
  function pinch(g) {
    const [a, b] = [...down.values()];
    const now = Math.abs(a - b);
    if (now > 10 && spread > 10) show(zoomed(g.shown, g.whole, stepAt(g, (a + b) / 2), spread / now));
    spread = now;
  }

  const onWheel = (/** @type {WheelEvent} */ e) => {
    const g = ground();
    const sideways = e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY);
    if (!g || !(e.ctrlKey || e.metaKey || e.altKey || (e.shiftKey && g.shown[1] - g.shown[0] < g.whole[1] - g.whole[0]))) return;
    e.preventDefault(); // otherwise the page zooms
    const amount = (e.deltaMode === 1 ? 16 : 1) * (sideways ? e.deltaX || e.deltaY : e.deltaY);
    if (sideways) show(panned(g.shown, g.whole, amount / 500));
    else show(zoomed(g.shown, g.whole, stepAt(g, inside(g, px(e))), Math.exp(Math.max(-60, Math.min(60, amount)) / 150)));
  };

  const onKey = (/** @type {KeyboardEvent} */ e) => {
    const g = ground();
    if (!g || e.target !== el || e.ctrlKey || e.metaKey || e.altKey) return;
    const [from, to] = g.shown;
    const stride = Math.max(1, Math.round(((to - from) / 100) * (e.shiftKey ? 10 : 1)));
    if (!(looked >= from && looked <= to)) looked = Math.round((from + to) / 2);
    if (e.key === "ArrowLeft") looked = Math.max(Math.ceil(from), looked - stride);
    else if (e.key === "ArrowRight") looked = Math.min(Math.floor(to), looked + stride);
    else if (e.key === "Home") looked = Math.ceil(from);
    else if (e.key === "End") looked = Math.floor(to);
    else if (e.key === "+" || e.key === "=") show(zoomed(g.shown, g.whole, looked, 1 / 1.6));
    else if (e.key === "-") show(zoomed(g.shown, g.whole, looked, 1.6));
    else if (e.key === "PageUp") show(panned(g.shown, g.whole, 0.5));
    else if (e.key === "PageDown") show(panned(g.shown, g.whole, -0.5));
    else if (e.key === "0") show(null);
    else if (e.key === "Escape") return point(null, true);
    else return;
    e.preventDefault();
    point(looked, true);
  };

  const leave = (/** @type {PointerEvent} */ e) => { // a step selected by touch stays selected
    if (e.pointerType !== "touch" && !Number.isFinite(began) && document.activeElement !== el) point(null, false);
  };
  /** @type {[string, any, any?][]} */
  const heard = [["pointerdown", onDown], ["pointermove", onMove], ["pointerup", onUp], ["pointercancel", onUp], ["pointerleave", leave],
    ["dblclick", () => show(null)], ["wheel", onWheel, { passive: false }], ["keydown", onKey], ["blur", () => point(null, true)]];
  for (const [type, does, options] of heard) el.addEventListener(type, does, options);
  return () => { for (const [type, does, options] of heard) el.removeEventListener(type, does, options); };
}
