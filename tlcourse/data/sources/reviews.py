"""Amazon reviews of four departments (Blitzer et al. 2007): one task, four vocabularies."""

from __future__ import annotations

import html
import re

from tlcourse.data.corpus import Row, clean, source
from tlcourse.data.examples import Source

FOLDERS = {
    "books": "books",
    "dvd": "dvd",
    "electronics": "electronics",
    "kitchen": "kitchen_&_housewares",
}
MOODS = {"negative": "negative", "positive": "positive"}
FIELD = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)


def read(size: int, domain: str) -> Source:
    """The reviews of one department: 200 per class for testing, 100 for validation, the rest is the
    pool.

    One or two stars are negative, four or five positive. A text is the review without its title. The
    shop shows a review with each edition of a product: of 2,000 reviews in each department, 44 (books),
    46 (dvd), 35 (electronics) and 23 (kitchen) are duplicates and are left out, and three pairs are
    similar. No review is in two departments. Reviews of one product may be in different splits.
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
