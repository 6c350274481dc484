// What a widget shows, and what was done in it, stays with its notebook.

/** The widget's model itself, which knows whether its kernel lives; null in front ends that hide it.
 * @param {any} model */
export async function ownModel(model) {
  try {
    return await model.widget_manager.get_model(model.get("id"));
  } catch {
    return null;
  }
}

/** Models that have lost their kernel: for good, since a kernel that starts again knows nothing of
 * them. A view that is made later learns it here. */
export const lost = new WeakSet();

/** How long a restored notebook may take to show a widget that it has. */
const RESTORED_MS = 700;

/** What every widget does once for its model, whether there is a view or not. JupyterLab saves only widgets
 * whose kernel is alive: a save after a restart would lose the others. So one that has lost its kernel goes
 * on counting as alive. Others tell the kernel that a browser has them. @param {{model: any}} context */
export function initialize({ model }) {
  ownModel(model).then((own) => {
    if (!own) return;
    const keep = () => {
      if (own.comm_live !== false) return;
      lost.add(own);
      for (const part of [own, own.get("layout")]) if (part && "comm_live" in part) part.comm_live = true;
    };
    own.on("comm_live_update", keep);
    keep();
    if (lost.has(own)) setTimeout(() => showAgain(model, own), RESTORED_MS);
    else model.send({ type: "browser" });
  });
}

/** JupyterLab gives up on a widget ("model not found") if it asks for it just before it has loaded it from the
 * notebook's file. Now it is there: the output that shows it is drawn again. @param {any} model @param {any} own */
function showAgain(model, own) {
  if (Object.keys(own.views ?? {}).length) return;
  for (const { outputs } of model.widget_manager.context?.model?.cells ?? []) {
    for (let i = 0; i < (outputs?.length ?? 0); i++) {
      const { data } = outputs.get(i);
      if (data["application/vnd.jupyter.widget-view+json"]?.model_id === model.get("id")) outputs.get(i).setData({ data });
    }
  }
}
