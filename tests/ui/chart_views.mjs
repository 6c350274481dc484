// Views made by hand, for the chart's tests, its pictures and its benchmark. No kernel, no clock.

import { emptyView } from "../../tlcourse/ui/static/model/reduce.js";

/** Numbers between 0 and 1 that are the same each time. */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A stretch from [step, loss] points. root: [stretch, points shared]. viewOf gives it its number. */
export function stretch(branch, points, { root = null, control = false } = {}) {
  return { id: -1, branch, root, control, n: points.length, x: Float32Array.from(points, ([x]) => x), y: Float32Array.from(points, ([, y]) => y) };
}

/** A line as the kernel tells it; parts: [stretch, from point, to point]. An event's place counts like the points here. */
export const line = (name, role, ...parts) => ({ name, role, parts: parts.map(([id, from = 0, to = null]) => [id, from, to, from, to]) });
/** Smoothing and axis of a run that began with this loss, as `plots/timelines.py` has them for short runs. */
export const rule = (first, keep = 0.75) => ({ keep, cap: 2 * Math.max(2.5 * first, 3), reach: Math.max(2.5 * first, 3), spike: 1.6, room: 1.05 });

/** Steps from … to with a falling, noisy loss. */
export function falling(from, to, { start = 2.3, floor = 0.3, pace = 80, noise = 0.25, seed = 1 } = {}) {
  const random = dice(seed);
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const step = from + i;
    const mean = floor + (start - floor) * Math.exp(-step / pace);
    return [step, mean * (1 + noise * (random() + random() - 1))];
  });
}

/** A view of stretches; without `lines` each is a line of its own, the first the present one. */
export function viewOf(stretches, more = {}) {
  const view = emptyView();
  const all = stretches.map((one, id) => ({ ...one, id }));
  const lines = more.lines ?? (all.length ? all.map((one, id) => line(one.branch, id === 0 ? "now" : one.control ? "twin" : "other", [id])) : [line("main", "now")]);
  const last = all[lines[0].parts.at(-1)?.[0] ?? -1];
  const step = last?.n ? last.x[last.n - 1] : 0;
  const begins = ({ root }) => (root ? all[root[0]].x[root[1] - 1] : 0);
  const timelines = [...new Set(all.map((one) => one.branch))].map((name) => {
    const mine = all.filter((one) => one.branch === name);
    const tip = mine.at(-1);
    return { name, parent: mine[0].root ? all[mine[0].root[0]].branch : null, control: mine[0].control, start: Math.min(...mine.map(begins)),
      tip: tip.id, begins: begins(tip), far: Math.max(...mine.map(({ x, n }) => (n ? x[n - 1] : -1))) };
  });
  return {
    ...view, loaded: true, link: "live", stretches: all, lines, timelines, curve: rule(all[0]?.n ? all[0].y[0] : 1),
    groups: ["stem", "stage1", "stage2", "stage3", "stage4", "head"].map((name, depth) => ({
      name, parameters: 10 ** (2 + depth / 2), trainable: depth > 3, lr: depth > 3 ? 1e-3 : null, kind: "layers", stats: true, scale: null,
    })),
    ...more, now: { ...view.now, status: "running", step, tick: step, total: 400, branch: lines[0].name, ...more.now },
  };
}

const STEERS = ["set_lr", "freeze", "unfreeze", "add_lora", "set_scale", "swap_head", "set_weight", "augment"];
export const note = (more) => {
  const kind = more.kind ?? "freeze";
  const made = { tick: 0, step: 0, branch: "main", at: [0, more.step ?? 0], ok: true, group: "head", command: {}, code: "", text: "froze head", id: null, ...more, kind };
  return { steers: STEERS.includes(kind), marked: made.ok && [...STEERS, "rewind", "branch", "stop"].includes(kind), ...made };
};
export const evaluation = (step, accuracy, more) => ({ tick: step, step, branch: "main", at: [0, step], split: "valid", accuracy, loss: 1, ...more });

/** One timeline, two interventions, half-way. */
export function simple() {
  const evals = Array.from({ length: 12 }, (_, i) => evaluation(i * 20, 0.1 + 0.8 * (1 - Math.exp(-i / 4))));
  return viewOf([stretch("main", falling(1, 230))], {
    evals: [...evals, evaluation(220, 0.83, { split: "test" })],
    notes: [note({ tick: 60, step: 60, kind: "unfreeze", group: "stage4", text: "unfroze stage4 at lr 1e-4", before: 1010, after: 93000, moved: { stage4: 0.012, head: 0.2 } }),
      note({ tick: 140, step: 140, kind: "set_lr", text: "lr of head set to 3e-4" })],
    rates: [{ step: 0, at: [0, 0], lrs: { head: 1e-3 } }, { step: 60, at: [0, 60], lrs: { head: 1e-3, stage4: 1e-4 } },
      { step: 140, at: [0, 140], lrs: { head: 3e-4, stage4: 1e-4 } }],
    norms: Array.from({ length: 22 }, (_, i) => ({ tick: i * 10 + 5, step: i * 10 + 5, at: [0, i * 10 + 5],
      grad: { head: 3 * Math.exp(-i / 9) + 0.1, ...(i >= 6 ? { stage4: 0.4 * Math.exp(-i / 20) } : {}) },
      moved: { head: 0.5 * (1 - Math.exp(-i / 8)), stage4: i >= 6 ? 0.004 * (i - 6) : 0, stage3: 0 } })),
  });
}

/** A blow-up at 120, a rewind to 100, a branch at 180 that is left again, an intervention at 200 with its twin. */
export function storied() {
  const blown = falling(1, 140).map(([x, y]) => [x, x > 120 ? y + 0.09 * (x - 120) ** 1.4 : y]);
  const again = falling(101, 330).map(([x, y]) => [x, x > 200 ? y * (1 - 0.35 * (1 - Math.exp((200 - x) / 30))) : y]);
  const stretches = [
    stretch("main", blown),
    stretch("main", again.slice(0, 80), { root: [0, 100] }),
    stretch("bolder", falling(181, 260, { seed: 9 }).map(([x, y]) => [x, y * (1.2 - (x - 181) / 300)]), { root: [1, 80] }),
    stretch("main", again.slice(80), { root: [1, 80] }),
    stretch("twin", falling(201, 330), { root: [3, 20], control: true }),
  ];
  const lines = [line("main", "now", [0, 0, 100], [1, 0, 80], [3]), line("main", "gone", [0, 100, 140]), line("bolder", "other", [2]), line("twin", "twin", [4])];
  /** Where the present timeline has a step. */
  const at = (step) => (step < 100 ? [0, step] : step < 180 ? [1, step - 100] : [3, step - 180]);
  const curve = (step) => 0.1 + 0.75 * (1 - Math.exp(-step / 80));
  const evals = [...[0, 20, 40, 60, 80, 100, 120, 140].map((s) => evaluation(s, s > 120 ? 0.42 : curve(s), { at: [0, Math.min(s, 139)] })),
    ...Array.from({ length: 12 }, (_, i) => 110 + 20 * i).map((s) => evaluation(s, s > 200 ? curve(s) + 0.06 * (1 - Math.exp((200 - s) / 40)) : curve(s), { at: at(s) }))];
  const beside = [210, 230, 250, 270, 290, 310, 330].map((s) => evaluation(s, curve(s), { branch: "twin", at: [4, s - 200] }));
  const bolder = [200, 220, 240, 260].map((s) => evaluation(s, curve(s) - 0.08, { branch: "bolder", at: [2, s - 180] }));
  const rates = (step, lrs, place = at(step)) => ({ step, at: place, lrs });
  return viewOf(stretches, {
    lines, now: { step: 330, tick: 490, twin: "twin" }, evals: [...evals, ...beside, ...bolder],
    bookmarks: [{ name: "start", branch: "main", step: 0, mb: 1, at: null }, { name: "warm", branch: "main", step: 160, mb: 4.2, at: at(160) }],
    notes: [note({ step: 120, at: [0, 120], kind: "set_lr", text: "lr of head set to 0.3" }),
      note({ step: 100, at: [1, 0], from_step: 140, kind: "rewind", text: "rewound to 100" }),
      note({ step: 110, at: at(110), kind: "set_lr", text: "lr of head set to 3e-4" }),
      note({ step: 180, at: [2, 0], branch: "bolder", kind: "branch", text: "began branch bolder" }),
      note({ step: 200, at: at(200), kind: "unfreeze", group: "stage4", text: "unfroze stage4 at lr 1e-4", before: 1010, after: 93000 })],
    rates: [rates(0, { head: 1e-3 }), rates(120, { head: 0.3 }, [0, 120]), rates(100, { head: 1e-3 }), rates(110, { head: 3e-4 }),
      rates(200, { head: 3e-4, stage4: 1e-4, stage3: 1e-4 })],
    norms: Array.from({ length: 30 }, (_, i) => ({ tick: i * 11 + 51, step: i * 11 + 5, at: at(i * 11 + 5),
      grad: { head: 3 * Math.exp(-i / 9) + 0.1, ...(i > 18 ? { stage4: 0.02 * i, stage3: 0.003 * i } : {}) },
      moved: { head: 0.5 * (1 - Math.exp(-i / 8)), stage4: i > 18 ? 0.004 * (i - 18) : 0 } })),
  });
}
