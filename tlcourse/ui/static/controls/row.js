// One parameter group: a switch, a learning rate to drag or type, its gradient and movement.

import { expLr, logLr, nextLr, readLr, showCount, showLr, showShare, showValue } from "../format.js";
import { going, takes } from "../model/reduce.js";
import { h, put } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {import("../model/reduce.js").Group} Group
 *  @typedef {(key: string, command: object) => void} Steer
 *  @typedef {(key: string) => void} Typed */

/** Wait this long after a key press on the slider, so that ten presses send one command. */
const REST_MS = 450;

/** @param {string} name @param {Steer} steer @param {Typed} typed */
export function makeRow(name, steer, typed) {
  /** @type {any} */
  let group = { trainable: false, lr: null, stats: true, scale: null };
  let dirty = false; // a rate is being set here: do not overwrite it
  let hand = false; // the pointer is dragging the slider
  let resting = 0;
  const key = `lr:${name}`;

  const word = h("span", { class: "tlc-word" });
  const toggle = h("button", {
    type: "button", role: "switch", class: "tlc-switch", "data-control": `switch:${name}`, "aria-label": `${name}: trains`,
    onclick: () => {
      const lr = dirty ? readLr(field.value) : null; // use the rate just set, even if invalid
      const rate = dirty ? { lr: lr ?? field.value } : {};
      steer(`switch:${name}`, group.trainable ? { kind: "freeze", group: name } : { kind: "unfreeze", group: name, ...rate });
      settle();
    },
  }, h("span", { class: "tlc-knob" }), word);
  const slide = h("input", {
    type: "range", min: -6, max: 0, step: 0.1, class: "tlc-slide", "data-control": `rate:${name}`, "aria-label": `Learning rate of ${name}, slider`,
    oninput: () => {
      draft(expLr(Number(slide.value)));
      clearTimeout(resting);
    },
    onchange: () => {
      clearTimeout(resting);
      if (hand) commit();
      else resting = window.setTimeout(commit, REST_MS);
    },
    onpointerdown: () => { hand = true; },
    onpointerup: () => { hand = false; },
    onkeydown: (/** @type {KeyboardEvent} */ e) => { if (e.key === "Escape") revert(); },
    onblur: () => { hand = false; commit(); },
  });
  const field = h("input", {
    type: "text", inputmode: "decimal", class: "tlc-lr", spellcheck: "false", autocomplete: "off",
    "data-control": key, "aria-label": `Learning rate of ${name}`,
    oninput: () => {
      dirty = true;
      typed(key);
    },
    onkeydown: (/** @type {KeyboardEvent} */ e) => {
      if (e.key === "Enter") commit();
      else if (e.key === "Escape") revert();
      else if (e.key === "ArrowUp" || e.key === "ArrowDown") {
        e.preventDefault();
        draft(nextLr(readLr(field.value) || group.lr || 1e-3, e.key === "ArrowUp" ? 1 : -1));
      }
    },
    onchange: () => commit(),
  });
  const bar = h("i");
  const share = h("span");
  const pull = h("span", { class: "tlc-pull" });
  const stats = h("button", {
    type: "button", class: "tlc-stats", "data-control": `stats:${name}`,
    onclick: () => steer(`stats:${name}`, { kind: "freeze", group: name, stats: !group.stats }),
  });
  const moved = h("span", { class: "tlc-moved" }, h("span", { class: "tlc-bar" }, bar), share);
  const size = h("span", { class: "tlc-size" });
  const say = h("span", { class: "tlc-say", "data-say": `switch:${name} ${key} stats:${name} scale:${name}` });
  const later = h("span", { class: "tlc-later", hidden: true }, "applies when it trains");
  const scale = makeScale(name, steer);
  const el = h("div", { class: "tlc-row", role: "group", "aria-label": name }, toggle,
    h("span", { class: "tlc-name" }, h("b", { title: name }, name), size),
    h("span", { class: "tlc-rate" }, slide, field), h("span", { class: "tlc-pullbox" }, pull, stats), moved, say, later, scale.el);

  /** Send the rate; while the group is frozen, keep it until it is switched on. */
  function commit() {
    if (!dirty) return;
    const lr = readLr(field.value);
    if (lr != null && lr === group.lr) return revert();
    if (!group.trainable && lr != null && lr > 0) return;
    settle();
    steer(key, { kind: "set_lr", group: name, lr: lr ?? field.value });
  }
  function settle() {
    clearTimeout(resting);
    dirty = false;
  }
  function revert() {
    settle();
    typed(key);
    show(group.lr);
  }
  /** @param {number} lr */
  function draft(lr) {
    dirty = true;
    field.value = showLr(lr);
    typed(key);
  }
  /** @param {number|null} lr */
  function show(lr) {
    const truth = showLr(lr);
    if (field.value !== truth) field.value = truth;
    slide.value = String(logLr(lr));
  }

  /** @param {View} view @param {Group} next @param {{grad?: number|null, moved?: number|null, since?: number}} went */
  function draw(view, next, went) {
    group = next;
    const waiting = view.pending.some((p) => p.key === key);
    const rated = takes(view, "set_lr") || (!group.trainable && takes(view, "unfreeze"));
    put(toggle, "aria-checked", String(group.trainable));
    put(toggle, "disabled", !takes(view, group.trainable ? "freeze" : "unfreeze"));
    put(word, "text", group.trainable ? "trains" : "frozen");
    put(el, "data-trains", String(group.trainable));
    if (!dirty && !waiting && !hand) show(group.lr);
    const lr = dirty ? readLr(field.value) : group.lr;
    if (dirty && !hand && lr != null && document.activeElement !== slide) slide.value = String(logLr(lr));
    put(slide, "aria-valuetext", lr == null ? "none" : showLr(lr));
    put(slide, "title", group.trainable ? "Drag to change the learning rate" : "The learning rate it will have once it is switched on");
    put(field, "title", group.trainable ? "Enter applies, Esc reverts, ↑ and ↓ multiply and divide by three" : "The learning rate it will have once it is switched on");
    put(el, "data-draft", dirty);
    put(later, "hidden", !(dirty && rated && !group.trainable && Number(readLr(field.value)) > 0));
    for (const control of [field, slide]) put(control, "disabled", !rated);
    put(size, "text", showCount(group.parameters));
    put(size, "title", `${group.parameters.toLocaleString("en")} parameters`);
    put(pull, "text", group.trainable && went.grad != null ? showValue(went.grad, 2) : "–");
    put(pull, "hidden", !group.trainable);
    put(pull, "aria-label", group.trainable && went.grad != null ? `gradient norm ${showValue(went.grad, 2)}` : "no gradient yet");
    put(pull, "role", "img");
    put(stats, "hidden", group.trainable || group.stats == null || group.kind !== "layers" || !view.can.includes("freeze"));
    put(stats, "text", group.stats ? "BN fixed" : "BN updates");
    put(stats, "aria-pressed", String(!group.stats));
    put(stats, "aria-label", `BatchNorm statistics of ${name} keep updating while it is frozen`);
    put(stats, "title", group.stats ? "While frozen, its BatchNorm statistics are fixed too. Click to let them update" : "Its BatchNorm statistics keep updating although it is frozen. Click to fix them");
    put(stats, "disabled", !takes(view, "freeze"));
    const far = went.moved;
    put(share, "text", far == null ? "–" : showShare(far));
    put(bar, "style", `width:${far ? Math.max(2, Math.min(100, 100 + 25 * Math.log10(far))) : 0}%`); // 0.01 % … 100 %
    put(moved, "role", "img");
    put(moved, "aria-label", far == null ? "not moved yet" : `moved ${showShare(far)} since ${went.since ? `step ${went.since}` : "the start"}`);
    scale.draw(view, group, going(view));
  }
  return { el, draw };
}

/** The scale of an adapter: 0 is off, 1 is as trained. @param {string} name @param {Steer} steer */
function makeScale(name, steer) {
  let held = false;
  const value = h("output", { class: "tlc-strength" });
  const slide = h("input", {
    type: "range", min: 0, max: 2, step: 0.05, "data-control": `scale:${name}`, "aria-label": `Scale of ${name}`,
    oninput: () => { held = true; put(value, "text", Number(slide.value).toFixed(2)); },
    onchange: () => { held = false; steer(`scale:${name}`, { kind: "set_scale", adapter: name, value: Number(slide.value) }); },
    onblur: () => { held = false; },
  });
  const el = h("span", { class: "tlc-scale", hidden: true }, h("span", { class: "tlc-label" }, "scale"), slide, value, h("span", { class: "tlc-label" }, "0: off, 1: as trained"));

  /** @param {View} view @param {Group} group @param {boolean} open */
  function draw(view, group, open) {
    put(el, "hidden", group.kind !== "adapter" || group.scale == null);
    if (group.scale == null) return;
    if (!held && !view.pending.some((p) => p.key === `scale:${name}`)) slide.value = String(group.scale);
    put(value, "text", Number(held || open ? slide.value : group.scale).toFixed(2));
    put(slide, "disabled", !takes(view, "set_scale"));
  }
  return { el, draw };
}
