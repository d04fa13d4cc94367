"""Directories held open from before anything was mounted over them.

The FUSE filter mounts over the protected directory itself. Whoever opened the directory first still reaches what lies
underneath. The product's own file system resolves paths from here, so that its changes do not pass through the filter:
they are not reported.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bodydouble.errors import PathError
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.operations import AnyOperation

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Backing:
    """Root directories by product path, each with an open file descriptor. ``/`` is always one of them.

    Attributes:
        on_change: called in a pool thread with what the product has carried out, for whoever mounted over the roots.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[Sequence[AnyOperation]], None] | None = None
        self._roots: dict[str, int] = {"/": os.open("/", DIRECTORY)}

    def adopt(self, root: str, fd: int) -> None:
        """Resolve paths beneath ``root`` through this descriptor from now on; it belongs to the backing from here."""
        held = self._roots.pop(root, None)
        if held is not None:
            os.close(held)
        self._roots[root] = fd

    def resolve(self, path: str) -> tuple[int, list[str]]:
        """The descriptor to start from and the components to walk; none when ``path`` is a held root.

        Raises:
            PathError: ``path`` is not in product form, or is a drive path, which this host does not have.
        """
        paths.check(path)
        if not path.startswith("/"):
            raise PathError(f"{path!r}: this host has no drives, expected a path like /srv/www")
        root = max((root for root in self._roots if paths.is_beneath(path, root)), key=len)
        rest = path[len(root) :].strip("/")
        return self._roots[root], rest.split("/") if rest else []

    def close(self) -> None:
        """Let go of every directory."""
        for fd in self._roots.values():
            os.close(fd)
        self._roots.clear()
