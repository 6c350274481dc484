// The timeline: lanes of steps, interventions, bookmarks, and a playhead to drag back.

import { freshName, goneNotes, lanesOf, nearBookmark, rewindTo } from "../model/lanes.js";
import { linked, takes } from "../model/reduce.js";
import { button } from "./header.js";
import { h, icon, keyed, put, s } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/lanes.js").Lane} Lane
 *  @typedef {import("../model/lanes.js").Moment} Moment
 *  @typedef {(key: string, command: object) => void} Steer */

const ENDS = { left: 50, right: 14 }; // as in the chart, so that steps line up
const ROW = 20;
const TOP = 22; // room for bookmarks
const SNAP_PX = 6;

/** @param {Steer} steer */
export function makeTimeline(steer) {
  /** @type {View|null} */
  let view = null;
  /** @type {Lane[]} */
  let lanes = [];
  let width = 0;
  let end = 1; // last step of the axis
  /** @type {Moment|null} */
  let moment = null; // chosen target, not confirmed yet
  let dragged = false;

  const mark = makeNaming("save", "bookmark", "Bookmark", "Save this state under a name", (name) => ({ kind: "save", name }));
  const fork = makeNaming("branch", "fork", "Branch", "Start another timeline here; this one stays as it is", (name) => ({ kind: "branch", name }));
  const twinWord = h("span", { class: "tlc-word" });
  const twin = h("button", {
    type: "button", role: "switch", class: "tlc-switch", "data-control": "twin", title: "The next change gets a control: a copy without it, trained alongside on the same batches",
    onclick: () => steer("twin", { kind: "twin", on: view?.now.twin == null }),
  }, h("span", { class: "tlc-knob" }), twinWord);
  const tools = h("span", { class: "tlc-timetools" }, mark.el, fork.el, twin);
  const say = h("span", { class: "tlc-say", "data-say": "save branch twin rewind" });

  const picture = s("svg", { class: "tlc-lanes", "aria-hidden": "true" });
  const pins = h("div", { class: "tlc-pins" });
  const head = h("div", { class: "tlc-playhead", "data-control": "rewind" });
  const words = h("span");
  const go = h("button", { type: "button", class: "tlc-button", "data-control": "go", onclick: () => commit() }, "Rewind");
  const from = h("button", { type: "button", class: "tlc-button", "data-control": "from", onclick: () => begin() }, "Branch from here");
  const no = h("button", { type: "button", class: "tlc-button", "data-control": "no", onclick: () => cancel() }, "Cancel");
  const bubble = h("div", { class: "tlc-moment", role: "group", "aria-label": "Go back in time", hidden: true }, words, go, from, no);
  const track = h("div", { class: "tlc-track" }, picture, pins, head, bubble);
  const el = h("section", { class: "tlc-time", "aria-label": "Time" }, h("header", {}, h("h3", {}, "Time"), h("span", { class: "tlc-sum" }), tools, say), track);
  const how = el.querySelector(".tlc-sum");
  const sx = (/** @type {number} */ step) => ENDS.left + ((width - ENDS.left - ENDS.right) * step) / end;

  /** @param {View} next */
  function draw(next) {
    view = next;
    width = track.clientWidth;
    if (!width) return; // not on the page now
    const perPx = (/** @type {number} */ step) => step / Math.max(1, width - ENDS.left - ENDS.right);
    lanes = lanesOf(view, (name) => perPx(end) * (name.length * 6.5 + 18));
    end = Math.max(view.now.total ?? 0, ...lanes.map((lane) => lane.far), 1);
    const rows = Math.max(1, ...lanes.map((lane) => lane.row + 1));
    put(track, "style", `height:${TOP + rows * ROW}px`);
    drawLanes();
    drawPins();
    const back = takes(view, "rewind");
    if (moment && !back) moment = null;
    const here = lanes.find((lane) => lane.present);
    const at = moment?.branch === here?.name && moment ? moment.step : view.now.step;
    put(head, "hidden", !here);
    put(head, "style", `left:${sx(at).toFixed(1)}px;top:${TOP + ROW * ((here?.row ?? 0) + 0.5)}px`);
    put(head, "data-moved", moment !== null);
    for (const [name, value] of Object.entries({
      role: "slider", tabindex: "0", "aria-label": "Playhead: go back in time", "aria-valuemin": 0, "aria-valuemax": here?.tip ?? 0, "aria-valuenow": at,
      "aria-valuetext": moment ? `step ${at}: Enter rewinds, Escape cancels` : `step ${at}`, title: "Drag back to rewind",
    })) put(head, name, back ? value : null);
    put(how, "text", lanes.length > 1 || back ? `${here?.name ?? ""}${back && view.now.step > 0 ? " · drag the playhead back to rewind" : ""}` : "");
    mark.draw(view, "save", view.bookmarks.map((b) => b.name));
    fork.draw(view, "branch", view.timelines.map((one) => one.name));
    put(twin, "hidden", !view.can.includes("twin"));
    put(twin, "disabled", !takes(view, "twin"));
    put(twin, "aria-checked", String(view.now.twin != null));
    put(twinWord, "text", view.now.twin == null ? "Compare with a twin" : view.now.twin === "armed" ? "Twin from the next change on" : "Twin trains alongside");
    put(tools, "hidden", !linked(view) || !["save", "branch", "twin"].some((kind) => view?.can.includes(kind)));
    drawMoment();
  }

  function drawLanes() {
    const now = /** @type {View} */ (view);
    const gone = goneNotes(now);
    const y = (/** @type {Lane} */ lane) => TOP + ROW * (lane.row + 0.5);
    /** @type {Element[]} */
    const parts = [s("path", { class: "tlc-rail", d: `M${ENDS.left} ${TOP + ROW / 2}H${width - ENDS.right}` })];
    for (const lane of lanes) {
      const [x0, x1, x2] = [sx(lane.start), sx(lane.tip), sx(lane.far)];
      const parent = lanes.find((other) => other.name === lane.parent);
      const kind = lane.control ? "tlc-lane tlc-twin" : lane.present ? "tlc-lane tlc-present" : "tlc-lane";
      if (parent) parts.push(s("path", { class: "tlc-stem", d: `M${x0.toFixed(1)} ${y(parent)}V${y(lane)}` }));
      if (x2 > x1) parts.push(s("path", { class: "tlc-gone", d: `M${x1.toFixed(1)} ${y(lane)}H${x2.toFixed(1)}` }));
      parts.push(s("path", { class: kind, d: `M${x0.toFixed(1)} ${y(lane)}H${Math.max(x1, x0 + 0.5).toFixed(1)}` }));
      if (lanes.length > 1) parts.push(s("text", { x: (x0 - 7).toFixed(1), y: y(lane) + 4, "text-anchor": "end", text: lane.name }));
    }
    now.notes.forEach((note, i) => {
      const lane = lanes.find((other) => other.name === note.branch);
      if (!lane || !note.marked) return;
      const at = sx(note.step).toFixed(1);
      const d = note.kind === "rewind" ? `M${at} ${y(lane) - 6}l-5 6l5 6` : `M${at} ${y(lane) - 6}v12`;
      parts.push(s("path", { class: gone[i] ? "tlc-did tlc-undone" : "tlc-did", d }, s("title", {}, document.createTextNode(`step ${note.step}: ${note.text}`))));
    });
    if (moment) {
      const lane = lanes.find((other) => other.name === moment?.branch);
      if (lane) parts.push(s("path", { class: "tlc-ghost", d: `M${sx(moment.step).toFixed(1)} ${TOP - 4}V${TOP + ROW * (lane.row + 1)}` }));
    }
    put(picture, "width", width);
    put(picture, "height", TOP + ROW * Math.max(1, ...lanes.map((lane) => lane.row + 1)));
    picture.replaceChildren(...parts);
  }

  /** Bookmarks, and the last steps of other timelines. */
  function drawPins() {
    const now = /** @type {View} */ (view);
    const tips = lanes.filter((lane) => !lane.present && !lane.control);
    /** @type {{key: string, moment: Moment, row: number, text: string, label: string, tip: boolean}[]} */
    const all = [
      ...now.bookmarks.filter((b) => b.name !== "start").map((b) => ({
        key: `b:${b.name}`, moment: { step: b.step, branch: b.branch, name: b.name }, row: lanes.find((l) => l.name === b.branch)?.row ?? 0,
        text: b.name, label: `Bookmark ${b.name}: step ${b.step} of ${b.branch}, ${Number(b.mb.toPrecision(2))} MB`, tip: false,
      })),
      ...tips.map((lane) => ({
        key: `t:${lane.name}`, moment: { step: lane.tip, branch: lane.name, name: null }, row: lane.row, text: "",
        label: `Return to ${lane.name}, which was left at step ${lane.tip}`, tip: true,
      })),
    ];
    keyed(pins, all.map((pin) => pin.key), (key) => h("button", { type: "button", class: "tlc-pin", "data-control": `pin:${key.slice(2)}` }));
    all.forEach((pin, i) => {
      const node = /** @type {any} */ (pins.children[i]);
      const x = sx(pin.moment.step);
      if (!node.firstChild) node.append(icon(pin.tip ? "clock" : "bookmark"), h("span"));
      put(node, "class", pin.tip ? "tlc-pin tlc-tippin" : "tlc-pin");
      put(node, "style", `left:${x.toFixed(1)}px;top:${pin.tip ? TOP + ROW * (pin.row + 0.5) : 1}px`);
      put(node.lastChild, "text", pin.text.length > 12 ? `${pin.text.slice(0, 11)}…` : pin.text);
      put(node, "aria-label", pin.label);
      put(node, "title", pin.label);
      put(node, "disabled", !takes(now, "rewind"));
      node.onclick = () => consider(pin.moment, true);
    });
  }

  function drawMoment() {
    put(bubble, "hidden", moment === null);
    if (!moment || !view) return;
    const place = `step ${moment.step}${moment.branch === view.now.branch ? "" : ` of ${moment.branch}`}${moment.name ? `, bookmark ${moment.name}` : ""}`;
    put(words, "text", dragged ? `Release to rewind to ${place}, Esc to cancel` : `Go to ${place}?`);
    put(from, "hidden", dragged || !takes(view, "branch") || moment.branch !== view.now.branch);
    for (const control of [go, no]) put(control, "hidden", dragged);
    const x = Math.max(4, Math.min(width - bubble.offsetWidth - 4, sx(moment.step) - bubble.offsetWidth / 2));
    put(bubble, "style", `left:${x.toFixed(0)}px`);
  }

  const redraw = () => { if (view) draw(view); };

  /** @param {Moment} next @param {boolean} [focus] */
  function consider(next, focus) {
    moment = next;
    redraw();
    if (focus) go.focus();
  }
  function cancel() {
    const held = bubble.contains(document.activeElement);
    moment = null;
    dragged = false;
    redraw();
    if (held) head.focus();
  }
  function commit() {
    if (view && moment) steer("rewind", rewindTo(view, moment));
    cancel();
  }
  function begin() {
    if (!view || !moment) return;
    const at = moment.name ?? moment.step;
    cancel();
    fork.open((/** @type {string} */ name) => ({ kind: "branch", name, at }));
  }

  /** A step of the current timeline, or a bookmark near it. @param {number} step @param {number} reach @returns {Moment} */
  function momentAt(step, reach) {
    const now = /** @type {View} */ (view);
    const near = nearBookmark(now, step, reach);
    const to = Math.max(0, Math.min(now.now.step, Math.round(step)));
    return near ? { step: near.step, branch: near.branch, name: near.name } : { step: to, branch: now.now.branch, name: null };
  }

  head.addEventListener("pointerdown", (/** @type {PointerEvent} */ e) => {
    if (!view || e.button !== 0 || !takes(view, "rewind")) return;
    e.preventDefault();
    head.focus();
    head.setPointerCapture(e.pointerId);
    const left = track.getBoundingClientRect().left;
    const first = e.clientX;
    const perPx = end / Math.max(1, width - ENDS.left - ENDS.right);
    const move = (/** @type {PointerEvent} */ m) => {
      if (!dragged && Math.abs(m.clientX - first) < 3) return;
      dragged = true;
      consider(momentAt((m.clientX - left - ENDS.left) * perPx, SNAP_PX * perPx));
    };
    const done = (/** @type {PointerEvent} */ m) => {
      head.removeEventListener("pointermove", move);
      for (const type of ["pointerup", "pointercancel"]) head.removeEventListener(type, /** @type {any} */ (done));
      if (m.type === "pointerup" && dragged && moment && view && moment.step < view.now.step) commit();
      else if (dragged) cancel();
      dragged = false;
    };
    head.addEventListener("pointermove", move);
    for (const type of ["pointerup", "pointercancel"]) head.addEventListener(type, /** @type {any} */ (done));
  });

  head.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => {
    if (!view || !takes(view, "rewind")) return;
    const far = Math.max(1, Math.round(end / 20));
    const at = moment?.step ?? view.now.step;
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - far, PageUp: at + far, Home: 0, End: view.now.step }[e.key];
    if (to != null) {
      e.preventDefault();
      consider(momentAt(to, 0));
    } else if (e.key === "Enter" && moment) commit();
  });
  el.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => {
    if (e.key === "Escape" && moment) {
      dragged = false;
      cancel();
    }
  });

  /** A button that asks for a name and then sends. @param {string} key @param {string} sign @param {string} text
   * @param {string} title @param {(name: string) => object} make */
  function makeNaming(key, sign, text, title, make) {
    let how = make;
    /** @type {string[]} */
    let taken = [];
    const ask = button(key, sign, text, title, () => open(make));
    const field = h("input", { type: "text", class: "tlc-name-field", maxlength: 40, "data-control": `${key}-name`, "aria-label": `Name of the ${text.toLowerCase()}`, spellcheck: "false", autocomplete: "off" });
    const form = h("form", { class: "tlc-naming", hidden: true, onsubmit: (/** @type {Event} */ e) => {
      e.preventDefault();
      const command = how(field.value.trim());
      close();
      steer(key, command);
    } }, field, h("button", { type: "submit", class: "tlc-button", "data-control": `${key}-set` }, `Set ${text.toLowerCase()}`));
    const el = h("span", { class: "tlc-ask" }, ask, form);
    form.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => { if (e.key === "Escape") close(); });
    form.addEventListener("focusout", (/** @type {FocusEvent} */ e) => {
      if (form.hidden || !e.relatedTarget || form.contains(/** @type {Node} */ (e.relatedTarget))) return;
      if (key === "save" && field.value.trim()) form.requestSubmit(); // leaving the form sets the bookmark
      else close();
    });

    /** @param {(name: string) => object} make */
    function open(make) {
      how = make;
      field.value = freshName(text.toLowerCase(), taken);
      put(form, "hidden", false);
      put(ask, "hidden", true);
      field.select();
      field.focus();
    }
    function close() {
      if (form.hidden) return;
      const held = form.contains(document.activeElement);
      put(ask, "hidden", false);
      put(form, "hidden", true);
      if (held) ask.focus();
    }
    /** @param {View} view @param {string} kind @param {string[]} names */
    function draw(view, kind, names) {
      taken = names;
      put(el, "hidden", !view.can.includes(kind));
      put(ask, "disabled", !takes(view, kind));
      if (!takes(view, kind)) close();
    }
    return { el, open, draw };
  }
  return { el, draw };
}
