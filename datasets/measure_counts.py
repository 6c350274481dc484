"""Write tlcourse/cards/counts.json: `python datasets/measure_counts.py`.

For the maintainer, when a data set is added or its loader changes. Loads every data set in each of its
domains and counts the examples, so the public ones are fetched (TLCOURSE_MIRROR or the web).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import tlcourse
from tlcourse.cards.counts import Gives
from tlcourse.data import domains, load_data
from tlcourse.data.load import names


def measured(name: str) -> tuple[Gives, ...]:
    """The counts of `load_data(name)`, domain by domain."""
    found = []
    for domain in domains(name) or (None,):
        data = load_data(name, domain=domain)
        counts = (len(split) for split in (data.train, data.valid, data.test))
        found.append(Gives(domain or "", len(data.classes), *counts))
    return tuple(found)


if __name__ == "__main__":
    rows = {name: [asdict(one) for one in measured(name)] for name in names()}
    place = Path(tlcourse.__file__).parent / "cards" / "counts.json"
    lines = ",\n".join(
        f" {json.dumps(name)}: [\n" + ",\n".join(f"  {json.dumps(row)}" for row in some) + "\n ]"
        for name, some in rows.items()
    )
    place.write_text("{\n" + lines + "\n}\n", "utf-8")
