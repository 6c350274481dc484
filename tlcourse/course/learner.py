"""The learner's own JSON file: predictions, exercises, claims.

    $TLCOURSE_HOME/progress.json, else in the user's data folder (on Linux $XDG_DATA_HOME/tlcourse)

Several notebooks may be open at once, and each may die at any moment. So a change takes the file's
lock, reads the file again, and writes it whole or not at all. A change that cannot be written is kept
in this process and written with the next one. A headless run neither reads nor writes the file.
"""

import copy
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tlcourse.course.recorded_hands import headless
from tlcourse.errors import CourseError
from tlcourse.files import write_atomically
from tlcourse.schema import (
    FLAG,
    LINE,
    NUMBER,
    TEXT,
    check,
    dict_of,
    list_of,
    object_of,
    or_null,
    read_json,
    whole,
)

Notes = dict[str, Any]  # {"format": 1, "predictions": {id: …}, "exercises": …, "claims": …}
T = TypeVar("T")

FORMAT = 1
SECTIONS = ("predictions", "exercises", "claims")
_WHEN = or_null(LINE)
_VALUES = or_null(dict_of(NUMBER))
_ENTRIES = {
    "predictions": {
        "question": TEXT, "unit": LINE, "values": _VALUES, "when": _WHEN, "late": FLAG, "seen": _WHEN,
        "outcome": or_null(dict_of(or_null(NUMBER))), "before": list_of(object_of({"values": _VALUES})),
    },
    "exercises": {"tried": whole(0), "solved": _WHEN, "hints": whole(0)},
    "claims": {"holds": FLAG, "when": _WHEN},
}  # fmt: skip
NOTES = {name: dict_of(object_of(entry, *entry)) for name, entry in _ENTRIES.items()}
PATIENCE_S = 5.0  # for another notebook, which holds the lock for milliseconds

_waiting: dict[Path, list[Callable[[Notes], Any]]] = {}  # changes that could not be written yet
_alone: Notes = {}  # a headless run's own
_said: set[tuple[Path, str]] = set()


class _Strange(Exception):
    """The file exists, but its content makes no sense."""


def path() -> Path:
    """The path of the file. Not in the cache folder, so that emptying the cache does not lose it."""
    if home := os.environ.get("TLCOURSE_HOME", "").strip():
        return Path(home).expanduser().absolute() / "progress.json"
    from platformdirs import user_data_path

    return user_data_path("tlcourse", appauthor=False) / "progress.json"


def read() -> Notes:
    """A copy of the notes as they are now."""
    if headless():
        return copy.deepcopy(_completed(_alone))
    place = path()
    try:
        notes = _loaded(place)
    except _Strange:
        change(lambda notes: None)  # puts it aside, and says so
        notes = {}
    except OSError as error:
        _say(place, "read", f"Your progress in {place} cannot be read ({_why(error)}).")
        notes = {}
    for act in _waiting.get(place, ()):
        act(_completed(notes))
    return _completed(notes)


def change(act: Callable[[Notes], T]) -> T:
    """Let `act` change the notes, and write them; returns what `act` returns.

    If the change cannot be written at once, `act` is called again later, on notes read anew.
    """
    if headless():
        return act(_completed(_alone))
    place = path()
    try:
        return _changed(place, act)
    except OSError as error:
        _say(
            place,
            "write",
            f"Your progress cannot be kept in {place} ({_why(error)}). The course goes on, but what you "
            "predict and solve is forgotten when this notebook ends. To keep it, set TLCOURSE_HOME to a "
            "folder that you may write.",
        )
    _waiting.setdefault(place, []).append(act)
    notes: Notes = {}
    with suppress(OSError, _Strange):
        notes = _loaded(place)
    answers = [one(_completed(notes)) for one in _waiting[place]]
    return answers[-1]


def now() -> str:
    """The time for a note, to the second, with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _changed(place: Path, act: Callable[[Notes], T]) -> T:
    from filelock import FileLock, Timeout

    place.parent.mkdir(parents=True, exist_ok=True)  # for the lock
    try:
        with FileLock(place.with_suffix(".lock"), timeout=PATIENCE_S):
            notes = _completed(_safely_loaded(place))
            for before in _waiting.get(place, ()):
                before(notes)
            answer = act(notes)
            text = json.dumps(notes, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            write_atomically(place, text, sync=True, sole_writer=True)  # the lock is ours
            _waiting.pop(place, None)
            return answer
    except Timeout:
        raise OSError("another notebook holds its lock") from None
    except NotImplementedError as error:  # a file system that knows no locks
        raise OSError(str(error)) from error


def _safely_loaded(place: Path) -> Notes:
    """The file's notes; a file that makes no sense is renamed first, never overwritten."""
    try:
        return _loaded(place)
    except _Strange as strange:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        aside = place.with_name(f"progress.unreadable-{stamp}.json")
        place.rename(aside)
        _say(
            place,
            stamp,
            f"Your progress in {place} made no sense ({strange}). It is kept as {aside.name} beside a "
            "new one.",
        )
        return {}


def _loaded(place: Path) -> Notes:
    try:
        text = place.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        notes = read_json(text, CourseError, "It is no progress file")
        told = {"format": notes.get("format")} if isinstance(notes, dict) else notes
        check(told, {"format": whole(1)}, CourseError, "It is no progress file")
        if notes["format"] > FORMAT:
            raise OSError("a newer tlcourse wrote it: update this one")
        check(notes, NOTES, CourseError, "It is no progress file", *SECTIONS)
    except CourseError as error:
        raise _Strange(str(error).removesuffix(".")) from None
    return notes


def _completed(notes: Notes) -> Notes:
    """The same dict, with every section there."""
    notes.setdefault("format", FORMAT)
    for section in SECTIONS:
        notes.setdefault(section, {})
    return notes


def _why(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()


def _say(place: Path, what: str, sentence: str) -> None:
    """Print the sentence once for each file and process."""
    if (place, what) not in _said:
        _said.add((place, what))
        print(sentence, file=sys.stderr)
