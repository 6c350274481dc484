// A picture of the model, and its step.

import { h, ownKeys, put } from "./dom.js";
import { initialize } from "./keep.js";

/** @typedef {{ total: number | null, step: number | null, branch: string, error: string,
 *    image: { source: string, alt: string, width: number | null } | null }} State */

/** @param {State} state */
export function place(state) {
  if (state.step == null) return "Nothing drawn yet.";
  const of = state.total ? ` of ${state.total}` : "";
  return `step ${state.step}${of}${state.branch === "main" ? "" : ` · ${state.branch}`}`;
}

/** @param {{ model: any, el: HTMLElement }} context */
function render({ model, el }) {
  const image = h("img", { class: "tlc-image", hidden: true });
  const where = h("figcaption", { class: "tlc-where" });
  const wrong = h("p", { class: "tlc-wrong", role: "status" });
  const root = h("figure", { class: "tlc tlc-lens" }, where, wrong, image);
  ownKeys(root);
  el.append(root);
  el.classList.add("tlc-host");
  let turn = 0; // the latest picture wins, however long another takes to decode

  async function draw() {
    /** @type {State} */
    const state = model.get("seen");
    const mine = ++turn;
    if (state.image) {
      const next = new Image();
      next.src = state.image.source;
      await next.decode().catch(() => {}); // decoded before it is shown: no flicker
      if (mine !== turn) return;
      put(image, "src", state.image.source);
      put(image, "alt", state.image.alt);
      put(image, "width", state.image.width);
    }
    put(image, "hidden", !image.hasAttribute("src"));
    put(root, "data-stale", Boolean(state.error));
    put(root, "data-step", state.step);
    put(where, "text", place(state));
    put(wrong, "text", state.error ? `It could not be drawn at this step. ${state.error}` : "");
    put(wrong, "hidden", !state.error);
  }

  model.on("change:seen", draw);
  draw();
  model.send({ type: "hello" });
  return () => {
    turn++;
    model.off("change:seen", draw);
  };
}

export default { initialize, render };
