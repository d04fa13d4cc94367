"""How a dead machine's coroutines are disposed of without running any of their code.

Dropping a suspended coroutine throws GeneratorExit into it, so its ``finally`` and ``with`` blocks run: the code of a
machine whose power was cut would wake for a moment when the world closes. CPython skips that for a frame marked as
completed and still releases what the frame holds. Marking is one byte of the object; a self-test at import finds out
whether this interpreter keeps the byte where we expect it. Elsewhere such coroutines are closed the ordinary way,
with whatever they raise swallowed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import types
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATE_OFFSET = 75  # PyGenObject.gi_frame_state in CPython 3.11 and 3.12, 64 bit
_SUSPENDED = -1
_COMPLETED = 1
_FRAMES = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
_CARRIERS = frozenset(
    {
        *_FRAMES,
        types.MethodType,
        tuple,
        list,
        dict,
        deque,
        contextlib._GeneratorContextManager,  # noqa: SLF001 - what a `with` of a generator leaves on the stack
        contextlib._AsyncGeneratorContextManager,  # noqa: SLF001
        contextlib.ExitStack,
        contextlib.AsyncExitStack,
    }
)
"""Looked for among a type's bases: some of these are abstract classes, which `isinstance` asks in Python."""
_DEPTH = 12
_CLOSE_ATTEMPTS = 50


def _state(frame: object) -> ctypes.c_int8:
    return ctypes.c_int8.from_address(id(frame) + _STATE_OFFSET)


def _marking_works() -> bool:
    """Try the marking on a generator with a ``finally`` of our own."""
    woken: list[bool] = []

    def sleeper() -> Any:
        try:
            yield
        finally:
            woken.append(True)

    frame = sleeper()
    next(frame)
    if _state(frame).value != _SUSPENDED:
        return False
    _state(frame).value = _COMPLETED
    del frame
    return not woken


CAN_RETIRE = _marking_works()


def retire(roots: Iterable[object]) -> None:
    """Make every suspended coroutine or generator held by ``roots`` end without running any of its code."""
    queue: deque[tuple[object, int]] = deque((root, 0) for root in roots)
    seen: dict[int, object] = {}
    while queue:
        item, depth = queue.popleft()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, _FRAMES):
            _retire_frame(item)
        if depth < _DEPTH:
            queue.extend((next_, depth + 1) for next_ in gc.get_referents(item) if _carries(next_))


def _carries(item: object) -> bool:
    return not _CARRIERS.isdisjoint(type(item).__mro__)


def _retire_frame(frame: Any) -> None:
    if CAN_RETIRE:
        if _state(frame).value < 0:
            _state(frame).value = _COMPLETED
        return
    close = getattr(frame, "close", None)
    if close is None:
        return
    for _ in range(_CLOSE_ATTEMPTS):
        with contextlib.suppress(BaseException):
            close()
            return
