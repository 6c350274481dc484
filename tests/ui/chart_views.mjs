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

/** A stream from [step, loss] points; cuts as [index, step]. */
export function stream(name, points, { parent = null, start = 0, control = false, after = 0, cuts = [] } = {}) {
  return {
    name, parent, start, control, after, n: points.length,
    x: Float32Array.from(points, ([x]) => x), y: Float32Array.from(points, ([, y]) => y),
    cuts: cuts.map(([index, step]) => ({ index, step })),
  };
}

/** Steps from … to with a falling, noisy loss. */
export function falling(from, to, { start = 2.3, floor = 0.3, pace = 80, noise = 0.25, seed = 1 } = {}) {
  const random = dice(seed);
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const step = from + i;
    const mean = floor + (start - floor) * Math.exp(-step / pace);
    return [step, mean * (1 + noise * (random() + random() - 1))];
  });
}

export function viewOf(streams, more = {}) {
  const view = emptyView();
  const named = Object.fromEntries(streams.map((one) => [one.name, one]));
  const last = streams[0];
  const step = last?.n ? last.x[last.n - 1] : 0;
  return {
    ...view, loaded: true, link: "live", streams: named, order: streams.map((one) => one.name),
    groups: ["stem", "stage1", "stage2", "stage3", "stage4", "head"].map((name, depth) => ({
      name, parameters: 10 ** (2 + depth / 2), trainable: depth > 3, lr: depth > 3 ? 1e-3 : null, kind: "layers", stats: true, scale: null,
    })),
    ...more, now: { ...view.now, status: "running", step, tick: step, total: 400, ...more.now },
  };
}

export const note = (more) => ({ tick: 0, step: 0, branch: "main", ok: true, kind: "freeze", group: "head", command: {}, code: "", text: "froze head", id: null, ...more });
export const evaluation = (step, accuracy, more) => ({ tick: step, step, branch: "main", split: "valid", accuracy, loss: 1, ...more });

/** One timeline, two interventions, half-way. */
export function simple() {
  const evals = Array.from({ length: 12 }, (_, i) => evaluation(i * 20, 0.1 + 0.8 * (1 - Math.exp(-i / 4))));
  return viewOf([stream("main", falling(1, 230))], {
    evals: [...evals, evaluation(220, 0.83, { split: "test" })],
    notes: [note({ tick: 60, step: 60, kind: "unfreeze", group: "stage4", text: "unfroze stage4 at lr 1e-4", before: 1010, after: 93000, moved: { stage4: 0.012, head: 0.2 } }),
      note({ tick: 140, step: 140, kind: "set_lr", text: "lr of head set to 3e-4" })],
    rates: [{ tick: 0, step: 0, branch: "main", lrs: { head: 1e-3 } }, { tick: 60, step: 60, branch: "main", lrs: { head: 1e-3, stage4: 1e-4 } },
      { tick: 140, step: 140, branch: "main", lrs: { head: 3e-4, stage4: 1e-4 } }],
    norms: Array.from({ length: 22 }, (_, i) => ({ tick: i * 10 + 5, step: i * 10 + 5, branch: "main",
      grad: { head: 3 * Math.exp(-i / 9) + 0.1, ...(i >= 6 ? { stage4: 0.4 * Math.exp(-i / 20) } : {}) },
      moved: { head: 0.5 * (1 - Math.exp(-i / 8)), stage4: i >= 6 ? 0.004 * (i - 6) : 0, stage3: 0 } })),
  });
}

/** A blow-up at 120, a rewind to 100, a branch at 180 that is left again, an intervention at 200 with its twin. */
export function storied() {
  const blown = falling(1, 140).map(([x, y]) => [x, x > 120 ? y + 0.09 * (x - 120) ** 1.4 : y]);
  const again = falling(101, 330).map(([x, y]) => [x, x > 200 ? y * (1 - 0.35 * (1 - Math.exp((200 - x) / 30))) : y]);
  const main = stream("main", [...blown, ...again], { cuts: [[140, 101]] });
  const bold = stream("bolder", falling(181, 260, { seed: 9 }).map(([x, y]) => [x, y * (1.2 - (x - 181) / 300)]), { parent: "main", start: 180 });
  const twin = stream("twin", falling(201, 330), { parent: "main", start: 200, control: true, after: 5 });
  const curve = (step) => 0.1 + 0.75 * (1 - Math.exp(-step / 80));
  const evals = [...[0, 20, 40, 60, 80, 100, 120, 140].map((s) => evaluation(s, s > 120 ? 0.42 : curve(s))),
    ...Array.from({ length: 12 }, (_, i) => 110 + 20 * i).map((s) => evaluation(s, s > 200 ? curve(s) + 0.06 * (1 - Math.exp((200 - s) / 40)) : curve(s), { tick: 40 + s }))];
  const beside = [210, 230, 250, 270, 290, 310, 330].map((s) => evaluation(s, curve(s), { branch: "twin", tick: 40 + s }));
  const bolder = [200, 220, 240, 260].map((s) => evaluation(s, curve(s) - 0.08, { branch: "bolder", tick: 140 + s }));
  return viewOf([main, bold, twin], {
    now: { step: 330, tick: 370, twin: "twin" }, evals: [...evals, ...beside, ...bolder],
    bookmarks: [{ name: "start", branch: "main", step: 0, mb: 1 }, { name: "warm", branch: "main", step: 160, mb: 4.2 }],
    notes: [note({ tick: 120, step: 120, kind: "set_lr", text: "lr of head set to 0.3" }),
      note({ tick: 140, step: 100, from_step: 140, kind: "rewind", text: "rewound to 100" }),
      note({ tick: 150, step: 110, kind: "set_lr", text: "lr of head set to 3e-4" }),
      note({ tick: 220, step: 180, branch: "bolder", kind: "branch", text: "began branch bolder" }),
      note({ tick: 240, step: 200, kind: "unfreeze", group: "stage4", text: "unfroze stage4 at lr 1e-4", before: 1010, after: 93000 })],
    rates: [{ tick: 0, step: 0, branch: "main", lrs: { head: 1e-3 } }, { tick: 120, step: 120, branch: "main", lrs: { head: 0.3 } },
      { tick: 140, step: 100, branch: "main", lrs: { head: 1e-3 } }, { tick: 150, step: 110, branch: "main", lrs: { head: 3e-4 } },
      { tick: 240, step: 200, branch: "main", lrs: { head: 3e-4, stage4: 1e-4, stage3: 1e-4 } }],
    norms: Array.from({ length: 30 }, (_, i) => ({ tick: i * 11 + 51, step: i * 11 + 5, branch: "main",
      grad: { head: 3 * Math.exp(-i / 9) + 0.1, ...(i > 18 ? { stage4: 0.02 * i, stage3: 0.003 * i } : {}) },
      moved: { head: 0.5 * (1 - Math.exp(-i / 8)), stage4: i > 18 ? 0.004 * (i - 18) : 0 } })),
  });
}
