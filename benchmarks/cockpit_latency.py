"""How long from a click to its command being applied, and to the answer being seen?

    python benchmarks/cockpit_latency.py [--clicks 30]

Real JupyterLab, real Chromium, a real run of about 10 ms a step. "applied" ends when the training
loop has applied the command, "seen" at the first frame in which the control shows it. The clocks of
kernel and browser are one machine's.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.browser import driver  # noqa: E402

SETUP = f"""import sys, time, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {str(REPO)!r})
import ipykernel, tlcourse as tl
from tests.browser.runs import digits_run
from tlcourse.session import Applied
class Timed(list):
    "Events that remember when they came."
    def append(self, event):
        if isinstance(event, Applied) and event.id:
            times[event.id] = 1000 * time.time()
        super().append(event)
times = {{}}
print(ipykernel.__version__)
"""
START = """run = digits_run(100_000)
run.events = Timed()
tl.Cockpit(run)"""

# Click the switch of a group again and again; note when, with which id, and when it was seen.
CLICK = """async clicks => {
    const root = [...document.querySelectorAll('.tlc')].at(-1);
    const toggle = root.querySelector('[data-control="switch:stage2"]');
    const frame = () => new Promise(requestAnimationFrame);
    const clock = () => performance.timeOrigin + performance.now();
    const rows = [];
    for (let i = 0; i < clicks; i++) {
        await new Promise(r => setTimeout(r, 150 + 200 * Math.random()));
        const before = toggle.ariaChecked;
        const clicked = clock();
        toggle.click();
        while (toggle.ariaChecked === before) await frame();
        rows.push([clicked, clock()]);
    }
    return rows;
}"""


def measure(book: driver.Notebook, clicks: int) -> list[tuple[float, float]]:
    """(applied, seen) of each click, ms after it."""
    rows = book.page.evaluate(CLICK, clicks)
    book.page.locator(".tlc").last.locator('[data-control="stop"]').click()
    book.page.evaluate("() => window.__cell")
    applied = json.loads(book.run(book.add("import json; print(json.dumps(list(times.values())))")))
    return [
        (at - clicked, seen - clicked) for (clicked, seen), at in zip(rows, applied, strict=False)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=30)
    clicks = parser.parse_args().clicks
    if driver.executable() is None:
        sys.exit("There is no Chromium to click in. On Debian: apt install chromium.")
    print(f"{'main thread':<24}{'applied, ms':>24}{'seen, ms':>24}{'clicks':>8}")
    print(f"{'':<24}{'median':>12}{'p95':>12}{'median':>12}{'p95':>12}")
    with tempfile.TemporaryDirectory() as folder, driver.lab(Path(folder)) as server:
        driver.write_notebook(Path(folder) / "latency.ipynb", [SETUP])
        with driver.chromium() as browser:
            context = browser.new_context(viewport={"width": 1200, "height": 1400})
            book = driver.Notebook(context, server, "latency.ipynb")
            version = book.run(0).strip()
            for name, waits in (("idle", False), ("await run.wait()", True)):
                book.run(book.add(f"times.clear()\n{START}"))
                book.page.locator('.tlc[data-link="live"][data-status="running"]').last.wait_for()
                if waits:
                    book.start(book.add("result = await run.wait()"))
                rows = measure(book, clicks)
                columns = [column for pair in zip(*rows, strict=True) for column in [pair]]
                cells = "".join(
                    f"{statistics.median(c):>12.1f}{statistics.quantiles(c, n=20)[-1]:>12.1f}"
                    for c in columns
                )
                print(f"{name:<24}{cells}{len(rows):>8}")
            book.close()
    print(f"ipykernel {version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
