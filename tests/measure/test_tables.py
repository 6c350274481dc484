import json
import re

import pytest

from tlcourse.errors import DataError
from tlcourse.measure import interval, measured, table

COLUMNS = {
    "features": "text",
    "photos": "count",
    "accuracy": measured("percent"),
    "time": measured("seconds"),
}


def shown(slow, fast, accuracy):
    return table(
        [("every epoch anew", 1440, accuracy, slow), ("cached", 1440, accuracy, fast)],
        COLUMNS,
        title="Two ways",
    )


def blanked(text):
    return re.sub(r"⟨[^⟩]*⟩|<data>[^<]*</data>", "", text)


def test_only_measured_columns_may_differ_between_machines():
    one = shown(7.1, 0.0412, interval([0.94, 0.95]))._repr_mimebundle_()[0]
    other = shown(123.4, 0.00009, interval([1.0, 1.0]))._repr_mimebundle_()[0]
    for kind in ("text/html", "text/plain"):
        assert one[kind] != other[kind]
        assert blanked(one[kind]) == blanked(other[kind])
        for stable in ("every epoch anew", "1,440", "Two ways", "accuracy"):
            assert stable in blanked(one[kind])
        assert "7.1 s" in one[kind] and "41.2 ms" in one[kind] and "94.5 ± 6.4 %" in one[kind]


def test_plain_columns_line_up():
    lines = repr(shown(7.1, 0.0412, 0.9)).splitlines()[1:]
    assert len({line.index("⟨") for line in lines[1:]}) == 1
    assert len({len(line.rstrip(" ⟩")) for line in lines}) == 1


def test_the_numbers_travel_unrounded():
    metadata = shown(7.123456, float("nan"), 0.9)._repr_mimebundle_()[1]
    told = json.loads(json.dumps(metadata, allow_nan=False))["tlcourse"]["numbers"]
    assert told["rows"][0] == ["every epoch anew", 1440, 0.9, 7.123456]
    assert told["rows"][1][3] is None
    assert told["columns"]["time"] == "seconds"


def test_text_is_not_html():
    html = table([("<b>&",)], {"a<b": "text"})._repr_mimebundle_()[0]["text/html"]
    assert "&lt;b&gt;&amp;" in html and "a&lt;b" in html


def test_a_table_that_cannot_be_true_is_refused():
    with pytest.raises(DataError, match=r"measured\('percent'\)"):
        table([(interval([0.9, 0.8]),)], {"accuracy": "percent"})
    with pytest.raises(DataError, match="Row 2 has 1 values for 2 columns: a, b"):
        table([(1, 2), (1,)], {"a": "count", "b": "count"})
    with pytest.raises(DataError, match="no unit 'miles'.*percent"):
        table([], {"a": "miles"})
