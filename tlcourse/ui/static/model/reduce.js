// What a view knows, and how each message changes it. Pure: no DOM, no clock, no kernel.
// A message is one of
//   snapshot  everything (answer to hello, or the saved trait when `source` is "trait")
//   delta     what happened since; `seq` counts them, so a gap means that one was missed
//   sent      a control was used here: pending until a note with its id comes back
//   typed     a value is being typed at a control: the old answer in its row no longer applies
//   clock     time has passed: which answers are late?
//   hello     this view has introduced itself: an answer from the kernel is due
//   unlink    the kernel is gone for good

import { showValue } from "../format.js";
import { extend, restore } from "./stretches.js";

/** @typedef {import("./stretches.js").Stretch} Stretch
 *  @typedef {import("./lines.js").Place} Place
 *  @typedef {{status: string, step: number, tick: number, total: number|null, branch: string,
 *   twin: string|null, speed: number|null, eta: number|null, seconds: number,
 *   memory: Record<string, number>, augment: number|null, weights: Record<string, number>,
 *   terms?: Record<string, number|null>|null,
 *   lost?: number|null}} Now  lost: the step since which the loss is not a number; memory in 10⁶ bytes
 *  @typedef {{name: string, parent: string|null, control: boolean, start: number, tip: number, begins: number,
 *   far: number}} Timeline  tip: its last stretch, which begins at step `begins`; far: the last step of its stretches before
 *  @typedef {{name: string, parameters: number, trainable: boolean, lr: number|null,
 *   kind: "layers"|"adapter", stats: boolean, scale: number|null}} Group
 *  @typedef {{tick: number, step: number, branch: string, at: Place, split: string, accuracy: number|null,
 *   loss: number|null, name?: string}} Evaluation  of the split "meter": a reading, by the meter's name
 *  @typedef {{tick: number, step: number, branch: string, at: Place, ok: boolean, kind: string, group: string|null,
 *   steers: boolean, marked: boolean, command: any, code: string, text: string, id?: string|null, reason?: string, before?: number,
 *   after?: number, from_step?: number, from_branch?: string, moved?: Record<string, number|null>}} Note
 *    at: where it lies on the lines; steers: changes how weights move; marked: has a mark on the axis
 *  @typedef {{since: number, tick: number, moved: Record<string, number|null>, note?: number|null}} Movement  note: what it answers
 *  @typedef {{tick: number, step: number, branch: string, at: Place, grad: Record<string, number|null>,
 *   moved: Record<string, number|null>}} Norms
 *  @typedef {{tick: number, step: number, branch: string, at: Place, lrs: Record<string, number>}} Rates
 *  @typedef {{name: string, branch: string, step: number, mb: number, at: Place}} Bookmark
 *  @typedef {{speed: number, playing: boolean, at: number, length: number}} Player
 *  @typedef {{id: string, key: string, at: number, late: boolean}} Pending
 *  @typedef {{ok: boolean, reason: string, at: number}} Answer
 *  @typedef {"connecting"|"live"|"silent"|"recorded"|"gone"} Link
 *  @typedef {{link: Link, heard: number, seq: number, hint: string, now: Now, can: string[],
 *   groups: Group[], bookmarks: Bookmark[], stretches: Stretch[],
 *   lines: import("./lines.js").Told[], timelines: Timeline[], curve: import("./curve.js").Rule,
 *   evals: Evaluation[], notes: Note[], norms: Norms[], rates: Rates[], movement: Movement|null,
 *   player: Player|null, error: {message: string, traceback: string}|null,
 *   pending: Pending[], answers: Record<string, Answer>, behind: boolean, loaded: boolean}} View
 */

/** A command without an answer for this long is late. */
export const SILENCE_MS = 4000;
/** A run that trains sends something every 2 s; after this long it counts as silent. */
export const HEARTBEAT_MS = 8000;
/** How long a control shows that its command was applied, or refused. */
export const APPLIED_MS = 2500;
export const REFUSED_MS = 12000;

/** Commands that a run accepts after its end: they reopen it. */
const REOPENING = ["rewind", "branch"];
/** How many measurements of norms are kept; beyond that, every other one goes. */
const NORMS_KEPT = 1000;

/** @returns {View} */
export function emptyView() {
  return {
    link: "connecting", heard: 0, seq: 0, hint: "", can: [], groups: [], bookmarks: [], stretches: [], lines: [], timelines: [],
    curve: { keep: 0, cap: Infinity, reach: Infinity, spike: Infinity, room: 1 },
    evals: [], notes: [], norms: [], rates: [], movement: null, player: null,
    now: {
      status: "ready", step: 0, tick: 0, total: null, branch: "main", twin: null, speed: null, eta: null, seconds: 0,
      memory: {}, augment: null, weights: {},
    },
    error: null, pending: [], answers: {}, behind: false, loaded: false,
  };
}

/** Has the run not ended yet? @param {View} view */
export function going(view) {
  return ["ready", "running", "paused"].includes(view.now.status);
}

/** Can the kernel be reached? @param {View} view */
export function linked(view) {
  return view.link === "live" || view.link === "silent" || view.link === "connecting";
}

/** Can controls be used? @param {View} view */
export function steerable(view) {
  return linked(view) && going(view);
}

/** Would this run accept a command of this kind now? @param {View} view @param {string} kind */
export function takes(view, kind) {
  if (!linked(view) || !view.can.includes(kind)) return false;
  const reopens = view.can.includes("branch"); // a guest's loop that has ended cannot be continued
  return going(view) || (reopens && REOPENING.includes(kind) && (view.now.status === "finished" || view.now.status === "stopped"));
}

/** The stretch that trains now. @param {View} view @returns {Stretch|undefined} */
export function present(view) {
  const part = view.lines[0]?.parts.at(-1);
  return part && view.stretches[part[0]];
}

/** What to say of a loss that exploded, or "". It goes by the median of the last nine losses, to ignore single
 * spikes. @param {View} view */
export function divergence(view) {
  const { lost } = view.now;
  const { y, n } = present(view) ?? { y: new Float32Array(0), n: 0 };
  const root = view.stretches[0];
  const first = root?.y.subarray(0, root.n).find(Number.isFinite) ?? NaN;
  const last = Array.from(y.subarray(Math.max(0, n - 9), n)).filter(Number.isFinite).sort((a, b) => a - b);
  const middle = last[last.length >> 1] ?? NaN;
  const said = lost != null ? `The loss has not been a number since step ${lost}.`
    : middle > 10 * Math.max(first, 0.3) ? `The loss is ${showValue(middle)}; at the beginning it was ${showValue(first)}.` : "";
  const cure = view.can.includes("rewind") ? "rewind to before it" : `${going(view) ? "stop, and start" : "start"} again from a fresh model`;
  return said && `${said} A learning rate was too high: ${cure}.`;
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
  const stretches = s.stretches.map((/** @type {any} */ told, /** @type {number} */ i) => (recorded ? restore(told, i) : extend(undefined, told, m.losses[i])));
  const next = {
    ...view, stretches, lines: s.lines, timelines: s.timelines, curve: s.curve, hint: s.hint, now: s.now, can: s.can, groups: s.groups, bookmarks: s.bookmarks, evals: s.evals,
    notes: s.notes, norms: s.norms, rates: s.rates, movement: s.movement, player: s.player, error: s.error,
    behind: recorded, loaded: true,
  };
  if (recorded) return m.fresh ? { ...next, heard: m.now } : next;
  return settle({ ...next, link: /** @type {Link} */ ("live"), heard: m.now, seq: m.seq }, s.notes, m.now);
}

/** @param {View} view @param {any} m @returns {View} */
function delta(view, m) {
  // A gap (this view came late, or the kernel skipped): ask for a snapshot, answer pendings anyhow.
  if (!view.loaded || view.behind || m.seq !== view.seq + 1) {
    return settle({ ...view, link: "live", heard: m.now, behind: true }, m.notes, m.now);
  }
  const more = (/** @type {any[]} */ had, /** @type {any[]} */ came) => (came.length ? [...had, ...came] : had);
  const next = {
    ...view, stretches: grown(view.stretches, m), lines: m.lines ?? view.lines, timelines: m.timelines ?? view.timelines, curve: m.curve ?? view.curve, link: /** @type {Link} */ ("live"), heard: m.now, seq: m.seq,
    now: m.state, player: m.player, groups: m.groups ?? view.groups, bookmarks: m.bookmarks ?? view.bookmarks,
    error: m.error ?? view.error, notes: more(view.notes, m.notes), evals: more(view.evals, m.evals),
    rates: more(view.rates, m.rates), norms: halve(more(view.norms, m.norms)),
  };
  return settle(m.moved.reduce(move, next), m.notes, m.now);
}

/** @param {Stretch[]} had @param {any} m @returns {Stretch[]} */
function grown(had, { stretches, losses }) {
  if (!stretches.length) return had;
  const all = [...had];
  stretches.forEach((/** @type {any} */ news, /** @type {number} */ i) => { all[news.id] = extend(had[news.id], news, losses[i]); });
  return all;
}

/** @param {Norms[]} norms */
function halve(norms) {
  return norms.length > NORMS_KEPT ? norms.filter((_, i) => (norms.length - 1 - i) % 2 === 0) : norms;
}

/** Fasten a movement to the note that it answers. @param {View} view @param {Movement} movement */
function move(view, movement) {
  const notes = view.notes.map((note, i) => (i === movement.note ? { ...note, moved: movement.moved } : note));
  return { ...view, notes, movement };
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
  const speaks = !view.loaded || view.now.status === "running" || view.now.status === "paused";
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
