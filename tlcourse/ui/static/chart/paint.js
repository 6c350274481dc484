// Draws a plan: a heading, a legend whose entries switch lines, and a picture.

import { PAD } from "./panels.js";
import { h, keyed, put, s } from "../dom.js";

/** @typedef {import("./panels.js").Plan} Plan
 *  @typedef {import("./panels.js").Series} Series */

/** A panel and its `draw`. @param {string} key @param {number} left px left of the frame @param {(key: string) => void} toggle */
export function makePanel(key, left, toggle) {
  const said = h("b");
  const beside = h("span", { class: "tlc-beside" });
  const title = h("span");
  const legend = h("span", { class: "tlc-legend", role: "group", "aria-label": "Lines shown" });
  const clip = `tlc-clip-${Math.random().toString(36).slice(2)}`;
  const hole = s("rect", { x: left - 2, y: 0 });
  const grid = s("g", { class: "tlc-grid" });
  const marks = s("path", { class: "tlc-marklines" });
  const lines = s("g", { "clip-path": `url(#${clip})` });
  const off = s("g", { class: "tlc-off" });
  const labels = s("g", { class: "tlc-labels" });
  const end = s("circle", { class: "tlc-end", r: 3.5 });
  const picture = s("svg", { class: "tlc-picture", "aria-hidden": "true" },
    s("defs", {}, s("clipPath", { id: clip }, hole)), grid, marks, lines, off, labels, end);
  const el = h("div", { class: "tlc-panel", "data-panel": key },
    h("div", { class: "tlc-heading" }, h("span", { class: "tlc-title" }, title, " ", said, beside), legend), picture);

  /** @param {Plan} plan @param {{width: number, right: number, at: number[]}} frame  at: px of the marks
   * @param {Set<string>} hidden */
  function draw(plan, frame, hidden) {
    const tall = plan.height + 2 * PAD;
    put(title, "text", plan.title);
    put(said, "text", plan.said);
    put(beside, "text", plan.beside ?? "");
    put(picture, "width", frame.width);
    put(picture, "height", tall);
    put(hole, "width", Math.max(0, frame.right - left + 4));
    put(hole, "height", tall);
    drawRows(plan.rows, frame.right);
    put(marks, "d", frame.at.map((x) => `M${x.toFixed(1)} 0V${tall}`).join(""));
    drawSeries(plan.series);
    drawExits(plan.off ?? [], frame.right);
    labels.replaceChildren(...(plan.labels ?? []).map((l) =>
      s("text", { x: l.x.toFixed(1), y: l.y.toFixed(1), "text-anchor": l.end ? "end" : "start", "data-hue": l.hue, text: l.text })));
    put(end, "display", plan.tip ? null : "none");
    if (plan.tip) {
      put(end, "cx", plan.tip[0].toFixed(1));
      put(end, "cy", plan.tip[1].toFixed(1));
    }
    drawLegend(plan.legend, hidden);
  }

  let rowsDrawn = "";
  /** @param {[number, string][]} rows @param {number} right */
  function drawRows(rows, right) {
    const told = `${right}|${rows.join("|")}`;
    if (told === rowsDrawn) return;
    rowsDrawn = told;
    grid.replaceChildren(...rows.flatMap(([y, text]) => [
      s("path", { d: `M${left} ${y.toFixed(1)}H${right}` }),
      s("text", { x: left - 7, y: (y + 3.5).toFixed(1), "text-anchor": "end", text }),
    ]));
  }

  /** @param {Series[]} series */
  function drawSeries(series) {
    const had = new Map(Array.from(lines.children, (node) => [node.getAttribute("data-key"), node]));
    let place = /** @type {Element|null} */ (lines.firstElementChild);
    for (const one of series) {
      const node = had.get(one.key) ?? s("path", { class: "tlc-line", "data-key": one.key });
      had.delete(one.key);
      put(node, "data-kind", one.kind);
      put(node, "data-role", one.role);
      put(node, "data-hue", one.hue);
      put(node, "data-dense", one.dense);
      put(node, "d", one.d);
      if (node === place) place = node.nextElementSibling;
      else lines.insertBefore(node, place);
    }
    for (const gone of had.values()) gone.remove();
  }

  /** An arrow where the loss leaves the frame; the first has a label. @param {number[]} places @param {number} right */
  function drawExits(places, right) {
    off.replaceChildren(...places.map((at) => s("path", { d: `M${at.toFixed(1)} 1l5 8h-10z` })));
    if (!places.length) return;
    const turned = places[0] > right - 96;
    off.append(s("text", { x: (places[0] + (turned ? -9 : 9)).toFixed(1), y: 9, "text-anchor": turned ? "end" : "start", text: "off the scale" }));
  }

  /** @param {Plan["legend"]} entries @param {Set<string>} hidden */
  function drawLegend(entries, hidden) {
    keyed(legend, entries.map((entry) => entry.key), (entry) => h("button", {
      type: "button", class: "tlc-entry", onclick: () => toggle(entry),
    }, s("svg", { class: "tlc-swatch", viewBox: "0 0 16 8", "aria-hidden": "true" }, s("path", { class: "tlc-line", "data-kind": "line", d: "M0 4H16" })), h("span")));
    entries.forEach((entry, i) => {
      const button = legend.children[i];
      put(button, "aria-pressed", hidden.has(entry.key) ? "false" : "true");
      put(button, "title", hidden.has(entry.key) ? "Show this line" : "Hide this line");
      const swatch = /** @type {Element} */ (button.querySelector(".tlc-line"));
      put(swatch, "data-role", entry.role);
      put(swatch, "data-hue", entry.hue);
      put(/** @type {Element} */ (button.lastElementChild), "text", entry.text);
    });
    put(legend, "hidden", entries.length === 0);
  }
  return { el, draw };
}
