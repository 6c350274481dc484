"""Make the documentation's pictures of the cockpit from a real run.

    python -m tests.browser.pictures [FOLDER]        (default: docs/images)

A pre-trained backbone learns digits; a hand clicks, as in lesson 01. Takes about a minute.
"""

import sys
import tempfile
from pathlib import Path

from . import driver

REPO = Path(__file__).parents[2]
CELLS = [
    """import warnings; warnings.filterwarnings("ignore")
import tlcourse as tl
data = tl.load_data("digits", labels_per_class=10, seed=0)
model = tl.load_model("pocket-glyphs", classes=data.classes)""",
    """run = tl.Session(model, data, steps=400, lr=1e-3, freeze="backbone", batch_size=16, pace=40)
tl.Cockpit(run)""",
]


def steer(cockpit, page) -> None:
    """What the hand does, and at which step."""

    def at(step: int) -> None:
        page.wait_for_function(
            "step => Number(document.querySelector('.tlc-progress').ariaValueNow) >= step",
            arg=step,
            timeout=120_000,
        )

    def control(name: str):
        return cockpit.locator(f'[data-control="{name}"]')

    def named(kind: str, name: str) -> None:
        control(kind).click()
        control(f"{kind}-name").fill(name)
        control(f"{kind}-set").click()

    at(60)
    control("switch:head").click()  # refused: nothing else trains
    at(90)
    named("save", "head only")
    at(120)
    control("lr:stage4").fill("0.3")  # far too high
    control("switch:stage4").click()
    at(200)
    control("undo:2").click()  # back to before it
    at(118)
    control("twin").click()
    page.wait_for_timeout(300)
    control("lr:stage4").fill("3e-4")
    control("switch:stage4").click()
    at(240)
    control("augment").fill("0.4")
    at(300)
    cockpit.locator(".tlc-groups h3").click()  # nothing is focused


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPO / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, driver.lab(Path(work)) as server:
        driver.write_notebook(Path(work) / "cockpit.ipynb", CELLS)
        with driver.chromium() as browser:
            context = browser.new_context(
                viewport={"width": 1180, "height": 1300}, device_scale_factor=1.5
            )
            book = driver.Notebook(context, server, "cockpit.ipynb")
            book.run(0)
            book.run(1)
            cockpit = book.cockpit()
            steer(cockpit, book.page)
            for name in ("light", "dark"):
                book.theme(f"JupyterLab {name.title()}")
                book.page.wait_for_timeout(700)
                cockpit.screenshot(path=folder / f"cockpit-{name}.png", animations="disabled")
            for name in ("dark", "light"):
                book.theme(f"JupyterLab {name.title()}")
                book.page.set_viewport_size({"width": 480, "height": 1700})
                book.page.wait_for_timeout(700)
                cockpit.screenshot(path=Path(work) / f"narrow-{name}.png", animations="disabled")
            for picture in sorted(Path(work).glob("narrow-*.png")):  # to look at, not to keep
                target = Path(tempfile.gettempdir()) / f"cockpit-{picture.name}"
                target.write_bytes(picture.read_bytes())
                print(target)
            book.close()
    for picture in sorted(folder.glob("cockpit-*.png")):
        print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
