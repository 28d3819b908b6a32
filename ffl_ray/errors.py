"""Everything the commands refuse, in one tree; each is printed as a single line.

FFLRayError
├── SettingError      a setting's name, value or combination is not allowed
├── DataError         a data set is missing, damaged or too small
│   └── NoTestSplitError  its test split is missing or can't be opened
├── SpaceError        a search space can't be loaded, is empty or proposes invalid settings
├── PlanError         what was asked for does not fit the machines
├── StudyError        a study's folder is missing, taken, in use or not a study
├── ExportError       an exported model can't be written or read, or differs from the trained one
├── TrainingDivergedError  a loss stopped being a finite number
└── PreemptedError    this machine is about to be taken away; the training is stored
"""

# Exit statuses of the commands.
FAILED = 1
WRONG = 2
INTERRUPTED = 130
UNREAD = 141  # as a shell says of a process that SIGPIPE ended


def on_one_line(error: object) -> str:
    """The words of an error of anybody's, without the line breaks that libraries put in."""
    return " ".join(str(error).split())


class FFLRayError(Exception):
    """Base of every error that ffl_ray raises on purpose."""


class SettingError(FFLRayError, ValueError):
    """A setting's name, value or combination is not allowed."""


class DataError(FFLRayError):
    """A data set is missing, damaged or too small for what is asked of it."""


class NoTestSplitError(DataError):
    """The test split is missing or can't be opened: no final run of this data could end."""


class SpaceError(FFLRayError, ValueError):
    """A search space can't be loaded, is empty or proposes invalid settings."""


class PlanError(FFLRayError, ValueError):
    """What was asked for does not fit the machines."""


class StudyError(FFLRayError):
    """A study's folder is missing, taken, in use or not a study."""


class ExportError(FFLRayError):
    """An exported model can't be written or read, or differs from the trained one."""


class TrainingDivergedError(FFLRayError):
    """A training loss stopped being a finite number."""


class PreemptedError(FFLRayError):
    """The machine is about to be taken away; the training is stored, and goes on elsewhere."""
