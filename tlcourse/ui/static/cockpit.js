// The view: says hello, hears what happens, draws it, and sends what a hand asks for.

import { showReason, showSpeed, showTime } from "./format.js";
import { divergence, emptyView, present, reduce, steerable } from "./reduce.js";
import { changeIcon, h, icon, put } from "./dom.js";
import { makeChart } from "./chart.js";
import { makeGroups } from "./groups.js";
import { makeError, makeLog } from "./log.js";

/** @typedef {import("./reduce.js").View} View */

/** @type {Record<string, [string, string]>} */
const STATES = {
  ready: ["Ready", "clock"], running: ["Running", "play"], paused: ["Paused", "pause"],
  finished: ["Finished", "check"], stopped: ["Stopped", "stop"], failed: ["Failed", "cross"],
};

/** What makes a run that can be steered again: its model and data are gone with the kernel, too. */
const AGAIN = "Run the notebook from the top (Run ▸ Run All Above Selected Cell), then this cell.";

/** What to say about the connection. @param {View} view */
export function linkNote(view) {
  const going = ["ready", "running", "paused"].includes(view.now.status);
  if (view.link === "recorded") {
    return `Recorded: this is ${going ? "where the run was when the notebook was saved" : "how the run ended"}. ${AGAIN}`;
  }
  if (view.link === "gone") return `The kernel of this run is gone, so nothing here can be steered. ${AGAIN}`;
  if (view.link === "silent") return "No answer from the kernel for some seconds: it may be busy with a cell, or gone. Clicks wait until it answers.";
  return "";
}

/** @param {(key: string, command: object) => void} steer */
function makeHeader(steer) {
  const word = h("span");
  const pill = h("span", { class: "tlc-pill" }, icon("clock"), word);
  const where = h("span", { class: "tlc-where" });
  const pace = h("span", { class: "tlc-pace" });
  const hold = h("button", { type: "button", class: "tlc-button", "data-control": "hold" }, icon("pause"), h("span", { class: "tlc-text" }));
  const look = h("button", { type: "button", class: "tlc-button", "data-control": "evaluate", title: "Measure validation accuracy now", onclick: () => steer("evaluate", { kind: "evaluate", split: "valid" }) },
    icon("gauge"), h("span", { class: "tlc-text" }, "Evaluate"));
  const stop = h("button", { type: "button", class: "tlc-button tlc-stop", "data-control": "stop", title: "End this run here", onclick: () => steer("stop", { kind: "stop" }) },
    icon("stop"), h("span", { class: "tlc-text" }, "Stop"));
  const fill = h("i");
  const progress = h("div", { class: "tlc-progress", role: "progressbar", "aria-label": "Steps done", "aria-valuemin": 0 }, fill);
  const note = h("p", { class: "tlc-note", hidden: true });
  const lost = h("p", { class: "tlc-note tlc-lost", role: "alert", hidden: true });
  let paused = false;
  hold.addEventListener("click", () => steer("hold", { kind: paused ? "resume" : "pause" }));
  const el = h("header", { class: "tlc-head" },
    h("div", { class: "tlc-bar-top" }, pill, h("span", { class: "tlc-clock" }, where, pace,
      h("span", { class: "tlc-say", "data-say": "hold evaluate stop" })),
      h("span", { class: "tlc-buttons" }, hold, look, stop)),
    progress, note, lost);

  /** @param {View} view */
  function draw(view) {
    const { status, step, total, speed, eta, seconds } = view.now;
    const dead = view.link === "gone" || view.link === "recorded";
    const going = ["ready", "running", "paused"].includes(status);
    const over = status === "finished" || status === "stopped";
    const ill = divergence(view);
    const [name, sign] = ill && over ? [`${STATES[status][0]}, diverged`, "alert"] : dead && going ? [view.link === "gone" ? "Kernel gone" : "Recorded", "plug"] : STATES[status] ?? STATES.ready;
    put(pill, "data-state", dead && going ? "dead" : ill && over ? "diverged" : status);
    put(word, "text", name);
    changeIcon(pill, sign);
    put(where, "text", `step ${step} of ${total}`);
    put(pace, "text", dead || !going ? (seconds ? `in ${showTime(seconds)}` : "")
      : status === "running" && speed ? `${showSpeed(speed)} steps/s · ${showTime(eta)} left` : "");
    paused = status === "paused";
    put(hold.querySelector(".tlc-text"), "text", paused ? "Resume" : "Pause");
    changeIcon(hold, paused ? "play" : "pause");
    for (const button of [hold, look, stop]) put(button, "disabled", !steerable(view));
    put(fill, "style", `width:${total ? (100 * step) / total : 0}%`);
    put(progress, "aria-valuenow", step);
    put(progress, "aria-valuemax", total);
    put(note, "text", linkNote(view));
    put(note, "hidden", linkNote(view) === "");
    put(lost, "text", ill);
    put(lost, "hidden", ill === "");
  }
  return { el, draw };
}

/** What a screen reader hears: the state, and answers to what was done here. @param {View} view */
export function announce(view) {
  const answers = Object.values(view.answers).map((a) => (a.ok ? "applied" : `refused: ${showReason(a.reason)}`));
  const state = linkNote(view) || (STATES[view.now.status] ?? STATES.ready)[0];
  return [state, ...answers].join(". ");
}

/** Beside each control that was used: waiting, applied, or the reason why not. @param {Element} root @param {View} view */
function drawAnswers(root, view) {
  for (const node of root.querySelectorAll("[data-say]")) {
    const keys = (node.getAttribute("data-say") ?? "").split(" ");
    const waits = view.pending.find((p) => keys.includes(p.key));
    const said = keys.map((key) => view.answers[key]).filter(Boolean).sort((a, b) => a.at - b.at).at(-1);
    put(node, "data-answer", waits ? "pending" : said ? (said.ok ? "applied" : "refused") : null);
    put(node, "data-late", waits?.late);
    put(node, "text", waits ? (waits.late ? "no answer yet: the kernel is busy, or gone" : "…") : said ? (said.ok ? "✓ applied" : showReason(said.reason)) : "");
  }
  for (const node of root.querySelectorAll("[data-control]")) {
    const key = node.getAttribute("data-control")?.replace(/^(lower|raise):/, "lr:");
    const waits = view.pending.some((p) => p.key === key);
    put(node, "data-pending", waits);
    put(node, "aria-busy", waits ? "true" : null);
  }
}

/** The widget's model itself, which knows whether its kernel lives; null in front ends that hide it.
 * @param {any} model */
async function ownModel(model) {
  try {
    return await model.widget_manager.get_model(model.get("saved").model_id);
  } catch {
    return null;
  }
}

/** Models that have lost their kernel: for good, since a kernel that starts again knows nothing of
 * them. A view that is made later learns it here. */
const lost = new WeakSet();

/** JupyterLab saves only widgets whose kernel is alive: the first save after reopening a notebook would
 * lose the record. So this one goes on counting as alive.
 * @param {any} own @param {any} model */
function keepInNotebook(own, model) {
  for (const part of [own, model.get("layout")]) if (part && "comm_live" in part) part.comm_live = true;
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const me = Math.random().toString(36).slice(2);
  let count = 0;
  let view = emptyView();
  let scheduled = 0;
  let asked = performance.now(); // when the last hello was sent
  let dead = false;

  const chart = makeChart();
  const header = makeHeader(steer);
  const groups = makeGroups(steer, typed);
  const log = makeLog();
  const error = makeError();
  const live = h("div", { class: "tlc-hidden", "aria-live": "polite", role: "status" });
  const root = h("div", { class: "tlc", role: "region", "aria-label": "Training cockpit", "data-lm-suppress-shortcuts": "true" },
    header.el, error.el, chart.el, h("div", { class: "tlc-below" }, groups.el, log.el), live);
  el.append(root);
  el.classList.add("tlc-host");
  // JupyterLab's shortcuts (a b d d …) must not hear what is typed here.
  for (const type of ["keydown", "keypress", "keyup"]) root.addEventListener(type, (/** @type {Event} */ e) => e.stopPropagation());

  /** @param {string} key @param {object} command */
  function steer(key, command) {
    if (!steerable(view)) return;
    const id = `${me}:${++count}`;
    hear({ type: "sent", key, id, now: performance.now() });
    model.send({ type: "command", id, command });
  }

  /** @param {string} key */
  function typed(key) {
    view = reduce(view, { type: "typed", key });
    if (!scheduled) scheduled = requestAnimationFrame(draw);
  }

  function hello() {
    asked = performance.now();
    hear({ type: "hello", now: asked });
    model.send({ type: "hello", view: me });
  }

  /** @param {any} message */
  function hear(message) {
    const before = view;
    view = reduce(view, message);
    if (!dead && view.behind && performance.now() - asked > 5000) hello();
    if (view === before) return;
    if (!scheduled) scheduled = requestAnimationFrame(draw);
  }

  function draw() {
    scheduled = 0;
    for (const part of [header, error, groups, log]) part.draw(view);
    const { x, y, n } = present(view) ?? { x: new Float32Array(0), y: new Float32Array(0), n: 0 };
    chart.draw(/** @type {any} */ ({ ...view, x, y, n }));
    drawAnswers(root, view);
    put(root, "data-link", view.link);
    put(root, "data-status", view.now.status);
    put(live, "text", announce(view));
  }

  /** @param {any} content @param {any[]} buffers */
  function onMessage(content, buffers) {
    if (content.type === "snapshot" && content.view != null && content.view !== me && !view.behind && view.link === "live") return;
    if (content.type === "snapshot" || content.type === "delta") hear({ ...content, losses: (buffers ?? []).map(floats), now: performance.now() });
  }

  /** @param {boolean} fresh just now, from a living kernel */
  function onSaved(fresh) {
    hear({ type: "snapshot", source: "trait", fresh, state: model.get("saved"), now: performance.now() });
  }
  const onFresh = () => onSaved(true);

  /** Is the kernel gone? JupyterLab says so of the model (and marks the element, at first). */
  async function onLink() {
    const marked = el.classList.contains("jupyter-widgets-disconnected");
    const own = await ownModel(model);
    if (dead || !(marked || (own && (own.comm_live === false || lost.has(own))))) return;
    dead = true;
    if (own) lost.add(own);
    hear({ type: "unlink" });
    keepInNotebook(own, model);
  }

  const saved = model.get("saved");
  if (saved?.now) onSaved(false);
  model.on("msg:custom", onMessage);
  model.on("change:saved", onFresh);
  model.on("comm_live_update", onLink);
  onLink().then(() => { if (!dead) hello(); });
  const beat = setInterval(() => hear({ type: "clock", now: performance.now() }), 500);
  const resize = new ResizeObserver(() => { if (!scheduled) scheduled = requestAnimationFrame(draw); });
  resize.observe(root);
  draw();
  return () => {
    clearInterval(beat);
    resize.disconnect();
    cancelAnimationFrame(scheduled);
    model.off("msg:custom", onMessage);
    model.off("change:saved", onFresh);
    model.off("comm_live_update", onLink);
  };
}

/** A message's buffer as numbers, wherever in memory it lies. @param {DataView|ArrayBuffer|undefined} buffer */
function floats(buffer) {
  if (!buffer) return new Float32Array(0);
  const bytes = buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return new Float32Array(bytes.slice().buffer);
}

export default { render };
