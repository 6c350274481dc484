"""Writes docs/claims.md and docs/results.md from docs/results/*.json.

    tlcourse claims --tier public       on the machine in question; writes out/claims/claims.json
    python tools/make_results.py --add out/claims/claims.json
    python tools/make_results.py        writes the pages again; --check only says if they are old

New results replace those of the same lesson, tier and machine. Only results of lessons that ran to
their end are accepted.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from pathlib import Path
from typing import Any

from tlcourse.course.figures import claims_of, measured_on, read_figures
from tlcourse.measure.claims import evidence_in_words, threshold_in_words

ROOT = Path(__file__).resolve().parent.parent
STORE = ROOT / "docs" / "results"
CLAIMS_HEAD = """# What is claimed, and where it held

Every claim in the lessons, its threshold, and the result on each machine and in each tier: mean
and 95 % interval if it was measured over several seeds. A claim holds if the *whole* interval is
on the right side of the threshold. Thresholds were fixed before the first full measurement; claims that
did not hold were rewritten to what is true, and [the log](LOG.md) lists what had been expected.
`tlcourse claims` measures all of them on your machine; `tools/make_results.py` makes this page from
its output.
"""
RESULTS_HEAD = """# What a lesson takes

Seconds from a new kernel's first import to the last cell, with recorded commands in the live cells,
and the kernel's peak memory. `tools/make_results.py` makes this page from the output of
`tlcourse claims`.
"""


def slim(lesson: dict[str, Any]) -> dict[str, Any]:
    """The part of a lesson's figures that is kept."""
    kept = (
        "lesson",
        "title",
        "tier",
        "seconds",
        "memory_mb",
        "gpu_memory_mb",
        "versions",
        "hardware",
    )
    return {name: lesson.get(name) for name in kept} | {"claims": claims_of(lesson)}


def machine(lesson: dict[str, Any]) -> str:
    """`amd-epyc-2-cores`, or the GPU's name."""
    hardware = lesson["hardware"]
    name = hardware["gpu"] or f"{hardware['processor']} {hardware['cores']} cores"
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def add(file: Path) -> None:
    for lesson in read_figures(file):
        if not lesson.get("passed"):
            raise SystemExit(f"Lesson {lesson['lesson']} did not finish: {lesson.get('failure')}")
        STORE.mkdir(parents=True, exist_ok=True)
        path = STORE / f"{lesson['lesson']}-{lesson['tier']}-{machine(lesson)}.json"
        text = json.dumps(slim(lesson), indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")


def stored() -> list[dict[str, Any]]:
    """All stored results, by lesson, then tier (smallest first), then machine."""
    found = [read_figures(path) for path in STORE.glob("*.json")]
    tiers = ("pocket", "public", "gpu")
    return sorted(found, key=lambda one: (one["lesson"], tiers.index(one["tier"]), machine(one)))


def claims_page(found: list[dict[str, Any]]) -> str:
    rows = [CLAIMS_HEAD]
    for number in sorted({one["lesson"] for one in found}):
        mine = [one for one in found if one["lesson"] == number]
        rows += [f"\n## {number} · {mine[0]['title']}\n"]
        rows += ["| claim | threshold | tier | measured | |", "|---|--:|---|--:|---|"]
        for id in sorted({claim["id"] for one in mine for claim in one["claims"]}, key=order):
            shown = ""
            for one in mine:
                for claim in (claim for claim in one["claims"] if claim["id"] == id):
                    told = html.escape(claim["sentence"], quote=False).replace("|", "\\|")
                    sentence = f"**{id}** {told}"
                    name = "" if sentence == shown else sentence
                    where = one["tier"] + (
                        f", {one['hardware']['gpu']}" if one["hardware"]["gpu"] else ""
                    )
                    sign = "holds" if claim["holds"] else "**fails**"
                    threshold, evidence = threshold_in_words(claim), evidence_in_words(claim)
                    rows.append(f"| {name} | {threshold} | {where} | {evidence} | {sign} |")
                    shown = sentence
    rows += ["", *sorted({measured_on(one) for one in found})]
    return "\n".join(rows) + "\n"


def order(id: str) -> tuple[int, int]:
    lesson, _, number = id.partition(".")
    return int(lesson), int(number)


def results_page(found: list[dict[str, Any]]) -> str:
    rows = [RESULTS_HEAD, "| lesson | tier | on | time | memory | GPU memory | claims that hold |"]
    rows.append("|---|---|---|--:|--:|--:|--:|")
    for one in found:
        held = sum(claim["holds"] for claim in one["claims"])
        hardware = one["hardware"]
        on = hardware["gpu"] or f"{hardware['processor']}, {hardware['cores']} cores"
        rows.append(
            f"| {one['lesson']} {one['title']} | {one['tier']} | {on} | {one['seconds']:.0f} s | "
            f"{megabytes(one['memory_mb'])} | {megabytes(one['gpu_memory_mb'])} | "
            f"{held} of {len(one['claims'])} |"
        )
    rows += ["", *(["No GPU has been measured yet."] if not any_gpu(found) else [])]
    return "\n".join(rows).rstrip() + "\n"


def any_gpu(found: list[dict[str, Any]]) -> bool:
    return any(one["hardware"]["gpu"] for one in found)


def megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} MB"


PAGES = {"claims.md": claims_page, "results.md": results_page}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="claims.json of a machine")
    parser.add_argument("--check", action="store_true", help="exit 1 if a page is old")
    options = parser.parse_args()
    for file in options.add:
        add(file)
    found = stored()
    old = False
    for name, make in PAGES.items():
        page, path = make(found), ROOT / "docs" / name
        if not path.exists() or path.read_text(encoding="utf-8") != page:
            old = True
            if options.check:
                print(f"docs/{name} is old: run python tools/make_results.py", file=sys.stderr)
            else:
                path.write_text(page, encoding="utf-8")
    return int(options.check and old)


if __name__ == "__main__":
    sys.exit(main())
