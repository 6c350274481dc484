"""`load_data`: from a data set's name, a number of labels and a seed to three splits of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module

from tlcourse.checks import whole_number
from tlcourse.data.core import Data
from tlcourse.data.examples import Source, Split
from tlcourse.data.splits import Members, divide, draw
from tlcourse.errors import DataError
from tlcourse.rng import checked_seed


@dataclass(frozen=True)
class Entry:
    """A data set. module: the module in `sources` whose `read(size, domain)` returns its `Source`, or
    "module:function". size: the default, in pixels per side, or in tokens if `text`. domains: the first
    is the default."""

    module: str
    size: int
    domains: tuple[str, ...] = ()
    text: bool = False

    def read(self, size: int, domain: str | None) -> Source:
        module, _, function = self.module.partition(":")
        return getattr(import_module(f"tlcourse.data.sources.{module}"), function or "read")(
            size, domain
        )

    @property
    def sizes(self) -> tuple[int, int, str]:
        """The smallest and largest size, and its unit."""
        return (4, 256, "tokens") if self.text else (8, 1024, "pixels")


AMAZON = ("books", "dvd", "electronics", "kitchen")
PACS = ("photo", "art_painting", "cartoon", "sketch")
GLYPHS = (
    "all", "latin", "greek", "cyrillic", "armenian", "hebrew", "arabic", "nko", "lao",
    "georgian", "khutsuri", "ogham", "syllabics", "tifinagh", "lisu", "old_italic", "fraktur",
    "script", "apl", "arrows", "mathematics", "signs",
)  # fmt: skip
OMNIGLOT = (
    "all",
    "balinese",
    "early_aramaic",
    "greek",
    "japanese_katakana",
    "korean",
    "latin",
    "sanskrit",
    "tagalog",
)
TICKETS = ("shop", "clinic")
ENTRIES: dict[str, Entry] = {
    "amazon-reviews": Entry("reviews", size=128, domains=AMAZON, text=True),
    "banking77": Entry("messages:read_banking77", size=48, text=True),
    "bccd": Entry("bccd", size=224),
    "caltech24": Entry("photos:read_caltech24", size=128),
    "digits": Entry("digits", size=32),
    "glyphs": Entry("glyphs", size=32, domains=GLYPHS),
    "magnetic-tile": Entry("tiles", size=128),
    "mnist": Entry("handwriting:read_mnist", size=28),
    "movie-reviews": Entry("film:read_movie_reviews", size=256, text=True),
    "omniglot": Entry("omniglot", size=32, domains=OMNIGLOT),
    "pacs": Entry("pacs", size=128, domains=PACS),
    "sentence-polarity": Entry("film:read_sentence_polarity", size=64, text=True),
    "sms-spam": Entry("messages:read_sms_spam", size=64, text=True),
    "subjectivity": Entry("film:read_subjectivity", size=64, text=True),
    "surfaces": Entry("surfaces", size=64, domains=("line-a", "line-b")),
    "tickets": Entry("tickets", size=48, domains=TICKETS, text=True),
    "usps": Entry("handwriting:read_usps", size=28),
}


def names() -> list[str]:
    """The names of all data sets of `load_data`."""
    return sorted(ENTRIES)


def domains(name: str) -> tuple[str, ...]:
    """The domains of a data set: the same classes in different styles. () if it has only one."""
    return _entry(name).domains


def load_data(
    name: str,
    *,
    labels_per_class: int | None = None,
    size: int | None = None,
    domain: str | None = None,
    seed: int = 0,
) -> Data:
    """A data set in its three splits: uint8 images (N, 3, size, size), or token ids (N, size).

    Validation and test sets are fixed: no argument changes them. labels_per_class: that many training
    examples of each class, drawn by `seed` and nested (a draw of 10 contains the draw of 5); None means
    all. size: in pixels, 8 to 1024 (text: 4 to 256 tokens); None means the data set's own. domain: one
    of `domains(name)`; None means the first. Raises DataError for an unknown name or domain, a size out
    of range, a seed that is not a whole number, or more labels than there are.

    >>> load_data("digits", labels_per_class=10)
    digits: 10 classes · 100 train, 100 valid, 500 test · 3×32×32
    """
    entry = _entry(name)
    size = entry.size if size is None else size
    smallest, largest, unit = entry.sizes
    size = whole_number(size, f"size (in {unit})", DataError, smallest, largest)
    if domain is not None and domain not in entry.domains:
        choices = f"There are: {', '.join(entry.domains)}." if entry.domains else "It has none."
        raise DataError(f"{name} has no domain {domain!r}. {choices}")
    domain = domain or (entry.domains[0] if entry.domains else None)
    seed, k = checked_seed(seed, DataError), labels_per_class
    if k is not None:
        k = whole_number(k, "labels_per_class", DataError, 1, also=", or None for all")

    source = _read(name, size, domain)
    row = {id: at for at, id in enumerate(source.ids)}
    pool, valid, test = divide(
        source.ids,
        source.y.tolist(),
        valid=source.valid,
        test=source.test,
        given=source.given,
        kin=source.kin,
    )
    fewest = min(len(members) for members in pool.values())
    if k is not None and k > fewest:
        raise DataError(
            f"labels_per_class={k} is more than {name} has: {fewest} per class are for training"
            f" (the others are for validation and test)."
        )

    def take(members: Members) -> Split:  # a copy, so that nobody can change the cached source
        return source.examples.rows([row[id] for ids in members.values() for id in ids])

    recipe = {"name": name, "labels_per_class": k, "size": size, "seed": seed}
    return Data(
        name=name,
        title=source.title,
        train=take(draw(pool, k, seed)),
        valid=take(valid),
        test=take(test),
        classes=source.classes,
        recipe=recipe | ({"domain": domain} if domain else {}),
        things=source.things,
    )


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        near = get_close_matches(str(name), ENTRIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"No data set {name!r}.{hint} There are: {', '.join(names())}.")
    return ENTRIES[name]


# Decoding 1,440 photos takes about a second, and a lesson asks for many draws of the same photos.
@lru_cache(maxsize=2)
def _read(name: str, size: int, domain: str | None) -> Source:
    return ENTRIES[name].read(size, domain)
