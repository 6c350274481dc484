// Parameter groups, one row each: whether it trains, its learning rate, its gradient, and how far it has moved.

import { showCount } from "../format.js";
import { linesOf, roleOf } from "../model/lines.js";
import { takes } from "../model/reduce.js";
import { h, keyed, put } from "../dom.js";
import { makeLevers } from "./levers.js";
import { makeRow } from "./row.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {(key: string, command: object) => void} Steer
 *  @typedef {(key: string) => void} Typed */

/** @param {Steer} steer @param {Typed} typed */
export function makeGroups(steer, typed) {
  const sum = h("span", { class: "tlc-sum" });
  const freezeAll = h("button", { type: "button", class: "tlc-small", "data-control": "freeze-backbone", onclick: () => steer("backbone", { kind: "freeze", group: "backbone" }) }, "Freeze backbone");
  const trainAll = h("button", { type: "button", class: "tlc-small", "data-control": "train-backbone", onclick: () => steer("backbone", { kind: "unfreeze", group: "backbone" }) }, "Train backbone");
  const both = h("span", { class: "tlc-both" }, freezeAll, trainAll);
  const say = h("span", { class: "tlc-say", "data-say": "backbone" });
  const pull = h("span", { title: "Norm of the last gradient of the group's weights" }, "gradient");
  const since = h("span");
  const body = h("div", { class: "tlc-rows" });
  const levers = makeLevers(steer);
  const el = h("section", { class: "tlc-groups", "aria-label": "Parameter groups" },
    h("header", {}, h("h3", {}, "Parameter groups"), sum, both, say),
    h("div", { class: "tlc-heads", "aria-hidden": "true" }, h("span", {}, "trains?"), h("span", {}, "group"), h("span", {}, "learning rate"), pull, since),
    body, levers.el);
  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  const rows = new Map();

  /** @param {View} view */
  function draw(view) {
    const trains = view.groups.filter((g) => g.trainable);
    const count = (/** @type {any[]} */ gs) => showCount(gs.reduce((n, g) => n + g.parameters, 0));
    put(sum, "text", view.groups.length ? `${count(trains)} of ${count(view.groups)} train` : "");
    put(sum, "title", "Trainable parameters out of all");
    const lines = linesOf(view);
    const norms = view.norms.findLast((one) => roleOf(view, lines, one) === "now");
    const far = norms ? { moved: norms.moved, since: 0 } : view.movement;
    put(since, "text", norms ? "moved" : view.movement ? `moved since ${view.movement.since}` : "moved");
    put(since, "title", norms ? "How far the weights have moved since the start of the run, relative to their norm"
      : "How far the weights moved in the steps after the last change, relative to their norm");
    keyed(body, view.groups.map((g) => g.name), (name) => {
      const row = makeRow(name, steer, typed);
      rows.set(name, row);
      return row.el;
    });
    for (const group of view.groups) rows.get(group.name)?.draw(view, group, { grad: norms?.grad[group.name], moved: far?.moved[group.name], since: far?.since });
    const layers = view.groups.filter((g) => g.kind === "layers");
    const backbone = layers.slice(0, -1);
    put(both, "hidden", backbone.length === 0 || !["freeze", "unfreeze"].some((kind) => view.can.includes(kind)));
    put(freezeAll, "disabled", !takes(view, "freeze") || !backbone.some((g) => g.trainable));
    put(trainAll, "disabled", !takes(view, "unfreeze") || !backbone.some((g) => !g.trainable));
    levers.draw(view);
  }
  return { el, draw };
}
