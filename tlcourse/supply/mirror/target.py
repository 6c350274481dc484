"""For which machines wheels are collected: a Python version and a platform."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from packaging.markers import default_environment
from packaging.tags import Tag, compatible_tags, cpython_tags, sys_tags

from tlcourse.errors import SupplyError

# The tags that pip and uv take there. 2.28 is the C library of RHEL 8 and older than Ubuntu 20.04's.
TAGS = {
    "linux": [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
    + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"],
    "macos": [
        f"macosx_{major}_0_{machine}"
        for major in (14, 13, 12, 11)
        for machine in ("arm64", "universal2")
    ]
    + [f"macosx_10_{minor}_universal2" for minor in range(16, 8, -1)],
    "windows": ["win_amd64"],
}
MARKERS = {
    "linux": ("linux", "Linux", "x86_64", "posix"),
    "macos": ("darwin", "Darwin", "arm64", "posix"),
    "windows": ("win32", "Windows", "AMD64", "nt"),
}
PLATFORMS = tuple(TAGS)


@dataclass(frozen=True, slots=True)
class Target:
    """`python` "3.12", `platform` one of PLATFORMS; None for the machine that we are on."""

    python: str | None = None
    platform: str | None = None

    @property
    def title(self) -> str:
        python = self.python or "{}.{}".format(*sys.version_info[:2])
        return f"Python {python}, {self.platform or 'this platform'}"

    @property
    def environment(self) -> dict[str, str]:
        """What requirements' markers are asked about."""
        values = dict(default_environment())
        if self.python:
            values |= {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        if self.platform:
            keys = ("sys_platform", "platform_system", "platform_machine", "os_name")
            values |= dict(zip(keys, MARKERS[self.platform], strict=True))
            values |= {"platform_release": "", "platform_version": ""}
        return values

    def tags(self) -> list[Tag]:
        """The wheels that can be installed there."""
        if self.python is None and self.platform is None:
            return list(sys_tags())
        version = tuple(map(int, (self.python or "{}.{}".format(*sys.version_info[:2])).split(".")))
        platforms = TAGS[self.platform or _ours()]
        interpreter = "cp{}{}".format(*version)
        return [
            *cpython_tags(version, platforms=platforms),
            *compatible_tags(version, interpreter, platforms),
        ]

    def pip_options(self) -> list[str]:
        """What `pip download` is told about it."""
        if self.python is None and self.platform is None:
            return []
        python = self.python or "{}.{}".format(*sys.version_info[:2])
        short = "cp" + python.replace(".", "")
        options = ["--python-version", python, "--implementation", "cp"]
        for abi in (short, "abi3", "none"):
            options += ["--abi", abi]
        for platform in TAGS[self.platform or _ours()]:
            options += ["--platform", platform]
        return options


def _ours() -> str:
    """The platform that we are on, by our name for it."""
    for name, (sys_platform, _, machine, _) in MARKERS.items():
        if default_environment()["sys_platform"] == sys_platform:
            if default_environment()["platform_machine"] == machine:
                return name
    raise SupplyError(f"Name the --platform with --python: {', '.join(PLATFORMS)}.")
