"""Amazon reviews of four departments (Blitzer et al. 2007): one task, four vocabularies."""

from __future__ import annotations

import html
import re

from tlcourse.data.core import Source
from tlcourse.data.corpus import Row, clean, source

FOLDERS = {
    "books": "books",
    "dvd": "dvd",
    "electronics": "electronics",
    "kitchen": "kitchen_&_housewares",
}
MOODS = {"negative": "negative", "positive": "positive"}
FIELD = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)


def read(size: int, domain: str) -> Source:
    """The reviews of one department: 200 a class for test, 100 for validation, the rest is the pool.

    One or two stars are negative, four or five positive. A text is the review alone, without its
    title. The shop shows one review with each edition of a product: of 2,000 in books 44, dvd 46,
    electronics 35 and kitchen 23 say what another says and are left out, and three pairs are alike.
    No review stands in two departments. Different reviews of one product may stand in two splits.
    """
    from tlcourse.supply import fetch

    folder = fetch("amazon-reviews") / "sorted_data_acl" / FOLDERS[domain]
    rows = []
    for mood in MOODS:
        whole = (folder / f"{mood}.review").read_text("utf-8")
        for number, review in enumerate(whole.split("<review>")[1:]):
            text = clean(html.unescape(dict(FIELD.findall(review))["review_text"]))
            rows.append(Row(f"{domain}/{mood}/{number:04d}", mood, text))
    return source(f"Amazon reviews, {domain}", rows, classes=MOODS, size=size, valid=100, test=200)
