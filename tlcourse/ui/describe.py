"""`Descriptions`: edit the text that describes each class, and see what zero-shot predicts.

    board = Descriptions(minilm, cached, {"cancel": "Call it off.", "broken": "It does not work."})
    board                                        # the fields, the accuracy, examples
    board.edit("broken", "It fell apart.")       # the same as typing it

The examples are embedded once; an edit embeds only the description that changed, so the answer is quick.
As in the cockpit, views send custom messages, and the one trait goes from the kernel to the views.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import traitlets
from torch import Tensor, nn

from tlcourse.errors import CommandError, DataError, TLCourseError
from tlcourse.measure import confusion, measured, table
from tlcourse.methods import describe, features, zero_shot
from tlcourse.methods.feature_extraction.features import holds_tokens

from .bundle import bundle, stylesheet
from .kept import Kept

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.measure.tables import Table
    from tlcourse.methods import Probe

MODULES = ("dom.js", "keep.js", "describe.js")
SHEETS = ("cockpit.css", "describe.css")
EXAMPLES = 6  # shown below the fields
LIKELIEST = 3  # classes beside each
COLDEST, HOTTEST = 0.005, 1.0


@dataclass(frozen=True)
class Edit:
    """A description that was changed, and the accuracy before and after, 0 to 1."""

    name: str
    text: str
    before: float
    after: float


class Descriptions(Kept):
    """Edit the descriptions of classes, and see accuracy, confusions and predictions change.

    model: a text encoder. data: texts, or `features(model, data)` of them, which saves a second. said:
    class → its description, or a sequence of them (one per line in the field), which are averaged. Only
    the classes named here take part, with their examples. split: "valid", "train" or "test"; a test set
    that you edit by is no longer a test set. Raises DataError if the data lack a class or have no texts.
    """

    _esm = bundle(MODULES)
    _css = stylesheet(SHEETS)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        said: Mapping[str, str | Sequence[str]],
        *,
        split: str = "valid",
        temperature: float = 0.05,
    ) -> None:
        if split not in ("train", "valid", "test"):
            raise CommandError(f"No split {split!r}. Choose one of: train, valid, test.")
        self._model, self._every = model, tuple(data.classes)
        if unknown := [name for name in said if name not in data.classes]:
            raise DataError(
                f"{data.name} has no class {unknown[0]!r}. It has: {', '.join(data.classes)}."
            )
        self.described = describe(model, said)
        examples = self._among(getattr(data, split))
        if not len(examples.y) or not examples.texts:
            raise DataError(
                f"Split {split!r} of {data.name} has no texts of these classes to show: take a data "
                "set of texts, such as tickets."
            )
        self._examples, self._split = examples, split
        self._temperature = _checked(temperature)
        self._first = dict(self.described.texts)
        self.edits: list[Edit] = []
        self._now = self._before = self._probe().predict(examples)
        self._first_now = self._now
        super().__init__()
        self._tell()
        self.on_msg(self._hear)

    # -- to read ----------------------------------------------------------------------------------

    @property
    def classes(self) -> tuple[str, ...]:
        return self.described.classes

    @property
    def said(self) -> dict[str, str | tuple[str, ...]]:
        """The current descriptions: a text, or several."""
        return {name: t if len(t) > 1 else t[0] for name, t in self.described.texts.items()}

    @property
    def accuracy(self) -> float:
        """On the examples shown, with the current descriptions, 0 to 1."""
        return self._share(self._now)

    @property
    def first(self) -> float:
        """The accuracy of the first descriptions."""
        return self._share(self._first_now)

    @property
    def temperature(self) -> float:
        return self._temperature

    def measure(self, split: Split) -> float:
        """Accuracy of the current descriptions on other examples of these classes."""
        return self._probe().accuracy(self._among(split))

    def history(self) -> Table:
        """One row for each edit, with the accuracy before and after."""
        columns = {
            "class": "text",
            "description": "text",
            "before": measured("percent"),
            "after": measured("percent"),
        }
        rows = [(e.name, _cut(e.text), e.before, e.after) for e in self.edits]
        return table(rows, columns, title=f"{len(rows)} edits")

    # -- to change -------------------------------------------------------------------------------

    def edit(self, name: str, text: str) -> float:
        """Change a class's description and return the accuracy. Several lines are averaged.

        Raises DataError for a class that is not here, or an empty description.
        """
        if name not in self.classes:
            raise DataError(f"No class {name!r} here. There are: {', '.join(self.classes)}.")
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        if not lines:
            raise DataError(f"An empty description of {name!r} says nothing: the last one stays.")
        if lines != self.described.texts[name]:
            self._redescribe({**self.described.texts, name: lines})
            before = self._share(self._before)
            self.edits.append(Edit(name, "\n".join(lines), before, self.accuracy))
        self._tell()
        return self.accuracy

    def warm(self, temperature: float) -> None:
        """Set the temperature that divides the cosines before the softmax: it changes how confident the
        predictions are, not their order."""
        self._temperature = _checked(temperature)
        self._tell()

    def reset(self) -> float:
        """Go back to the first descriptions and forget the edits; returns the accuracy."""
        self._redescribe(self._first)
        self.edits, self._before = [], self._now
        self._tell()
        return self.accuracy

    def _redescribe(self, texts: Mapping[str, tuple[str, ...]]) -> None:
        self.described = describe(self._model, texts, known=self.described)
        self._before, self._now = self._now, self._probe().predict(self._examples)

    # -- from and to views -----------------------------------------------------------------------

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Messages from a view. Always answered, so that no view waits in vain."""
        kind, id, note = content.get("type"), content.get("id"), None
        try:
            if kind == "edit":
                self.edit(str(content.get("name")), str(content.get("text")))
            elif kind == "temperature":
                self.warm(content.get("value"))
            elif kind == "reset":
                self.reset()
            else:
                return
        except TLCourseError as refusal:
            note = {"name": content.get("name"), "reason": str(refusal)}
        self.send({"type": "answer", "id": id, "note": note, "state": self.state})

    def _tell(self) -> None:
        with self.hold_sync():
            self.state = self._shown()
            self.still = self._table()

    def _shown(self) -> dict[str, Any]:
        """What a view needs, as JSON."""
        y, classes = self._examples.y, self.classes
        matrix = confusion(self._now, y, classes=len(classes))
        began = confusion(self._first_now, y, classes=len(classes))
        rows = [
            {
                "name": name,
                "text": "\n".join(self.described.texts[name]),
                "right": int(matrix[at, at]),
                "first": int(began[at, at]),
                "count": int(matrix[at].sum()),
            }
            for at, name in enumerate(classes)
        ]
        return {
            "classes": rows,
            "accuracy": self.accuracy,
            "first": self.first,
            "before": self._share(self._before),
            "chance": 1 / len(classes),
            "count": len(y),
            "split": self._split,
            "edits": len(self.edits),
            "edited": self.edits[-1].name if self.edits else None,
            "temperature": self._temperature,
            "matrix": matrix.tolist(),
            "examples": self._told(),
        }

    def _told(self) -> list[dict[str, Any]]:
        """The examples to show: those whose prediction the last edit changed, then the most confident
        mistakes."""
        p = self._probe().predict_proba(self._examples)
        y = self._examples.y
        changed = (self._now != self._before).nonzero().squeeze(1).tolist()
        wrong = (self._now != y).nonzero().squeeze(1)
        wrong = wrong[p[wrong].amax(1).argsort(descending=True, stable=True)].tolist()
        chosen = list(dict.fromkeys([*changed, *wrong, *range(len(y))]))[:EXAMPLES]
        return [
            {
                "text": " ".join(self._examples.texts[at].split()),
                "truth": self.classes[int(y[at])],
                "was": self.classes[int(self._before[at])] if at in changed else None,
                "likeliest": [
                    [self.classes[c], float(p[at, c])]
                    for c in p[at].argsort(descending=True, stable=True)[:LIKELIEST].tolist()
                ],
            }
            for at in chosen
        ]

    def __repr__(self) -> str:
        return f"Descriptions of {len(self.classes)} classes, on {len(self._examples.y)} texts"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        """The widget, and a table for where no widget runs."""
        return {"text/plain": repr(self), "text/html": self._table(), **self.view()}, {}

    def _table(self) -> str:
        cell = 'style="text-align: left; padding: 3px 14px 3px 6px"'
        rows = "".join(
            f"<tr><td {cell}><b>{html.escape(row['name'])}</b></td>"
            f"<td {cell}>{html.escape(row['text'])}</td>"
            f"<td {cell}><data>{row['right']} of {row['count']} right</data></td></tr>"
            for row in self.state["classes"]
        )
        share, first = f"{self.accuracy:.1%}", f"{self.first:.1%}"
        head = (
            f"<b>Zero-shot by these descriptions:</b> <data>{share}</data> of "
            f"{self.state['count']} texts right; it began with <data>{first}</data>, guessing "
            f"would get {self.state['chance']:.0%}."
        )
        return f"<div>{head}</div><table><tbody>{rows}</tbody></table>"

    # -- inside ----------------------------------------------------------------------------------

    def _probe(self) -> Probe:
        return zero_shot(self.described, temperature=self._temperature)

    def _share(self, predicted: Tensor) -> float:
        return (predicted == self._examples.y).double().mean().item()

    def _among(self, split: Split) -> Split:
        """Of a split, the examples of the described classes, as features, with labels in their order."""
        place = torch.full((len(self._every),), -1)
        place[[self._every.index(name) for name in self.classes]] = torch.arange(len(self.classes))
        rows = (place[split.y] >= 0).nonzero().squeeze(1)
        texts = tuple(split.texts[at] for at in rows.tolist()) if split.texts else ()
        ids = tuple(split.ids[at] for at in rows.tolist())
        kept = replace(
            split, x=split.x[rows], y=place[split.y[rows]], ids=ids, texts=texts, boxes=()
        )
        return features(self._model, kept) if holds_tokens(kept.x) else kept


def _checked(temperature: Any) -> float:
    if not isinstance(temperature, int | float) or not COLDEST <= temperature <= HOTTEST:
        raise CommandError(
            f"temperature={temperature!r} must lie between {COLDEST:g} and {HOTTEST:g}; 0.05 is a good "
            "start."
        )
    return float(temperature)


def _cut(text: str, room: int = 72) -> str:
    line = " / ".join(text.splitlines())
    return line if len(line) <= room else line[: room - 1] + "…"
