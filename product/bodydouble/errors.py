"""Every error that Bodydouble raises on purpose, in one tree.

BodydoubleError
├── InputError                 a file, key, argument or request is wrong (exit status 2)
├── PathError                  a path is malformed, too long or leaves the place it must stay in
├── FileSystemError            an operation on a volume failed; its code says how
├── FilterError                changes under a path cannot be intercepted
├── IdentityError              a name or an address could not be added, removed or read
│   └── DuplicateIdentityError somebody else on the network already answers for it
├── ServiceError               a service could not be queried, started or stopped
├── ShareError                 a directory could not be shared on the network, or its share not be removed
│   └── DuplicateShareError    the name is shared, with another directory
├── ScriptError                a script could not be run (a script that ran and failed is a result, not an error)
├── ProtocolError              a replication peer sent what the protocol does not allow
├── PairingError               two machines were not paired, and neither believes it
├── ConnectionStateError       the requested action does not fit the connection's or the monitor's state
├── StateError                 the product's own files on disk cannot be understood
└── ControlError               the control API answered with an error (client side)
    └── UnreachableError       no answer at all

Simulator and lab add their own branches under the same root.
"""

from __future__ import annotations

import os
from ssl import SSLError


def reason_of(error: Exception) -> str:
    """What an error says; if it is the system's, the system's own words without what Python and asyncio add."""
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, SSLError):  # numbers of its own
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
    return str(error) or type(error).__name__


class BodydoubleError(Exception):
    """Root of the tree: catch this to catch every error that Bodydouble raises on purpose."""


class InputError(BodydoubleError):
    """Input from outside is wrong; the message names the place, what was expected and what to do."""


class PathError(BodydoubleError):
    """A path is malformed, too long, or would leave the directory it has to stay beneath."""


class FileSystemError(BodydoubleError):
    """An operation on a volume failed.

    Attributes:
        code: ``not_found``, ``exists``, ``not_empty``, ``no_space``, ``too_large`` (no file there can be so long,
            whatever space there is), ``denied``, ``sharing`` (another process has the file open and does not share
            it) or ``io``.
        path: the path concerned, in product form.
        detail: what the system says, for people.
        done: how many operations of the batch that failed had been carried out before, and stay so.
    """

    def __init__(self, code: str, path: str, detail: str = "", *, done: int = 0) -> None:
        super().__init__(f"{path}: {code}" + (f" ({detail})" if detail else ""))
        self.code = code
        self.path = path
        self.detail = detail
        self.done = done


class FilterError(BodydoubleError):
    """Changes under a path cannot be intercepted (no such root, or the filter is not loaded)."""


class IdentityError(BodydoubleError):
    """A name or an address could not be added, removed or read."""


class DuplicateIdentityError(IdentityError):
    """Another machine on the network already answers for the name or the address."""


class ServiceError(BodydoubleError):
    """A service could not be queried, started or stopped; the message is the system's own."""


class ShareError(BodydoubleError):
    """A directory could not be shared on the network, its share not be removed, or the shares not be listed."""


class DuplicateShareError(ShareError):
    """The host shares another directory by that name."""


class ScriptError(BodydoubleError):
    """A script could not be run at all: missing, unreadable, no interpreter for its suffix."""


class ProtocolError(BodydoubleError):
    """A replication peer sent a frame that the protocol does not allow at this point."""


class PairingError(BodydoubleError):
    """Two machines could not be paired, or a machine is not paired that has to be; the message says what to do."""


class ConnectionStateError(BodydoubleError):
    """The requested action does not fit the present state; the message says which state and what to do first."""


class StateError(BodydoubleError):
    """The product's own state on disk cannot be understood by this version."""


class ControlError(BodydoubleError):
    """The control API refused a request.

    Attributes:
        status: the HTTP status of the answer, 0 when there was none.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class UnreachableError(ControlError):
    """The control API gave no answer: host down, network cut, or the daemon is not running."""

    def __init__(self, detail: str) -> None:
        super().__init__(0, detail)
