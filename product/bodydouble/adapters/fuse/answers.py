"""How handlers answer the kernel: errors as errno, attributes that it must not cache."""

from __future__ import annotations

import asyncio
import errno
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from bodydouble.adapters.posix.names import decoded

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Coroutine

    from bodydouble.adapters.fuse.nodes import Node

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


def answering(
    handler: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Give the kernel an answer whatever happens in a handler: a request without one would hang its application."""

    @wraps(handler)
    async def answered(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(self, *args, **kwargs)
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from None
        except pyfuse3.FUSEError:
            raise
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the filter failed in {handler.__name__}", "exception": error}
            )
            raise pyfuse3.FUSEError(errno.EIO) from error

    return answered


def attributes(node: Node, status: os.stat_result) -> pyfuse3.EntryAttributes:
    """A node's attributes; nothing of them may be cached, since the product changes files beneath the mount."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = node.number
    entry.generation = 0
    entry.entry_timeout = entry.attr_timeout = 0
    entry.st_mode, entry.st_nlink = status.st_mode, status.st_nlink
    entry.st_uid, entry.st_gid, entry.st_rdev = status.st_uid, status.st_gid, status.st_rdev
    entry.st_size, entry.st_blksize, entry.st_blocks = status.st_size, status.st_blksize, status.st_blocks
    entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
    return entry


def new_name(name: bytes) -> str:
    """A name that is about to be given to something.

    Raises:
        FUSEError: EINVAL when product form cannot say it, which would leave the file unreplicated.
    """
    text = decoded(name)
    if text is None:
        raise pyfuse3.FUSEError(errno.EINVAL)
    return text


def known_name(name: bytes) -> str:
    """A name that something may have.

    Raises:
        FUSEError: ENOENT when product form cannot say it.
    """
    text = decoded(name)
    if text is None:
        raise pyfuse3.FUSEError(errno.ENOENT)
    return text
