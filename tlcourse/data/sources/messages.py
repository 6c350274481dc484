"""Short everyday texts: questions of bank customers, and text messages."""

from __future__ import annotations

import csv
import html

from tlcourse.data.corpus import Row, clean, source
from tlcourse.data.examples import Source


def read_banking77(size: int, domain: str | None = None) -> Source:
    """Banking77's questions: its test set (39 or 40 per intent), and 5 per intent for validation.

    Of 13,083 questions, 61 are left out as duplicates (4 of them in the test set; 25 were in both sets,
    two had two intents), and 129 training questions because they are similar to a test question. The
    intents are not balanced (35 to 187 for training), and some differ only slightly ("card arrival",
    "card delivery estimate").
    """
    from tlcourse.supply import fetch

    root = fetch("banking77")
    rows = []
    for name in ("train", "test"):
        with (root / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows += [
                Row(f"{name}/{n:05d}", row["category"], clean(row["text"]), given)
                for given in ("test" if name == "test" else "",)
                for n, row in enumerate(csv.DictReader(file))
            ]
    # In alphabetical order: the order in the file follows no rule.
    classes = {label: _spoken(label) for label in sorted({row.label for row in rows}, key=_spoken)}
    return source(
        "Banking77, intents of bank customers",
        rows,
        classes=classes,
        size=size,
        valid=5,
        test=0,  # published
    )


def _spoken(label: str) -> str:
    return label.lower().replace("_", " ").rstrip("?")


def read_sms_spam(size: int, domain: str | None = None) -> Source:
    """Text messages: 100 each of ham and spam for testing, 50 for validation, so these two are balanced;
    in the pool, as in the collection, spam is rare (about one in ten).

    443 of 5,574 are duplicates and are left out. Spam campaigns differ by a code or a phone number: 235
    messages belong to 95 groups. In the ham of one source, names and numbers were replaced by "<#>" and
    the like, which no spam has; a model can learn that.
    """
    from tlcourse.supply import fetch

    rows = []
    lines = (fetch("sms-spam") / "sms.tsv").read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        if line:
            label, text = line.split("\t", 1)
            rows.append(Row(f"{number:04d}", label, clean(html.unescape(text))))
    classes = {"ham": "ham", "spam": "spam"}
    return source(
        "SMS messages, ham and spam", rows, classes=classes, size=size, valid=50, test=100
    )
