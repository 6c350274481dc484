// The curves in sentences, for screen readers. Pure.

import { along, tipNow, valueAt } from "../model/lines.js";
import { meterSaid, metersApart, metersOf } from "./meters.js";
import { differenceWords } from "./panels.js";
import { showAccuracy, showLr, showValue } from "../format.js";

/** @param {import("./panels.js").Scene} scene @returns {string} */
export function spoken({ view, lines, smooth, raw, apart }) {
  const { total, status } = view.now;
  const tip = tipNow(view, lines);
  if (!lines.path.length) return total ? `No steps taken yet, of ${total}.` : "No steps taken yet.";
  const said = [`Step ${tip}${total ? ` of ${total}` : ""}, ${status}.`];
  const first = lines.path[0];
  const began = raw[first.stretch.id][first.from];
  const now = valueAt(lines.path, smooth, tip);
  const way = now < began * 0.98 ? "fell" : now > began * 1.02 ? "rose" : "barely changed,";
  said.push(Number.isFinite(now) ? `The training loss ${way} from ${showValue(began)} to ${showValue(now)}, smoothed.` : "The training loss is not a number.");
  const valid = along(lines, view.evals.filter((e) => e.split === "valid" && e.accuracy != null));
  if (valid.length) {
    const best = valid.reduce((a, b) => (Number(b.accuracy) > Number(a.accuracy) ? b : a));
    const last = valid[valid.length - 1];
    said.push(`Validation accuracy is ${showAccuracy(last.accuracy)} at step ${last.step}; the best is ${showAccuracy(best.accuracy)} at step ${best.step}.`);
  }
  said.push(...metersOf(view, lines).map(meterSaid).filter(Boolean));
  const others = [...new Set(lines.lines.filter((line) => line.role === "other").map((line) => line.name))];
  if (others.length) said.push(`Current timeline: ${lines.now}. Others: ${others.join(", ")}.`);
  if (lines.lines.some((line) => line.role === "gone")) said.push("Parts given up by a rewind are drawn faint.");
  if (apart) said.push(`Compared with the twin, which lacks the change at step ${apart.since}: ${[differenceWords(apart.last, apart.accuracy), ...metersApart(view, lines)].join("; ")}.`);
  const rates = along(lines, view.rates).at(-1);
  if (rates) said.push(`Learning rates: ${Object.entries(rates.lrs).map(([group, lr]) => `${group} ${showLr(lr)}`).join(", ")}.`);
  return said.join(" ");
}
