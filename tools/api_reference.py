"""The pages of the API reference: which public names are on which page; Sphinx's autodoc fills them.

Names come from the rooms' `__all__`, so that a new one appears by itself; `docs/conf.py` says how a
docstring becomes a page's text.
"""

import inspect
from importlib import import_module
from typing import Any

COURSE = ("tier", "hand", "predict", "check", "hint", "progress")
PAGES = {  # page: (title, what it is about, names; a room's own `__all__` where there is "room.*")
    "run": (
        "Run and steer",
        "A training run, the cockpit that steers it, and what a run leaves.",
        "Session Cockpit Lens Descriptions session.Result Record Recording replay session.Replay "
        "resume to_script steer steer_trainer beside session.Steerable session.GroupState "
        "session.TimelineState session.Bookmark",
    ),
    "commands": (
        "Commands",
        "What can be done to a run between two steps: `run.send(command)`, or `run.at(step, command)`.",
        "commands",
    ),
    "events": (
        "Events",
        "What happened in a run, in `run.events`. Each has `tick`, `step` and `branch`.",
        "events",
    ),
    "data": ("Data", "Data sets as tensors in three splits.", "load_data data.*"),
    "models": ("Models", "Networks with named groups of parameters.", "load_model models.*"),
    "methods": ("Methods", "Transfer learning: what is trained, and for which loss.", "methods.*"),
    "measure": (
        "Measure and claim",
        "Intervals over seeds, tables, and claims.",
        "claim measure.*",
    ),
    "plots": ("Plots", "Figures of events, records and arrays.", "plots.*"),
    "course": ("The course", "What a lesson's notebook calls.", " ".join(COURSE)),
    "errors": ("Errors", "Every error that tlcourse raises on purpose.", "errors.*"),
}
WITH_MEMBERS = {
    "Session",
    "Record",
    "Recording",
    "Result",
    "Steerable",
    "Interval",
    "Table",
    "Split",
}


def pages() -> dict[str, str]:
    """{name of the page: its text in MyST Markdown}, `index` among them."""
    made = {name: _page(name) for name in PAGES}
    rows = [f"| [{title}]({name}.md) | {about} |" for name, (title, about, _) in PAGES.items()]
    tree = "\n".join(PAGES)
    made["index"] = (
        "# API reference\n\nWhat `import tlcourse as tl` offers, from the docstrings; in a notebook "
        "`help(tl.Session)` says the same.\n\n| page | what it is about |\n|---|---|\n"
        + "\n".join(rows)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
    )
    return made


def names(page: str) -> list[str]:
    """The dotted names on a page, without `tlcourse.`; each name is on one page only."""
    found: dict[str, None] = {}
    for word in PAGES[page][2].split():
        if word in ("commands", "events"):
            found |= dict.fromkeys(f"session.{one}" for one in _of_session(word))
        elif word.endswith(".*"):
            found |= dict.fromkeys(_of_room(word.removesuffix(".*")))
        else:
            found[word] = None
    return list(found)


def _of_session(what: str) -> list[str]:
    from tlcourse import session

    if what == "commands":
        return [cls.__name__ for cls in session.kinds().values()]
    return [
        name
        for name in session.__all__
        if inspect.isclass(cls := getattr(session, name)) and issubclass(cls, session.Event)
    ]


def _of_room(room: str) -> list[str]:
    module = import_module(f"tlcourse.{room}")
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__
    ]
    elsewhere = {word for _, _, words in PAGES.values() for word in words.split()}
    return [f"{room}.{name}" for name in public if name not in elsewhere]


def _page(page: str) -> str:
    title, about, _ = PAGES[page]
    entries = "\n\n".join(map(_entry, names(page)))
    return f"# {title}\n\n{about}\n\n```{{eval-rst}}\n{entries}\n```\n"


def _entry(name: str) -> str:
    value: Any = import_module("tlcourse")
    for at, part in enumerate(parts := name.split(".")):
        value = getattr(value, part, None) or import_module("tlcourse." + ".".join(parts[: at + 1]))
    top = getattr(import_module("tlcourse"), parts[-1], None)
    shown = parts[-1] if top is value else name  # the shortest name that a notebook can use
    kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
    if kind == "class" and issubclass(value, BaseException):
        kind = "exception"
    members = "\n   :members:" if parts[-1] in WITH_MEMBERS else ""
    return f".. auto{kind}:: tlcourse.{shown}{members}"
