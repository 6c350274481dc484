// Class descriptions: a text field for each class, and the accuracy of classifying with them.

import { h, keyed, ownKeys, put } from "./dom.js";
import { initialize } from "./keep.js";

/** @typedef {{ name: string, text: string, right: number, first: number, count: number }} Row
 *  @typedef {{ text: string, truth: string, was: string | null, likeliest: [string, number][] }} Example
 *  @typedef {{ classes: Row[], accuracy: number, first: number, before: number, chance: number, count: number, split: string,
 *    edits: number, edited: string | null, temperature: number, matrix: number[][], examples: Example[] }} State */

const PAUSE_MS = 180; // from the last key press to sending
const PATIENCE_MS = 4000;

/** @param {number} share */
export function percent(share) {
  return `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;
}

/** A difference of two shares in percentage points. @param {number} by */
export function points(by) {
  const size = Math.abs(100 * by).toFixed(1).replace(/\.0$/, "");
  return size === "0" ? "no change" : `${by > 0 ? "+" : "−"}${size} ${size === "1" ? "point" : "points"}`;
}

/** Text for screen readers after an edit. @param {State} state */
export function heard(state) {
  const change = state.edits ? `, ${points(state.accuracy - state.before)} by the last edit` : "";
  return `${percent(state.accuracy)} of ${state.count} texts right${change}.`;
}

/** The most frequent confusions. @param {State} state @param {number} n */
export function confused(state, n) {
  const pairs = state.matrix.flatMap((row, i) => row.map((times, j) => ({ i, j, times })));
  return pairs.filter((p) => p.i !== p.j && p.times > 0).sort((a, b) => b.times - a.times).slice(0, n)
    .map((p) => ({ is: state.classes[p.i].name, said: state.classes[p.j].name, times: p.times }));
}

/** @param {{ model: any, el: HTMLElement }} context */
function render({ model, el }) {
  /** @type {State} */
  let state = model.get("state");
  let count = 0;
  let waiting = 0;
  const me = Math.random().toString(36).slice(2);
  /** @type {Map<string, ReturnType<typeof makeField>>} */
  const fields = new Map(state.classes.map((row) => [row.name, makeField(row.name, `${me}-${row.name}`, typed, left)]));
  const number = h("b", { class: "tlc-share", "data-say": "accuracy" });
  const change = h("span", { class: "tlc-change" });
  const began = h("span", { class: "tlc-began" });
  const meter = h("div", { class: "tlc-meter", "aria-hidden": "true" }, h("i"), h("s", { class: "tlc-from" }), h("s", { class: "tlc-chance" }));
  const reset = h("button", { type: "button", class: "tlc-button", "data-control": "reset", onclick: () => send({ type: "reset" }) }, "Start over");
  const note = h("p", { class: "tlc-slow", role: "status" });
  const warmth = h("input", { type: "range", class: "tlc-warmth", min: -2.3, max: 0, step: 0.05, "aria-label": "temperature", "data-control": "temperature", oninput: warmed });
  const degrees = h("output", { class: "tlc-degrees" });
  const pairs = h("ul", { class: "tlc-pairs" });
  const grid = h("table", { class: "tlc-grid" });
  const examples = h("ol", { class: "tlc-examples" });
  const legend = h("p", { class: "tlc-legend" });
  const live = h("div", { class: "tlc-hidden", role: "status", "aria-live": "polite" });
  const root = h("section", { class: "tlc tlc-describe", "aria-label": "Descriptions of the classes" },
    h("header", { class: "tlc-top" }, h("span", { class: "tlc-figure" }, number, h("span", { class: "tlc-of" }), change), meter, began, reset),
    note,
    h("div", { class: "tlc-fields" }, ...[...fields.values()].map((field) => field.el)),
    h("div", { class: "tlc-lower" },
      h("section", { class: "tlc-some", "aria-label": "Examples" },
        h("header", {}, h("h3", {}, "Predictions"), h("label", { class: "tlc-heat" }, "temperature", warmth, degrees)), legend, examples),
      h("section", { class: "tlc-confused", "aria-label": "Confusions" }, h("h3", {}, "Most frequent confusions"), pairs,
        h("details", {}, h("summary", {}, "All of them"), h("div", { class: "tlc-scroll", tabindex: 0, role: "group", "aria-label": "Table of confusions" }, grid)))),
    live);
  el.append(root);
  ownKeys(root);

  /** @param {any} message */
  function send(message) {
    const id = `${me}:${++count}`;
    clearTimeout(waiting);
    waiting = window.setTimeout(() => {
      put(note, "text", "No answer yet. A busy kernel answers when its cell is done; if there is no kernel, run this cell again.");
    }, PATIENCE_MS);
    model.send({ ...message, id });
    return id;
  }

  /** Ask after a pause in typing. @param {ReturnType<typeof makeField>} field */
  function typed(field) {
    clearTimeout(field.timer);
    field.timer = window.setTimeout(() => ask(field), PAUSE_MS);
    put(field.el, "data-pending", true);
  }

  /** Ask at once when the field loses focus. @param {ReturnType<typeof makeField>} field */
  function left(field) {
    if (field.timer) ask(field);
  }

  /** @param {ReturnType<typeof makeField>} field */
  function ask(field) {
    clearTimeout(field.timer);
    field.timer = 0;
    field.asked = send({ type: "edit", name: field.name, text: field.box.value });
  }

  function warmed() {
    put(degrees, "text", (10 ** Number(warmth.value)).toFixed(3));
    send({ type: "temperature", value: 10 ** Number(warmth.value) });
  }

  function draw() {
    put(number, "text", percent(state.accuracy));
    put(/** @type {Element} */ (root.querySelector(".tlc-of")), "text", `of ${state.count} ${state.split === "valid" ? "validation" : state.split} texts right`);
    const by = state.accuracy - state.before;
    put(change, "text", state.edits ? `${points(by)} by the edit of “${state.edited}”` : "");
    put(change, "data-way", !state.edits || Math.abs(by) < 1e-9 ? null : by > 0 ? "up" : "down");
    put(began, "text", `started at ${percent(state.first)} · chance ${percent(state.chance)}`);
    const [bar, from, chance] = /** @type {any} */ (meter.children);
    bar.style.width = `${100 * state.accuracy}%`;
    from.style.left = `${100 * state.first}%`;
    chance.style.left = `${100 * state.chance}%`;
    for (const row of state.classes) fields.get(row.name)?.draw(row);
    if (document.activeElement !== warmth) warmth.value = String(Math.log10(state.temperature));
    put(degrees, "text", state.temperature.toFixed(3));
    put(warmth, "aria-valuetext", state.temperature.toFixed(3));
    put(reset, "disabled", !state.edits);
    drawPairs(pairs, state);
    drawGrid(grid, state);
    const changed = state.examples.some((e) => e.was);
    put(legend, "text", changed ? "First, marked: predictions that the last edit changed. Then the most confident mistakes." : "The most confident mistakes.");
    drawExamples(examples, state);
  }

  /** @param {any} content */
  function onMessage(content) {
    if (content.type !== "answer") return;
    const mine = String(content.id).startsWith(`${me}:`);
    if (mine && content.id === `${me}:${count}`) {
      clearTimeout(waiting);
      put(note, "text", "");
    }
    for (const field of fields.values()) {
      if (field.asked === content.id) {
        field.asked = "";
        put(field.el, "data-pending", field.timer ? true : null);
        field.refuse(content.note?.reason ?? "");
      }
    }
    state = content.state;
    draw();
    put(live, "text", mine ? content.note?.reason ?? heard(state) : "");
  }
  const onState = () => {
    state = model.get("state");
    draw();
  };
  model.on("msg:custom", onMessage);
  model.on("change:state", onState);
  draw();
  return () => {
    clearTimeout(waiting);
    for (const field of fields.values()) clearTimeout(field.timer);
    model.off("msg:custom", onMessage);
    model.off("change:state", onState);
  };
}

/** A class: its name, its description, how many of its texts are classified correctly.
 * @param {string} name @param {string} id @param {(field: any) => void} typed @param {(field: any) => void} left */
function makeField(name, id, typed, left) {
  const label = `tlc-class-${id.replace(/\W+/g, "-")}`;
  const box = h("textarea", { class: "tlc-words", rows: 1, id: label, spellcheck: "false", "data-control": name,
    oninput: () => { grow(); typed(field); }, onblur: () => left(field) });
  const bar = h("span", { class: "tlc-found", "aria-hidden": "true" }, h("i"));
  const found = h("span", { class: "tlc-right" });
  const refusal = h("p", { class: "tlc-refusal", id: `${label}-why` });
  const el = h("div", { class: "tlc-field" }, h("label", { for: label, class: "tlc-class" }, name.replaceAll("_", " ")), box, bar, found, refusal);
  const field = { name, el, box, timer: 0, asked: "", draw, refuse };
  let shown = "";

  function grow() {
    box.rows = Math.min(4, box.value.split("\n").length);
  }

  /** @param {Row} row */
  function draw(row) {
    // Do not replace what is being typed by an older text from the kernel.
    if (!field.timer && !field.asked && row.text !== shown && !(document.activeElement === box && row.text === tidy(box.value))) {
      box.value = row.text;
      grow();
    }
    shown = row.text;
    bar.firstElementChild.style.width = `${(100 * row.right) / Math.max(row.count, 1)}%`;
    const by = row.right - row.first;
    put(found, "text", `${row.right} of ${row.count}${by ? ` (${by > 0 ? "+" : "−"}${Math.abs(by)})` : ""}`);
    put(found, "data-way", by > 0 ? "up" : by < 0 ? "down" : null);
  }

  /** @param {string} why */
  function refuse(why) {
    put(refusal, "text", why);
    put(box, "aria-invalid", why ? "true" : null);
    put(box, "aria-describedby", why ? refusal.id : null);
  }
  return field;
}

/** A description as the kernel keeps it. @param {string} text */
export function tidy(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
}

/** @param {Element} list @param {State} state */
function drawPairs(list, state) {
  const found = confused(state, 5);
  list.replaceChildren(...(found.length ? found.map((p) =>
    h("li", {}, h("b", {}, p.is), " predicted as ", h("b", {}, p.said), h("span", { class: "tlc-times" }, ` ${p.times} ×`))) : [h("li", {}, "None.")]));
}

/** Row: true class; column: predicted class. @param {Element} grid @param {State} state */
function drawGrid(grid, state) {
  const names = state.classes.map((row) => row.name);
  const head = h("tr", {}, h("th", { scope: "col" }, "true ↓  predicted →"), ...names.map((name) => h("th", { scope: "col" }, h("span", {}, name))));
  const rows = state.matrix.map((row, i) => {
    const total = Math.max(1, row.reduce((sum, times) => sum + times, 0));
    return h("tr", {}, h("th", { scope: "row" }, names[i]), ...row.map((times, j) =>
      h("td", { "data-right": i === j, style: `--share: ${(times / total).toFixed(2)}` }, times ? String(times) : "")));
  });
  grid.replaceChildren(h("tbody", {}, head, ...rows));
}

/** @param {Element} list @param {State} state */
function drawExamples(list, state) {
  keyed(list, state.examples.map((e) => `${e.truth} ${e.text}`), () => h("li", {}));
  state.examples.forEach((example, at) => {
    const right = example.likeliest[0][0] === example.truth;
    const bars = example.likeliest.map(([name, p], place) => h("span", { class: "tlc-likely", "data-first": place === 0, "data-right": name === example.truth },
      h("span", { class: "tlc-likely-name" }, name === example.truth ? `✓ ${name}` : name), h("span", { class: "tlc-p" }, h("i", { style: `width: ${100 * p}%` })), h("span", { class: "tlc-much" }, percent(Math.round(p * 100) / 100))));
    const says = h("p", { class: "tlc-verdict", "data-right": right },
      `${right ? "✓" : "✗"} ${example.truth}${right ? "" : `, predicted ${example.likeliest[0][0]}`}${example.was ? ` (before: ${example.was})` : ""}`);
    const item = list.children[at];
    put(item, "data-changed", example.was !== null);
    item.replaceChildren(h("p", { class: "tlc-quote" }, example.text), says, h("div", { class: "tlc-likelies" }, ...bars));
  });
}

export default { initialize, render };
