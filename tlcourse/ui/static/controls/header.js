// The header: status, speed, memory; pause, evaluate, stop; for a recording, its player.

import { showMemory, showSpeed, showTime } from "../format.js";
import { divergence, going, linked, takes } from "../model/reduce.js";
import { changeIcon, h, icon, put } from "../dom.js";

/** @typedef {import("../model/reduce.js").View} View
 *  @typedef {(key: string, command: object) => void} Steer
 *  @typedef {(action: string, value?: number) => void} Play */

/** @type {Record<string, [string, string]>} */
const STATES = {
  ready: ["Ready", "clock"], running: ["Running", "play"], paused: ["Paused", "pause"],
  finished: ["Finished", "check"], stopped: ["Stopped", "stop"], failed: ["Failed", "cross"],
};
const SPEEDS = [0.5, 1, 2, 4, 8, 16];

/** How to get a run that can be steered: the model and data are gone with the kernel. */
const AGAIN = "To steer a new run, run the notebook from the top (Run ▸ Run All Above Selected Cell), then this cell.";

/** The status in one word. @param {View} view */
export function stateWord(view) {
  return (STATES[view.now.status] ?? STATES.ready)[0];
}

/** What to say about the connection. @param {View} view */
export function linkNote(view) {
  if (view.link === "recorded") {
    return `Recorded: this is ${going(view) ? "the run when the notebook was saved" : "how the run ended"}. ${AGAIN}`;
  }
  if (view.link === "gone") return `The kernel of this run is gone, so it can no longer be steered. ${AGAIN}`;
  if (view.link === "silent") return "The kernel has not answered for some seconds: it may be busy with a cell, or gone. Clicks wait until it answers.";
  return "";
}

/** @param {Steer} steer @param {Play} play */
export function makeHeader(steer, play) {
  const word = h("span");
  const pill = h("span", { class: "tlc-pill" }, icon("clock"), word);
  const where = h("span", { class: "tlc-where" });
  const pace = h("span", { class: "tlc-pace" });
  const weight = h("span", { class: "tlc-memory" });
  const [hold, look, stop] = [
    button("hold", "pause", "", "Pause or resume the run", () => steer("hold", { kind: paused ? "resume" : "pause" })),
    button("evaluate", "gauge", "Evaluate", "Measure validation accuracy now", () => steer("evaluate", { kind: "evaluate", split: "valid" })),
    button("stop", "stop", "Stop", "End the run here", () => steer("stop", { kind: "stop" })),
  ];
  stop.classList.add("tlc-stop");
  const player = makePlayer(play);
  const fill = h("i");
  const progress = h("div", { class: "tlc-progress", role: "progressbar", "aria-label": "Steps done", "aria-valuemin": 0 }, fill);
  const note = h("p", { class: "tlc-note", hidden: true });
  const hint = h("p", { class: "tlc-note tlc-place", hidden: true });
  const lost = h("p", { class: "tlc-note tlc-lost", role: "alert", hidden: true });
  let paused = false;
  const el = h("header", { class: "tlc-head" },
    h("div", { class: "tlc-bar-top" }, pill, h("span", { class: "tlc-clock" }, where, pace, weight,
      h("span", { class: "tlc-say", "data-say": "hold evaluate stop" })),
      h("span", { class: "tlc-buttons" }, player.el, hold, look, stop)),
    progress, note, hint, lost);

  /** @param {View} view */
  function draw(view) {
    const { status, step, total, speed, eta, seconds } = view.now;
    const dead = !linked(view);
    const open = going(view);
    const over = status === "finished" || status === "stopped";
    const ill = divergence(view);
    const [name, sign] = ill && over ? [`${stateWord(view)}, diverged`, "alert"] : dead && open ? [view.link === "gone" ? "Kernel gone" : "Recorded", "plug"] : STATES[status] ?? STATES.ready;
    put(pill, "data-state", dead && open ? "dead" : ill && over ? "diverged" : status);
    put(word, "text", name);
    changeIcon(pill, sign);
    put(where, "text", total ? `step ${step} of ${total}` : `step ${step}`);
    put(pace, "text", dead || !open ? (seconds ? `in ${showTime(seconds)}` : "")
      : status === "running" && speed ? [`${showSpeed(speed)} steps/s`, ...(eta == null ? [] : [`${showTime(eta)} left`])].join(" · ") : "");
    put(weight, "text", memoryWords(view, true));
    put(weight, "title", memoryWords(view, false));
    paused = status === "paused";
    put(hold.querySelector(".tlc-text"), "text", paused ? "Resume" : "Pause");
    changeIcon(hold, paused ? "play" : "pause");
    for (const [control, kinds] of /** @type {[Element, string[]][]} */ ([[hold, ["pause", "resume"]], [look, ["evaluate"]], [stop, ["stop"]]])) {
      put(control, "hidden", view.player !== null || (view.can.length > 0 && !kinds.some((kind) => view.can.includes(kind))));
      put(control, "disabled", !kinds.some((kind) => takes(view, kind)));
    }
    player.draw(view);
    const all = total ?? view.now.step;
    put(fill, "style", `width:${all ? Math.min(100, (100 * step) / all) : 0}%`);
    put(progress, "aria-valuenow", step);
    put(progress, "aria-valuemax", Math.max(all, 1));
    put(note, "text", linkNote(view));
    put(note, "hidden", linkNote(view) === "");
    put(hint, "text", view.hint);
    put(hint, "hidden", view.hint === "" || dead);
    put(lost, "text", ill);
    put(lost, "hidden", ill === "");
  }
  return { el, draw };
}

/** Memory use, in brief or in full. @param {View} view @param {boolean} brief */
export function memoryWords(view, brief) {
  const { process, snapshots, gpu, gpu_total: whole } = view.now.memory ?? {};
  const parts = [];
  if (gpu != null) parts.push(`GPU ${showMemory(gpu)}${whole ? ` of ${showMemory(whole)}` : ""}`);
  if (process != null && (!brief || gpu == null)) parts.push(brief ? showMemory(process) : `kernel process ${showMemory(process)}`);
  if (snapshots != null && !brief) parts.push(`snapshots for rewinding ${showMemory(snapshots)}`);
  return brief || !parts.length ? parts.join(" · ") : `Memory: ${parts.join(", ")}`;
}

/** Controls of a recording: play, pause, speed, position. @param {Play} play */
function makePlayer(play) {
  let playing = false;
  let held = false; // the scrubber is being dragged
  const go = button("play", "play", "Play", "Play or pause the recording", () => play(playing ? "pause" : "play"));
  const speed = h("select", { class: "tlc-select", "data-control": "speed", "aria-label": "Speed of the recording", onchange: () => play("speed", Number(speed.value)) },
    ...SPEEDS.map((s) => h("option", { value: s }, `${s}×`)));
  const place = h("input", {
    type: "range", min: 0, step: 1, class: "tlc-scrub", "data-control": "seek", "aria-label": "Position in the recording",
    oninput: () => { held = true; say(); },
    onchange: () => { held = false; play("seek", Number(place.value)); },
  });
  const at = h("output", { class: "tlc-strength" });
  const el = h("span", { class: "tlc-player", role: "group", "aria-label": "Player" }, go, place, at, speed);
  const say = () => {
    put(at, "text", place.value);
    put(place, "aria-valuetext", `${place.value} steps taken`);
  };

  /** @param {View} view */
  function draw(view) {
    put(el, "hidden", view.player === null);
    if (!view.player) return;
    playing = view.player.playing;
    put(go.querySelector(".tlc-text"), "text", playing ? "Pause" : "Play");
    changeIcon(go, playing ? "pause" : "play");
    put(place, "max", view.player.length);
    if (!held) place.value = String(Math.round(view.player.at));
    if (document.activeElement !== speed) speed.value = String(view.player.speed);
    say();
    for (const control of [go, speed, place]) put(control, "disabled", !linked(view));
  }
  return { el, draw };
}

/** @param {string} key @param {string} sign @param {string} text @param {string} title @param {() => void} onclick */
export function button(key, sign, text, title, onclick) {
  return h("button", { type: "button", class: "tlc-button", "data-control": key, title, onclick }, icon(/** @type {any} */ (sign)), h("span", { class: "tlc-text" }, text));
}
