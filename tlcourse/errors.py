"""Every error that tlcourse raises on purpose.

    TLCourseError                 one clear sentence that says what to do
    ├── CardError                 unknown card, or a card that is not well formed
    ├── SupplyError               bytes could not be brought, or must not be trusted
    │   ├── FetchError            network or server trouble; a second call resumes
    │   ├── IntegrityError        got other bytes than the card promises
    │   ├── UnsafePathError       an archive member wants to leave its folder
    │   └── NoSpaceError          the disk is too full
    ├── DataError                 wrong split, too few labels, unreadable picture
    ├── ModelError                unknown model, weights that do not fit
    ├── TierError                 unknown tier, or one that cannot run here
    ├── CommandError              a command that cannot be applied, refused before anything changed
    ├── RecordError               a record that cannot be read or replayed
    ├── SessionError              a run was asked for what it does not have (yet)
    │   └── TrainingFailed        training raised; the original is __cause__
    ├── ClaimFailed               a claim's evidence does not reach its threshold
    └── CourseError               unknown lesson, a folder that cannot be written, a lesson that failed

The command line prints the sentence and exits with the class's `exit_code`.
"""


class TLCourseError(Exception):
    exit_code = 1


class CardError(TLCourseError): ...


class SupplyError(TLCourseError): ...


class FetchError(SupplyError): ...


class IntegrityError(SupplyError): ...


class UnsafePathError(SupplyError): ...


class NoSpaceError(SupplyError): ...


class DataError(TLCourseError): ...


class ModelError(TLCourseError): ...


class TierError(TLCourseError): ...


class CommandError(TLCourseError): ...


class RecordError(TLCourseError):
    exit_code = 2  # `tlcourse replay`: 0 agrees, 1 differs, 2 cannot be run


class SessionError(TLCourseError): ...


class TrainingFailed(SessionError): ...


class ClaimFailed(TLCourseError): ...


class CourseError(TLCourseError): ...
