// One row per parameter group: does it train, how fast, and how far did it move?

import { nextLr, readLr, showCount, showLr, showShare } from "./format.js";
import { steerable } from "./reduce.js";
import { h, keyed, put } from "./dom.js";

/** @typedef {import("./reduce.js").View} View
 *  @typedef {(key: string, command: object) => void} Steer
 *  @typedef {(key: string) => void} Typed */

/** @param {Steer} steer @param {Typed} typed */
export function makeGroups(steer, typed) {
  const sum = h("span", { class: "tlc-sum" });
  const freezeAll = h("button", { type: "button", class: "tlc-small", onclick: () => steer("backbone", { kind: "freeze", group: "backbone" }) }, "Freeze backbone");
  const trainAll = h("button", { type: "button", class: "tlc-small", onclick: () => steer("backbone", { kind: "unfreeze", group: "backbone" }) }, "Train backbone");
  const say = h("span", { class: "tlc-say", "data-say": "backbone" });
  const since = h("span");
  const body = h("div", { class: "tlc-rows" });
  const strength = h("output", { class: "tlc-strength" });
  const slider = h("input", {
    type: "range", min: 0, max: 1, step: 0.1, "aria-label": "Augmentation strength", "data-control": "augment",
    oninput: () => put(strength, "text", Number(slider.value).toFixed(1)),
    onchange: () => steer("augment", { kind: "augment", strength: Number(slider.value) }),
  });
  const augment = h("div", { class: "tlc-augment" },
    h("span", { class: "tlc-label" }, "Augmentation"), slider, strength, h("span", { class: "tlc-say", "data-say": "augment" }));
  const el = h("section", { class: "tlc-groups", "aria-label": "Parameter groups" },
    h("header", {}, h("h3", {}, "Parameter groups"), sum, h("span", { class: "tlc-both" }, freezeAll, trainAll), say),
    h("div", { class: "tlc-heads", "aria-hidden": "true" }, h("span", {}, "trains?"), h("span", {}, "group"), h("span", {}, "learning rate"), since),
    body, augment);
  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  const rows = new Map();

  /** @param {View} view */
  function draw(view) {
    const open = steerable(view);
    const trains = view.groups.filter((g) => g.trainable);
    const count = (/** @type {any[]} */ gs) => showCount(gs.reduce((n, g) => n + g.parameters, 0));
    put(sum, "text", view.groups.length ? `${count(trains)} of ${count(view.groups)} train` : "");
    put(sum, "title", "Parameters that train, of all");
    put(since, "text", view.movement ? `moved since ${view.movement.since}` : "moved");
    put(since, "title", "How far the weights went in the steps after the last intervention, relative to their length: did it bite?");
    keyed(body, view.groups.map((g) => g.name), (name) => {
      const row = makeRow(name, steer, typed);
      rows.set(name, row);
      return row.el;
    });
    for (const group of view.groups) rows.get(group.name)?.draw(view, group, open);
    const backbone = view.groups.slice(0, -1);
    put(freezeAll, "disabled", !open || !backbone.some((g) => g.trainable));
    put(trainAll, "disabled", !open || !backbone.some((g) => !g.trainable));
    put(augment, "hidden", view.now.augment == null);
    put(slider, "disabled", !open);
    if (view.now.augment != null && !view.pending.some((p) => p.key === "augment") && document.activeElement !== slider) {
      slider.value = String(view.now.augment);
    }
    if (view.answers.augment && !view.answers.augment.ok) slider.value = String(view.now.augment);
    put(strength, "text", Number(slider.value).toFixed(1));
  }
  return { el, draw };
}

/** @param {string} name @param {Steer} steer @param {Typed} typed */
function makeRow(name, steer, typed) {
  /** @type {any} */
  let group = { trainable: false, lr: null };
  let dirty = false; // a person is typing here; the truth must wait
  const word = h("span", { class: "tlc-word" });
  const toggle = h("button", {
    type: "button", role: "switch", class: "tlc-switch", "data-control": `switch:${name}`, "aria-label": `${name}: trains`,
    onclick: () => {
      const lr = readLr(field.value);
      const rate = dirty && lr != null && lr !== group.lr ? { lr } : {};
      steer(`switch:${name}`, group.trainable ? { kind: "freeze", group: name } : { kind: "unfreeze", group: name, ...rate });
      dirty = false;
    },
  }, h("span", { class: "tlc-knob" }), word);
  const field = h("input", {
    type: "text", inputmode: "decimal", class: "tlc-lr", spellcheck: "false", autocomplete: "off",
    "data-control": `lr:${name}`, "aria-label": `Learning rate of ${name}`,
    oninput: () => {
      dirty = true;
      typed(`lr:${name}`);
    },
    onkeydown: (/** @type {KeyboardEvent} */ e) => {
      if (e.key === "Enter") commit();
      else if (e.key === "Escape") revert();
      else if (e.key === "ArrowUp" || e.key === "ArrowDown") {
        e.preventDefault();
        draft(e.key === "ArrowUp" ? 1 : -1);
      }
    },
    onchange: () => commit(),
  });
  const lower = h("button", { type: "button", class: "tlc-small", "data-control": `lower:${name}`, onclick: () => jump(-1) }, "÷3");
  const raise = h("button", { type: "button", class: "tlc-small", "data-control": `raise:${name}`, onclick: () => jump(1) }, "×3");
  const bar = h("i");
  const share = h("span");
  const moved = h("span", { class: "tlc-moved" }, h("span", { class: "tlc-bar" }, bar), share);
  const size = h("span", { class: "tlc-size" });
  const say = h("span", { class: "tlc-say", "data-say": `switch:${name} lr:${name}` });
  const later = h("span", { class: "tlc-later", hidden: true }, "applies when it trains");
  const el = h("div", { class: "tlc-row", role: "group", "aria-label": name }, toggle,
    h("span", { class: "tlc-name" }, h("b", { title: name }, name), size),
    h("span", { class: "tlc-rate" }, lower, field, raise), moved, say, later);

  /** Send what is typed; while the group is frozen keep it for the switch. */
  function commit() {
    if (!dirty) return;
    const lr = readLr(field.value);
    if (lr != null && lr === group.lr) return revert();
    if (!group.trainable && lr != null && lr > 0) return;
    dirty = false;
    steer(`lr:${name}`, { kind: "set_lr", group: name, lr: lr ?? field.value });
  }
  function revert() {
    dirty = false;
    typed(`lr:${name}`);
    field.value = showLr(group.lr);
  }
  /** @param {1|-1} way */
  function draft(way) {
    field.value = showLr(nextLr(readLr(field.value) || group.lr || 1e-3, way));
    dirty = true;
    typed(`lr:${name}`);
  }
  /** @param {1|-1} way */
  function jump(way) {
    draft(way);
    commit();
  }

  /** @param {View} view @param {import("./reduce.js").Group} next @param {boolean} open */
  function draw(view, next, open) {
    group = next;
    const waiting = view.pending.some((p) => p.key === `lr:${name}`);
    put(toggle, "aria-checked", String(group.trainable));
    put(toggle, "disabled", !open);
    put(word, "text", group.trainable ? "trains" : "frozen");
    put(el, "data-trains", String(group.trainable));
    if (!dirty && !waiting) {
      const truth = showLr(group.lr);
      if (field.value !== truth) field.value = truth;
    }
    put(field, "title", group.trainable ? "Enter applies, Esc reverts, ↑ ↓ times or by three" : "The rate it will train with when you switch it on");
    put(el, "data-draft", dirty);
    put(later, "hidden", !(dirty && open && !group.trainable && Number(readLr(field.value)) > 0));
    for (const control of [field, lower, raise]) put(control, "disabled", !open);
    put(lower, "aria-label", `Lower the learning rate of ${name}`);
    put(raise, "aria-label", `Raise the learning rate of ${name}`);
    put(size, "text", showCount(group.parameters));
    put(size, "title", `${group.parameters.toLocaleString("en")} parameters`);
    const far = view.movement?.moved[name];
    put(share, "text", view.movement ? showShare(far) : "–");
    put(bar, "style", `width:${far ? Math.max(2, Math.min(100, 100 + 25 * Math.log10(far))) : 0}%`); // 0.01 % … 100 %
    put(moved, "aria-label", view.movement ? `moved ${showShare(far)} since step ${view.movement.since}` : "not moved yet");
  }
  return { el, draw };
}
