"""A host name of its own: code in a thread that has left this machine's UTS namespace. Needs root."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NEW_UTS = 0x04000000


def in_own_namespace(action: Callable[[], None]) -> None:
    """Do ``action`` where the host name is nobody else's; threads that it starts are there, too."""
    failures: list[BaseException] = []

    def inside() -> None:
        try:
            assert ctypes.CDLL(None, use_errno=True).unshare(_NEW_UTS) == 0, "unshare needs root"
            action()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=inside, name="own host name")
    thread.start()
    thread.join()
    for failure in failures:
        raise failure
