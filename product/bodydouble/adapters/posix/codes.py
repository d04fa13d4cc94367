"""errno to the codes of `FileSystemError`."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError, PathError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODES = {
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_found",
    errno.EEXIST: "exists",
    errno.ENOTEMPTY: "not_empty",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "too_large",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.EISDIR: "denied",
    errno.ELOOP: "denied",
    errno.ENOTSUP: "denied",
    errno.ETXTBSY: "denied",
    errno.ENXIO: "denied",
}


def translated(error: OSError, path: str) -> FileSystemError:
    """The product's error for a failed system call on ``path``."""
    number = error.errno or 0
    return FileSystemError(_CODES.get(number, "io"), path, os.strerror(number))


@contextmanager
def on_path(path: str) -> Iterator[None]:
    """Turn what a system call of the body raises into a `FileSystemError` about ``path``.

    Raises:
        FileSystemError: the call failed, or Python refused its arguments: a number that the system has no room for, a
            NUL in a name, a path that this host has not.
    """
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error
    except (OverflowError, ValueError, PathError) as error:
        raise FileSystemError("denied", path, str(error)) from error
