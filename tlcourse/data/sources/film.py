"""Three sets of Pang and Lee about films: sentences of reviews, plots and opinions, whole reviews.

All are lower-cased and tokenised by their authors ("it 's"), so no model sees capitals. Which film a
text speaks of is not recorded: two splits may speak of one film, never in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator

from tlcourse.data.core import Source
from tlcourse.data.corpus import Row, clean, source

MOODS = {"neg": "negative", "pos": "positive"}


def read_sentence_polarity(size: int, domain: str | None = None) -> Source:
    """10,660 sentences, half of a kind: 500 a class for test, 250 for validation.

    Two of the 10,662 say what another says. A label is that of the review that a sentence was cut
    from, so some sentences say nothing of the kind.
    """
    rows = _lines("sentence-polarity", {f"rt-polarity.{mood}": mood for mood in MOODS})
    return source("Sentences of film reviews", rows, classes=MOODS, size=size, valid=250, test=500)


def read_subjectivity(size: int, domain: str | None = None) -> Source:
    """9,998 sentences: 500 a class for test, 250 for validation.

    Two of the 10,000 say what another says, six pairs are alike. The label is where a sentence was
    found: in plot summaries, or in reviews.
    """
    rows = _lines("subjectivity", {"plot.tok.gt9.5000": "plot", "quote.tok.gt9.5000": "opinion"})
    classes = {"plot": "plot", "opinion": "opinion"}
    return source(
        "Film sentences, plot or opinion", rows, classes=classes, size=size, valid=250, test=500
    )


def read_movie_reviews(size: int, domain: str | None = None) -> Source:
    """1,998 whole reviews: 200 a class for test, 100 for validation.

    Two of the 2,000 say what another says, four pairs are alike. Half of them have more than 697
    words, so that a model reads the beginning only: all but 23 are cut off at 256 tokens, the most
    that can be asked for.
    """
    from tlcourse.supply import fetch

    root = fetch("movie-reviews")
    rows = [
        Row(f"{mood}/{path.stem}", mood, clean(path.read_text("utf-8")))
        for mood in MOODS
        for path in sorted((root / mood).glob("*.txt"))
    ]
    return source("Film reviews", rows, classes=MOODS, size=size, valid=100, test=200)


def _lines(card: str, files: dict[str, str]) -> Iterator[Row]:
    """A row for each line of the files, each of which holds one label."""
    from tlcourse.supply import fetch

    root = fetch(card)
    for name, label in files.items():
        for number, line in enumerate((root / name).read_text("utf-8").split("\n")):
            if line.strip():
                yield Row(f"{label}/{number:04d}", label, clean(line))
