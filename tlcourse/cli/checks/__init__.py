"""What `tlcourse doctor` looks at: each check returns findings, and each finding its cure."""

from tlcourse.cli.checks.finding import Finding

__all__ = ["Finding"]
