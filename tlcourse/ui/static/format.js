// Numbers as text (with no-break spaces before units), and steps of a learning rate.

/** 0.0003 → "3e-4", 0.012 → "0.012". @param {number|null|undefined} lr */
export function showLr(lr) {
  if (lr == null || !Number.isFinite(lr)) return "";
  if (lr >= 0.001 && lr < 1000) return String(Number(lr.toPrecision(3)));
  return Number(lr.toPrecision(3)).toExponential().replace("+", "");
}

/** Three times more or less, rounded to 1, 3 or 10 times a power of ten if near. @param {number} lr @param {1|-1} way */
export function nextLr(lr, way) {
  const target = way > 0 ? lr * 3 : lr / 3;
  const power = 10 ** Math.floor(Math.log10(target));
  const rung = [1, 3, 10].map((r) => r * power).find((r) => Math.abs(r / target - 1) < 0.13);
  return Number((rung ?? target).toPrecision(2));
}

/** A learning rate typed by a person, or null. "3e-4" "0.0003" "3·10^-4" "0,001". @param {string} text */
export function readLr(text) {
  const plain = text.trim().replace(",", ".").replace(/\s*[·*x×]\s*10\^?/, "e");
  const value = plain === "" ? NaN : Number(plain);
  return Number.isFinite(value) ? value : null;
}

/** 24600 → "24.6 k". @param {number} count */
export function showCount(count) {
  if (count < 1000) return String(count);
  const [unit, name] = count < 1e6 ? [1e3, "k"] : count < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${Number((count / unit).toPrecision(3))}\u00a0${name}`;
}

/** Relative movement: 0.0123 → "1.2 %". @param {number|null|undefined} share */
export function showShare(share) {
  if (share == null || !Number.isFinite(share)) return "–";
  if (share === 0) return "0\u00a0%";
  const percent = share * 100;
  if (percent < 0.001) return "<\u00a00.001\u00a0%";
  if (percent > 1000) return ">\u00a01000\u00a0%";
  return `${Number(percent.toPrecision(2))}\u00a0%`;
}

/** The groups that moved, farthest first. @param {Record<string, number|null>|undefined} moved */
export function showMoved(moved) {
  const went = Object.entries(moved ?? {}).filter(([, share]) => share);
  return went.sort(([, a], [, b]) => Number(b) - Number(a)).map(([group, share]) => `${group}\u00a0${showShare(share)}`).join(", ");
}

/** 0.915 → "91.5 %". @param {number|null} accuracy 0 … 1 */
export function showAccuracy(accuracy) {
  return accuracy == null ? "–" : `${Number((100 * accuracy).toFixed(1))}\u00a0%`;
}

/** A difference of two shares in percentage points: 0.031 → "+3.1 points". @param {number} by */
export function showPoints(by) {
  const size = Number((100 * Math.abs(by)).toFixed(1));
  return `${size === 0 ? "±" : by < 0 ? "−" : "+"}${size}\u00a0${size === 1 ? "point" : "points"}`;
}

/** @param {number|null} seconds */
export function showTime(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
}

/** @param {number|null} speed steps a second */
export function showSpeed(speed) {
  if (speed == null || !Number.isFinite(speed)) return "–";
  return speed >= 100 ? String(Math.round(speed)) : String(Number(speed.toPrecision(2)));
}

/** A value on an axis or in a readout. @param {number} value @param {number} [digits] */
export function showValue(value, digits = 3) {
  if (!Number.isFinite(value)) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1).replace(".0", "").replace("+", "") : String(Number(value.toPrecision(digits)));
}

/** A refusal for the cockpit: without sentences that name a Python call, since the cockpit has a control
 * for it. @param {string} reason */
export function showReason(reason) {
  const [first, ...rest] = reason.split(/(?<=\.) (?=[A-Z])/);
  return [first, ...rest.filter((sentence) => !/\b[A-Z]\w*\(/.test(sentence))].join(" ");
}

/** Round numbers that span low … high, about `count` of them. @param {number} low @param {number} high @param {number} count */
export function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** 1234 → "1.23 GB". @param {number} mb in 10⁶ bytes */
export function showMemory(mb) {
  const [size, unit] = mb >= 1000 ? [mb / 1000, "GB"] : [mb, "MB"];
  return `${Number(size.toPrecision(size < 10 ? 2 : 3))}\u00a0${unit}`;
}

/** A learning rate on a slider's log scale; back (`expLr`) it is rounded to two digits. @param {number|null} lr */
export function logLr(lr) {
  return lr && lr > 0 ? Math.log10(lr) : -3;
}

/** @param {number} power */
export function expLr(power) {
  return Number((10 ** power).toPrecision(2));
}
