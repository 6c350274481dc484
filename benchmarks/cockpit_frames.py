"""How many frames a second do the curves keep while they stream, are hovered over, and zoomed?

    python benchmarks/cockpit_frames.py [--points 100000] [--seconds 4] [--timelines 3]

The cockpit's own drawing in real Chromium, headless and without a GPU: all is rasterised on the
CPU. `--timelines` curves of `--points` each: a run, its twin and further branches. Times are in ms;
"script" is the JavaScript of a frame, "frame" the time from one frame to the next as the browser
tells it.
"""

import argparse
import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tests.browser import driver  # noqa: E402

PAGE = """<!doctype html><meta charset="utf-8"><style>{css}</style>
<body style="margin:8px"><div class="tlc" style="width:960px"></div>
<script type="module">
import {{ makeChart }} from "/tlcourse/ui/static/chart/chart.js";
import * as views from "/tests/ui/chart_views.mjs";
const chart = makeChart();
document.querySelector(".tlc").append(chart.el);
Object.assign(window, {{ chart, views, ready: true }});
</script>"""

# Makes the curves, then does one thing every frame for some seconds.
MEASURE = """async ({points, timelines, seconds, scene}) => {
    const { chart, views } = window;
    const room = points + 400 * seconds;
    const stretches = Array.from({ length: timelines }, (_, i) => {
        const all = views.falling(1, room, { pace: points / 5, seed: i + 1 });
        const name = ["main", "twin"][i] ?? `branch ${i}`;
        return { ...views.stretch(name, all, { control: i === 1 }), n: points };
    });
    const evals = Array.from({ length: 400 }, (_, i) =>
        views.evaluation(i * Math.floor(points / 400), 0.5 + i / 900));
    const curve = views.rule(2.3, 0.99);
    let view = views.viewOf(stretches, { evals, curve, now: { step: points, total: room } });
    const plot = document.querySelector(".tlc-plot");
    const box = plot.getBoundingClientRect();
    let script = 0;
    const next = window.requestAnimationFrame.bind(window);
    const timed = (f) => { const t = performance.now(); f(); script += performance.now() - t; };
    window.requestAnimationFrame = (f) => next((t) => timed(() => f(t)));
    chart.draw(view);
    const longer = (all) => all.map((s) => ({ ...s, n: Math.min(room, s.n + 40) }));
    let told = 0;
    const deeds = {
        idle: () => {},
        streaming: (i, now) => { // ten messages a second, of 400 steps each second
            if (now - told < 100) return;
            told = now;
            const step = view.now.step + 40;
            const stretches = longer(view.stretches);
            view = { ...view, stretches, now: { ...view.now, step, tick: step } };
            chart.draw(view);
        },
        hovering: (i) => plot.dispatchEvent(new PointerEvent("pointermove", { bubbles: true,
            clientX: box.left + 100 + 800 * Math.abs(Math.sin(i / 50)), clientY: box.top + 90 })),
        zooming: (i) => plot.dispatchEvent(new WheelEvent("wheel", { ctrlKey: true, bubbles: true,
            cancelable: true, deltaY: i % 120 < 60 ? -12 : 12,
            clientX: box.left + 600, clientY: box.top + 90 })),
        "all at once": (i, now) =>
            ["streaming", "hovering", "zooming"].forEach((name) => deeds[name](i, now)),
    };
    const frames = [], scripts = [];
    await new Promise((done) => {
        let i = 0, last = 0, began = 0;
        const frame = (now) => {
            began ||= now;
            if (last) { frames.push(now - last); scripts.push(script); }
            last = now;
            script = 0;
            timed(() => deeds[scene](i++, now));
            if (now - began < 1000 * seconds) next(frame); else done();
        };
        setTimeout(() => next(frame), 300);
    });
    window.requestAnimationFrame = next;
    const busy = scripts.filter((ms) => ms > 0.3);
    const rank = (all, q) =>
        [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(q * all.length))] ?? 0;
    const fps = 1000 * frames.length / frames.reduce((a, b) => a + b, 0);
    return { fps, frame95: rank(frames, 0.95), worst: rank(frames, 1),
        script: rank(busy, 0.5), script95: rank(busy, 0.95), drawn: busy.length };
}"""


def css() -> str:
    folder = REPO / "tlcourse" / "ui" / "static"
    return "".join((folder / name).read_text() for name in ("cockpit.css", "chart/chart.css"))


def serve(route) -> None:
    """Answer from the repository; nothing leaves this machine."""
    path = route.request.url.split("localhost", 1)[1]
    file = REPO / path.lstrip("/")
    if path == "/":
        route.fulfill(body=PAGE.format(css=css()), content_type="text/html")
    elif file.is_file():
        route.fulfill(body=file.read_text(), content_type="text/javascript")
    else:
        route.fulfill(status=404)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--timelines", type=int, default=3)
    given = parser.parse_args()
    print(
        f"timelines: {given.timelines}, of {given.points:,} points each; {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} before, no GPU"
    )
    print(f"{'':12} {'fps':>6} {'frame p95':>10} {'worst':>7} {'script':>7} {'p95':>6} drawn")
    with driver.chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.on("pageerror", lambda error: sys.exit(f"The page failed: {error}"))
        page.route("**/*", serve)
        for scene in ("idle", "streaming", "hovering", "zooming", "all at once"):
            page.goto("http://localhost/")
            page.wait_for_function("window.ready")
            got = page.evaluate(MEASURE, {**vars(given), "scene": scene})
            print(
                f"{scene:12} {got['fps']:6.1f} {got['frame95']:10.1f} {got['worst']:7.1f} "
                f"{got['script']:7.2f} {got['script95']:6.2f} {got['drawn']:5}"
            )


if __name__ == "__main__":
    main()
