"""The simulator's branch of the error tree.

BodydoubleError
└── SimulationError          the simulator was used in a way it does not model, or a run cannot go on
    ├── RefusedError         a call that a simulated machine cannot serve (signals, subprocesses, descriptors, threads)
    ├── DeadlockError        nothing is scheduled and the main coroutine is not done
    ├── TapeError            a decision tape cannot be read, or the run does not follow it
    ├── StalledError         callbacks keep one virtual instant alive for ever
    ├── ConfigurationError   parts of a network contradict each other; the message names both places
    ├── FilterError          a filter expression is none, or what compiles it is missing
    ├── MachineStateError    power, cable or identity request that does not fit the machine's present state
    ├── SecurityTextError    a security descriptor is not SDDL
    ├── XmlError             a document from outside is no XML, or not the plain kind that is read
    └── DuplicateName        another machine answered for a NetBIOS name (also a DuplicateIdentityError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, DuplicateIdentityError

if TYPE_CHECKING:
    from bodydouble_sim.network.configuration import Spot


class SimulationError(BodydoubleError):
    """The simulator was used in a way that it does not model, or a run cannot go on."""


class RefusedError(SimulationError, NotImplementedError):
    """A call that has no meaning on a simulated machine; the message names it and the way out.

    It is a ``NotImplementedError``, which asyncio's own loops raise for what they lack, so that a library's fall-back
    for such loops works here too (and a ``RuntimeError``, its base).
    """


class DeadlockError(SimulationError):
    """Nothing is scheduled any more and the main coroutine is not done: it would wait for ever."""


class TapeError(SimulationError):
    """A decision tape cannot be read, or the run that should follow it has other choices than it recorded."""


class StalledError(SimulationError):
    """Callbacks schedule callbacks without end and virtual time cannot advance."""


class MachineStateError(SimulationError):
    """A request that does not fit the machine's state (power it on twice, plug an unknown adapter, ...)."""


class SecurityTextError(SimulationError):
    """Text that should be a security descriptor is not SDDL."""


class XmlError(SimulationError):
    """A document from outside is no XML, has a document type, or is too large or too deep."""


class ConfigurationError(SimulationError):
    """Parts of a network that contradict each other (an address outside its subnet, one MAC twice, ...).

    Attributes:
        problem: the message without the place that it begins with.
        spot: which value is wrong; None where it is not one of a plan's.
        other: which value it contradicts, if it is one.
    """

    def __init__(self, message: str, *, problem: str = "", spot: Spot | None = None, other: Spot | None = None) -> None:
        super().__init__(message)
        self.problem = problem or message
        self.spot = spot
        self.other = other


class FilterError(SimulationError):
    """A filter expression for frames that is none, or cannot be compiled here; the message says why."""


class DuplicateName(SimulationError, DuplicateIdentityError):  # noqa: N818 - the term of RFC 1001 and of Windows
    """Another machine on the segment answered for the NetBIOS name."""
