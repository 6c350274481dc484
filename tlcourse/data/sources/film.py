"""Three data sets of Pang and Lee: sentences of film reviews, plot or opinion, whole reviews.

The authors lower-cased and tokenised all texts ("it 's"), so models see no capitals. The film is not
recorded: different splits may have texts about the same film, but never the same text.
"""

from __future__ import annotations

from collections.abc import Iterator

from tlcourse.data.corpus import Row, clean, source
from tlcourse.data.examples import Source

MOODS = {"neg": "negative", "pos": "positive"}


def read_sentence_polarity(size: int, domain: str | None = None) -> Source:
    """10,660 sentences, half of each class: 500 per class for testing, 250 for validation.

    Two of the 10,662 are duplicates. A sentence has the label of the review that it comes from, so some
    sentences express no such opinion.
    """
    rows = _lines("sentence-polarity", {f"rt-polarity.{mood}": mood for mood in MOODS})
    return source("Sentences of film reviews", rows, classes=MOODS, size=size, valid=250, test=500)


def read_subjectivity(size: int, domain: str | None = None) -> Source:
    """9,998 sentences: 500 per class for testing, 250 for validation.

    Two of the 10,000 are duplicates, and six pairs are similar. The label is the source of a sentence:
    plot summaries or reviews.
    """
    rows = _lines("subjectivity", {"plot.tok.gt9.5000": "plot", "quote.tok.gt9.5000": "opinion"})
    classes = {"plot": "plot", "opinion": "opinion"}
    return source(
        "Film sentences, plot or opinion", rows, classes=classes, size=size, valid=250, test=500
    )


def read_movie_reviews(size: int, domain: str | None = None) -> Source:
    """1,998 whole reviews: 200 per class for testing, 100 for validation.

    Two of the 2,000 are duplicates, and four pairs are similar. Half of them have more than 697 words,
    so a model reads only the beginning: all but 23 are truncated at 256 tokens, the largest size.
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
