"""The lab's branch of the error tree.

BodydoubleError
├── LabError                 the lab itself could not do what the scenario asked (verdict: invalid)
│   └── FaultError           a fault that was asked for did not happen, or did not heal
└── UnmetError               the product refused, or did not reach, what the scenario asked of it (verdict: fail)
InputError
└── ScenarioError            a scenario file is wrong: file, line, key, what was expected (exit status 2)
"""

from __future__ import annotations

from bodydouble.errors import BodydoubleError, InputError


class LabError(BodydoubleError):
    """The lab could not carry out a step; the run's verdict is ``invalid``, never ``pass``."""


class FaultError(LabError):
    """No independent witness saw the requested fault happen, or heal."""


class UnmetError(BodydoubleError):
    """The product refused a request of the scenario, or did not reach in time what was waited for."""


class ScenarioError(InputError):
    """A scenario file is wrong.

    Attributes:
        file: the scenario file.
        line: 1-based line of the offending key or value, 0 when the file as a whole is meant.
        key: dotted path of the offending key (``timeline[3].on``).
    """

    def __init__(self, file: str, line: int, key: str, problem: str) -> None:
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {key}: {problem}" if key else f"{place}: {problem}")
        self.file = file
        self.line = line
        self.key = key
