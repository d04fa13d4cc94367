"""Telling the filter program what the product itself has changed beneath its mounts: the kernel remembers the old."""

from __future__ import annotations

import select
import threading
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import paths_of
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Sequence

    from bodydouble.vocabulary.operations import AnyOperation

_MOST_BYTES = 60_000
_PATIENCE = 5.0


class Staleness:
    """Says what is stale, and waits until the kernel has forgotten it. Used in pool threads.

    Should the program not answer, the kernel's memory ends by itself a second later.

    Args:
        line: the connection to the program.
        roots: the protected directories, in the program's order.
    """

    def __init__(self, line: socket.socket, roots: Sequence[str]) -> None:
        self._line = line
        self._roots = roots
        self._numbers = count(1)
        self._awaited: dict[int, Future[None]] = {}
        self._lock = threading.Lock()

    def changed(self, operations: Sequence[AnyOperation]) -> None:
        """The product has carried these out."""
        named = {path: None for operation in operations for path in paths_of(operation)}
        for lines in _parts(self._lines(named)):
            self._forget(lines)

    def _lines(self, named: Iterable[str]) -> Iterator[str]:
        for path in named:
            for number, root in enumerate(self._roots):
                if is_beneath(path, root):
                    yield f"{number} {path[len(root) + 1 :]}"

    def _forget(self, lines: list[str]) -> None:
        done: Future[None] = Future()
        with self._lock:
            number = next(self._numbers)
            self._awaited[number] = done
        try:
            with suppress(OSError, TimeoutError, ValueError):  # the last: the line is closed
                select.select([], [self._line], [], _PATIENCE)
                self._line.send("\n".join([f"stale {number}", *lines]).encode())
                done.result(_PATIENCE)
        finally:
            with self._lock:
                self._awaited.pop(number, None)

    def answered(self, number: int) -> None:
        """The program has done what was asked for with that number."""
        with self._lock:
            done = self._awaited.get(number)
        if done is not None:
            done.set_result(None)


def _parts(lines: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for line in lines:
        if size > _MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(line)
        size += 4 * len(line) + 1
    if part:
        yield part
