// Controls for more than one group: augmentation, loss terms, adapters, the head.

import { showValue } from "../format.js";
import { takes } from "../model/reduce.js";
import { h, keyed, put } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {(key: string, command: object) => void} Steer */

const RANKS = [1, 2, 4, 8, 16, 32, 64];

/** @param {Steer} steer */
export function makeLevers(steer) {
  const augment = makeSlider("augment", "Augmentation", 1, 0.1, (value) => steer("augment", { kind: "augment", strength: value }));
  const terms = h("div", { class: "tlc-terms" });
  /** @type {Map<string, ReturnType<typeof makeSlider>>} */
  const sliders = new Map();
  const lora = makeLora(steer);
  const head = h("span", { class: "tlc-lever" }, h("span", { class: "tlc-label" }, "Fresh head"),
    ...["linear", "mlp"].map((kind) => h("button", {
      type: "button", class: "tlc-small", "data-control": `head:${kind}`, title: kind === "mlp" ? "With one hidden layer as wide as the features" : "One linear layer",
      onclick: () => steer(`head:${kind}`, { kind: "swap_head", head: kind }),
    }, kind === "mlp" ? "MLP" : "linear")), h("span", { class: "tlc-say", "data-say": "head:linear head:mlp" }));
  const more = h("details", { class: "tlc-more" }, h("summary", {}, "Adapters and head"), lora.el, head);
  const el = h("div", { class: "tlc-levers" }, augment.el, terms, more);

  /** @param {View} view */
  function draw(view) {
    put(augment.el, "hidden", view.now.augment == null || !view.can.includes("augment"));
    if (view.now.augment != null) augment.draw(view, view.now.augment, takes(view, "augment"));
    const weights = view.can.includes("set_weight") ? view.now.weights : {};
    keyed(terms, Object.keys(weights), (term) => {
      const most = 2 * Math.max(0.5, weights[term]);
      const slider = makeSlider(`weight:${term}`, `Weight of ${term}`, most, most / 40, (value) => steer(`weight:${term}`, { kind: "set_weight", term, value }), true);
      sliders.set(term, slider);
      return slider.el;
    });
    for (const [term, weight] of Object.entries(weights)) {
      const value = view.now.terms?.[term];
      sliders.get(term)?.draw(view, weight, takes(view, "set_weight"), value == null ? "" : `the term is ${showValue(value)}`);
    }
    put(more, "hidden", !["add_lora", "swap_head"].some((kind) => view.can.includes(kind)));
    put(lora.el, "hidden", !view.can.includes("add_lora"));
    lora.draw(view);
    put(head, "hidden", !view.can.includes("swap_head"));
    for (const button of head.querySelectorAll("button")) put(button, "disabled", !takes(view, "swap_head"));
  }
  return { el, draw };
}

/** A slider that shows the current value until it is dragged, and sends on release.
 * @param {string} key @param {string} text @param {number} max @param {number} step @param {(value: number) => void} send
 * @param {boolean} [grows] extend the range when its end is reached, for an unbounded value */
export function makeSlider(key, text, max, step, send, grows = false) {
  let held = false;
  const value = h("output", { class: "tlc-strength" });
  const slide = h("input", {
    type: "range", min: 0, max, step, "aria-label": text, "data-control": key,
    oninput: () => { held = true; put(value, "text", showValue(Number(slide.value), 2)); },
    onchange: () => { held = false; send(Number(Number(slide.value).toPrecision(3))); },
    onblur: () => { held = false; },
  });
  const beside = h("span", { class: "tlc-label" });
  const el = h("div", { class: "tlc-augment" }, h("span", { class: "tlc-label" }, text), slide, value, beside, h("span", { class: "tlc-say", "data-say": key }));

  /** @param {View} view @param {number} truth @param {boolean} open @param {string} [word] */
  function draw(view, truth, open, word = "") {
    if (truth > Number(slide.max)) put(slide, "max", 2 * truth);
    else if (grows && !held && truth > 0 && truth === Number(slide.max)) put(slide, "max", 4 * truth);
    if (!held && !view.pending.some((p) => p.key === key)) slide.value = String(truth);
    put(value, "text", held ? showValue(Number(slide.value), 2) : showValue(truth, 2));
    put(beside, "text", word);
    put(slide, "disabled", !open);
  }
  return { el, draw };
}

/** @param {Steer} steer */
function makeLora(steer) {
  /** @type {string[]} */
  let taken = [];
  const where = h("select", { class: "tlc-select", "data-control": "lora-group", "aria-label": "Where to add LoRA" });
  const rank = h("select", { class: "tlc-select", "data-control": "lora-rank", "aria-label": "Rank of LoRA" }, ...RANKS.map((r) => h("option", { value: r }, `rank ${r}`)));
  rank.value = "8";
  const add = h("button", {
    type: "button", class: "tlc-small", "data-control": "lora", title: "Add small trainable matrices to the layers and freeze their own weights",
    onclick: () => {
      let name = "lora";
      for (let i = 2; taken.includes(name); i++) name = `lora ${i}`;
      steer("lora", { kind: "add_lora", group: where.value, rank: Number(rank.value), name });
    },
  }, "Add LoRA");
  const el = h("span", { class: "tlc-lever" }, h("span", { class: "tlc-label" }, "LoRA on"), where, rank, add, h("span", { class: "tlc-say", "data-say": "lora" }));

  /** @param {View} view */
  function draw(view) {
    taken = view.groups.map((g) => g.name);
    const layers = view.groups.filter((g) => g.kind === "layers").map((g) => g.name);
    const places = layers.length > 1 ? ["backbone", ...layers] : layers;
    keyed(where, places, (name) => h("option", { value: name }, name));
    for (const control of [where, rank, add]) put(control, "disabled", !takes(view, "add_lora"));
  }
  return { el, draw };
}
