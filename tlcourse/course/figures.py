"""A lesson's figures as JSON: checked as they are read, since results come from other machines too."""

from pathlib import Path
from typing import Any

from tlcourse.errors import CourseError
from tlcourse.measure.claims import CLAIM
from tlcourse.schema import (
    FLAG,
    LINE,
    NUMBER,
    TEXT,
    Field,
    check,
    dict_of,
    list_of,
    matching,
    object_of,
    one_of,
    or_null,
    read_json,
    whole,
)

_MEMORY = or_null(NUMBER)
_VERSIONS = dict_of(or_null(LINE))
FIGURES = {
    "lesson": matching("[0-9]{2}", "two digits"),
    "title": LINE,
    "tier": one_of(("pocket", "public", "gpu")),
    "passed": FLAG,
    "failure": or_null(TEXT),
    "seconds": NUMBER,
    "memory_mb": _MEMORY,
    "gpu_memory_mb": _MEMORY,
    "versions": Field(
        f"{_VERSIONS.says}, with python", lambda v: _VERSIONS.fits(v) and v.get("python")
    ),
    "hardware": object_of(
        {"system": LINE, "processor": LINE, "cores": or_null(whole(1)), "gpu": or_null(LINE)}
    ),
    "figures": list_of(object_of({})),
    "claims": list_of(object_of({})),
}
OPTIONAL = ("passed", "failure", "memory_mb", "gpu_memory_mb", "figures", "claims")


def read_figures(file: Path) -> Any:
    """What `headless.report` wrote: a lesson's figures, or in claims.json a list of them.

    Raises CourseError that names the field at fault, or says why the file cannot be read.
    """
    where = f"{file} holds no figures"
    try:
        told = read_json(file.read_bytes(), CourseError, where)
    except OSError as error:
        raise CourseError(f"{file} cannot be read: {error.strerror}.") from error
    for lesson in told if isinstance(told, list) else [told]:
        check(lesson, FIGURES, CourseError, where, *OPTIONAL)
        shown = [figure["claim"] for figure in lesson.get("figures", ()) if figure.get("claim")]
        for claim in [*shown, *lesson.get("claims", ())]:
            check(claim, CLAIM, CourseError, f"{file}, a claim")
    return told


def claims_of(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims among a lesson's figures, in order, each once."""
    found = {
        figure["claim"]["id"]: figure["claim"]
        for figure in figures["figures"]
        if figure.get("claim")
    }
    return list(found.values())


def measured_on(figures: dict[str, Any]) -> str:
    """Where it was measured: `Measured on AMD EPYC, 2 cores, no GPU; Linux, Python 3.11.7, torch …`."""
    machine, versions = figures["hardware"], figures["versions"]
    named = ("tlcourse", "torch", "timm", "transformers", "peft")
    libraries = ", ".join(f"{name} {versions[name]}" for name in named if versions.get(name))
    return (
        f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}; "
        f"{machine['system']}, Python {versions['python']}, {libraries}."
    )
