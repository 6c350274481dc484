// The cockpit widget: announces itself to the kernel, draws the updates it receives, and sends commands.

import { showReason } from "./format.js";
import { emptyView, reduce, takes } from "./model/reduce.js";
import { h, ownKeys, put } from "./dom.js";
import { initialize, lost, ownModel } from "./keep.js";
import { makeChart } from "./chart/chart.js";
import { linkNote, makeHeader, stateWord } from "./controls/header.js";
import { makeTimeline } from "./controls/timeline.js";
import { makeGroups } from "./controls/groups.js";
import { makeError, makeLog } from "./controls/log.js";

/** @typedef {import("./model/reduce.js").View} View */

/** How long to wait for an answer to a hello before repeating it: one can be lost while a kernel starts. */
const HELLO_AGAIN_MS = [1000, 2000, 4000, 8000];

/** Text for screen readers: the state, and the answers to commands from this view. @param {View} view */
export function announce(view) {
  const answers = Object.values(view.answers).map((a) => (a.ok ? "applied" : `refused: ${showReason(a.reason)}`));
  const state = linkNote(view) || stateWord(view);
  return [state, ...answers].join(". ");
}

/** Show beside each used control: waiting, applied, or why it was refused. @param {Element} root @param {View} view */
function drawAnswers(root, view) {
  for (const node of root.querySelectorAll("[data-say]")) {
    const keys = (node.getAttribute("data-say") ?? "").split(" ");
    const waits = view.pending.find((p) => keys.includes(p.key));
    const said = keys.map((key) => view.answers[key]).filter(Boolean).sort((a, b) => a.at - b.at).at(-1);
    put(node, "data-answer", waits ? "pending" : said ? (said.ok ? "applied" : "refused") : null);
    put(node, "data-late", waits?.late);
    put(node, "text", waits ? (waits.late ? "no answer yet: the kernel is busy or gone" : "…") : said ? (said.ok ? "✓ applied" : showReason(said.reason)) : "");
  }
  for (const node of root.querySelectorAll("[data-control]")) {
    const key = node.getAttribute("data-control")?.replace(/^rate:/, "lr:");
    const waits = view.pending.some((p) => p.key === key);
    put(node, "data-pending", waits);
    put(node, "aria-busy", waits ? "true" : null);
  }
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const me = Math.random().toString(36).slice(2);
  let count = 0;
  let view = emptyView();
  let scheduled = 0;
  let asked = 0; // hellos sent since the last answer
  let again = 0; // timer of the next hello
  let dead = false;

  const chart = makeChart();
  const header = makeHeader(steer, play);
  const time = makeTimeline(steer);
  const groups = makeGroups(steer, typed);
  const log = makeLog(steer);
  const error = makeError();
  const record = h("p", { class: "tlc-record", hidden: true });
  const live = h("div", { class: "tlc-hidden", "aria-live": "polite", role: "status" });
  const root = h("div", { class: "tlc", role: "region", "aria-label": "Training cockpit" },
    header.el, error.el, time.el, chart.el, h("div", { class: "tlc-below" }, groups.el, log.el), record, live);
  const fold = model.get("kept") ? makeFold(model, root) : null;
  el.append(fold?.el ?? root);
  el.classList.add("tlc-host");
  ownKeys(root);

  // When the adapters are opened, let the kernel import peft now: that takes seconds.
  root.addEventListener("toggle", (/** @type {Event} */ e) => {
    const opened = e.target instanceof HTMLDetailsElement && e.target.open && e.target.classList.contains("tlc-more");
    if (opened && takes(view, "add_lora")) model.send({ type: "soon" });
  }, true);

  /** @param {string} key @param {any} command */
  function steer(key, command) {
    if (!takes(view, command.kind)) return;
    // Ignore the second click of a double click: the first has not been answered yet.
    if (key.startsWith("switch:") && view.pending.some((p) => p.key === key)) return;
    const id = `${me}:${++count}`;
    hear({ type: "sent", key, id, now: performance.now() });
    model.send({ type: "command", id, command });
  }

  /** @param {string} action @param {number} [value] */
  function play(action, value) {
    model.send({ type: "player", action, value: value ?? null });
  }

  /** @param {string} key */
  function typed(key) {
    view = reduce(view, { type: "typed", key });
    if (!scheduled) scheduled = requestAnimationFrame(draw);
  }

  /** Announce this view, repeatedly until the kernel answers. */
  function hello() {
    clearTimeout(again);
    if (dead) return;
    hear({ type: "hello", now: performance.now() });
    model.send({ type: "hello", view: me });
    again = window.setTimeout(hello, HELLO_AGAIN_MS[Math.min(asked++, HELLO_AGAIN_MS.length - 1)]);
  }

  /** @param {any} message */
  function hear(message) {
    const before = view;
    view = reduce(view, message);
    if (view.behind && !before.behind && before.link === "live") hello(); // missed a message
    if (view === before) return;
    if (!scheduled) scheduled = requestAnimationFrame(draw);
  }

  function draw() {
    scheduled = 0;
    for (const part of [header, error, time, groups, log]) part.draw(view);
    chart.draw(view);
    fold?.draw(view);
    put(record, "text", model.get("record") ?? "");
    put(record, "hidden", !model.get("record"));
    drawAnswers(root, view);
    put(root, "data-link", view.link);
    put(root, "data-status", view.now.status);
    put(live, "text", announce(view));
  }

  /** @param {any} content @param {any[]} buffers */
  function onMessage(content, buffers) {
    if (content.type === "again") hello(); // another run has this one's place
    if (content.type === "snapshot" && content.view != null && content.view !== me && !view.behind && view.link === "live") return;
    if (content.type === "snapshot") {
      clearTimeout(again);
      asked = 0;
    }
    if (content.type === "snapshot" || content.type === "delta") hear({ ...content, losses: (buffers ?? []).map(floats), now: performance.now() });
  }

  /** @param {boolean} fresh just received from a live kernel */
  function onSaved(fresh) {
    hear({ type: "snapshot", source: "trait", fresh, state: model.get("saved"), now: performance.now() });
  }
  const onFresh = () => onSaved(true);
  const onRecord = () => { if (!scheduled) scheduled = requestAnimationFrame(draw); };

  /** Check whether the kernel is gone: JupyterLab tells the model (and at first also marks the element). */
  async function onLink() {
    const marked = el.classList.contains("jupyter-widgets-disconnected");
    const own = await ownModel(model);
    if (dead || !(marked || (own && (own.comm_live === false || lost.has(own))))) return;
    dead = true;
    clearTimeout(again);
    hear({ type: "unlink" });
  }

  const saved = model.get("saved");
  if (saved?.now) onSaved(false);
  model.on("msg:custom", onMessage);
  model.on("change:saved", onFresh);
  model.on("change:record", onRecord);
  model.on("comm_live_update", onLink);
  onLink().then(() => { if (!dead) hello(); });
  const beat = setInterval(() => hear({ type: "clock", now: performance.now() }), 500);
  const resize = new ResizeObserver(() => { if (!scheduled) scheduled = requestAnimationFrame(draw); });
  resize.observe(root);
  draw();
  return () => {
    clearInterval(beat);
    clearTimeout(again);
    resize.disconnect();
    cancelAnimationFrame(scheduled);
    model.off("msg:custom", onMessage);
    model.off("change:saved", onFresh);
    model.off("change:record", onRecord);
    model.off("comm_live_update", onLink);
  };
}

/** A run that was steered, below the one that its cell has now: folded, until it is wanted or let go.
 * @param {any} model @param {HTMLElement} root */
function makeFold(model, root) {
  const word = h("span");
  const go = h("button", { type: "button", class: "tlc-small", "data-control": "let-go", title: "Forget this run and free its memory. Its record stays", onclick: () => model.send({ type: "let go" }) }, "Let it go");
  const el = h("details", { class: "tlc tlc-fold" }, h("summary", {}, word), go, root);
  ownKeys(el);
  /** @param {View} view */
  const draw = (view) => put(word, "text", `The run before is kept, because you steered it: ${stateWord(view).toLowerCase()} at step ${view.now.step}`);
  return { el, draw };
}

/** A message's buffer as numbers, wherever in memory it lies. @param {DataView|ArrayBuffer|undefined} buffer */
function floats(buffer) {
  if (!buffer) return new Float32Array(0);
  const bytes = buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return new Float32Array(bytes.slice().buffer);
}

export default { initialize, render };
