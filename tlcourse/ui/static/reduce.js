// What a view knows, and how each message changes it. Pure: no DOM, no clock, no kernel.
// A message is one of
//   snapshot  everything (answer to hello, or the saved trait when `source` is "trait")
//   delta     what happened since; `from` says how many losses the sender had sent before
//   sent      a control was used here: pending until a note with its id comes back
//   typed     a value is being typed at a control: its row's old answer is about something else
//   clock     time went by; who has not answered?
//   hello     this view has introduced itself: the kernel should speak now
//   unlink    the kernel is gone, for good

import { showValue } from "./format.js";

/** @typedef {{status: string, step: number, tick: number, total: number, speed: number|null,
 *   eta: number|null, seconds: number, augment: number|null,
 *   lost?: number|null}} Now  lost: the step since which the loss is no number
 *  @typedef {{name: string, parameters: number, trainable: boolean, lr: number|null}} Group
 *  @typedef {{tick: number, split: string, accuracy: number|null, loss: number|null}} Evaluation
 *  @typedef {{tick: number, step: number, ok: boolean, kind: string, group: string|null,
 *   text: string, id?: string|null, reason?: string, before?: number, after?: number,
 *   moved?: Record<string, number|null>}} Note
 *  @typedef {{since: number, tick: number, moved: Record<string, number|null>}} Movement
 *  @typedef {{id: string, key: string, at: number, late: boolean}} Pending
 *  @typedef {{ok: boolean, reason: string, at: number}} Answer
 *  @typedef {"connecting"|"live"|"silent"|"recorded"|"gone"} Link
 *  @typedef {{link: Link, heard: number, title: string, now: Now, groups: Group[],
 *   evals: Evaluation[], notes: Note[], movement: Movement|null,
 *   error: {message: string, traceback: string}|null, x: Float32Array, y: Float32Array, n: number,
 *   pending: Pending[], answers: Record<string, Answer>, behind: boolean, loaded: boolean}} View
 */

/** No acknowledgement for so long: say so. */
export const SILENCE_MS = 4000;
/** No word at all from a run that should be speaking (it beats every 2 s). */
export const HEARTBEAT_MS = 8000;
/** How long a control shows that its command was applied, or refused. */
export const APPLIED_MS = 2500;
export const REFUSED_MS = 12000;

/** Commands that change how weights move. */
const STEERING = ["set_lr", "freeze", "unfreeze", "augment"];

/** @returns {View} */
export function emptyView() {
  return {
    link: "connecting", heard: 0, title: "", groups: [], evals: [], notes: [], movement: null,
    now: { status: "ready", step: 0, tick: 0, total: 0, speed: null, eta: null, seconds: 0, augment: null },
    error: null, x: new Float32Array(0), y: new Float32Array(0), n: 0,
    pending: [], answers: {}, behind: false, loaded: false,
  };
}

/** Can controls be used? @param {View} view */
export function steerable(view) {
  const open = view.link === "live" || view.link === "silent" || view.link === "connecting";
  return open && ["ready", "running", "paused"].includes(view.now.status);
}

/** What to say of a loss that exploded, or "". The middle of the last nine losses counts, so that a
 * single spike does not. @param {View} view */
export function divergence(view) {
  const { lost, status } = view.now;
  const first = view.y.subarray(0, view.n).find(Number.isFinite) ?? NaN;
  const last = Array.from(view.y.subarray(Math.max(0, view.n - 9), view.n)).filter(Number.isFinite).sort((a, b) => a - b);
  const middle = last[last.length >> 1] ?? NaN;
  const said = lost != null ? `The loss has been no number since step ${lost}.`
    : middle > 10 * Math.max(first, 0.3) ? `The loss is ${showValue(middle)}; at the beginning it was ${showValue(first)}.` : "";
  const going = ["ready", "running", "paused"].includes(status);
  return said && `${said} A learning rate was too high: ${going ? "stop, and start" : "start"} again from a fresh model.`;
}

/** @param {View} view @param {any} message @returns {View} */
export function reduce(view, message) {
  switch (message.type) {
    case "snapshot": return snapshot(view, message);
    case "delta": return delta(view, message);
    case "hello": return view.heard ? view : { ...view, heard: message.now }; // from here on it counts
    case "sent": return sent(view, message);
    case "typed": return { ...view, answers: elsewhere(view, message.key) };
    case "clock": return clock(view, message.now);
    case "unlink": return unlink(view);
    default: return view;
  }
}

/** @param {View} view @param {any} m @returns {View} */
function snapshot(view, m) {
  const recorded = m.source === "trait";
  const s = m.state;
  if (recorded && view.link === "live" && !view.behind) return view; // older than what is here
  const x = recorded ? numbers(s.loss.x) : upTo(m.loss.length);
  const y = recorded ? numbers(s.loss.y) : Float32Array.from(m.loss);
  const next = {
    ...view, title: s.title, now: s.now, groups: s.groups, evals: s.evals, notes: s.notes,
    movement: s.movement, error: s.error, x, y, n: y.length, behind: recorded, loaded: true,
  };
  if (recorded) return m.fresh ? { ...next, heard: m.now } : next;
  return settle({ ...next, link: /** @type {Link} */ ("live"), heard: m.now }, s.notes, m.now);
}

/** @param {View} view @param {any} m @returns {View} */
function delta(view, m) {
  // A gap (this view came late, or the kernel skipped): ask for a snapshot, answer pendings anyhow.
  if (!view.loaded || view.behind || m.from !== view.n) {
    return settle({ ...view, link: "live", heard: m.now, behind: true }, m.notes, m.now);
  }
  const n = m.from + m.loss.length;
  const grown = n > view.y.length;
  const y = grown ? grow(view.y, n) : view.y;
  const x = grown ? upTo(y.length) : view.x;
  y.set(m.loss, m.from);
  const notes = m.notes.length ? [...view.notes, ...m.notes] : view.notes;
  const next = {
    ...view, link: /** @type {Link} */ ("live"), heard: m.now, now: m.state, x, y, n,
    groups: m.groups ?? view.groups, error: m.error ?? view.error, notes,
    evals: m.evals.length ? [...view.evals, ...m.evals] : view.evals,
  };
  return settle(m.moved.reduce(move, next), m.notes, m.now);
}

/** Fasten a movement to the note it answers: the last one of its tick that can have caused it.
 * @param {View} view @param {Movement} moved */
function move(view, moved) {
  const at = view.notes.findLastIndex((note) => note.ok && note.tick === moved.since && STEERING.includes(note.kind));
  const notes = view.notes.map((note, i) => (i === at ? { ...note, moved: moved.moved } : note));
  return { ...view, notes, movement: moved };
}

/** Match notes to what is pending here. @param {View} view @param {Note[]} notes @param {number} now @returns {View} */
function settle(view, notes, now) {
  if (!view.pending.length) return view;
  const byId = new Map(notes.filter((n) => n.id).map((n) => [n.id, n]));
  const answers = { ...view.answers };
  const pending = view.pending.filter((p) => {
    const note = byId.get(p.id);
    if (note) answers[p.key] = { ok: note.ok, reason: note.reason ?? "", at: now };
    return !note;
  });
  return { ...view, pending, answers };
}

/** @param {View} view @param {any} m @returns {View} */
function sent(view, m) {
  const answers = elsewhere(view, m.key);
  const others = view.pending.filter((p) => p.key !== m.key);
  return { ...view, answers, pending: [...others, { id: m.id, key: m.key, at: m.now, late: false }] };
}

/** The answers that belong to other rows than this control's. @param {View} view @param {string} used */
function elsewhere(view, used) {
  const row = (/** @type {string} */ key) => key.split(":")[1] ?? ""; // of a group, or none
  return Object.fromEntries(Object.entries(view.answers).filter(([key]) => row(key) !== row(used)));
}

/** @param {View} view @param {number} now @returns {View} */
function clock(view, now) {
  const answers = Object.fromEntries(Object.entries(view.answers).filter(
    ([, a]) => now - a.at < (a.ok ? APPLIED_MS : REFUSED_MS)));
  const forgotten = Object.keys(answers).length !== Object.keys(view.answers).length;
  const late = view.pending.some((p) => !p.late && now - p.at > SILENCE_MS);
  const pending = late ? view.pending.map((p) => ({ ...p, late: now - p.at > SILENCE_MS })) : view.pending;
  const speaks = view.now.status === "running" || view.now.status === "paused";
  const deaf = pending.some((p) => p.late) && now - view.heard > SILENCE_MS;
  const still = view.heard > 0 && speaks && now - view.heard > HEARTBEAT_MS;
  const silent = (view.link === "live" || view.link === "connecting") && (deaf || still);
  if (!forgotten && !late && !silent) return view;
  return { ...view, answers, pending, link: silent ? "silent" : view.link };
}

/** The kernel is gone, or was never there. @param {View} view @returns {View} */
function unlink(view) {
  const spoke = view.link === "live" || view.link === "silent";
  return { ...view, link: spoke || view.link === "gone" ? "gone" : "recorded", pending: [] };
}

/** 1, 2, 3, … n: the ticks of the losses. @param {number} n */
function upTo(n) {
  return Float32Array.from({ length: n }, (_, i) => i + 1);
}

/** @param {(number|null)[]} values */
function numbers(values) {
  return Float32Array.from(values, (v) => v ?? NaN);
}

/** Room for n values and as many again, so that appending stays cheap. @param {Float32Array} y @param {number} n */
function grow(y, n) {
  const more = new Float32Array(Math.max(256, 2 * n));
  more.set(y);
  return more;
}
