"""Write locks of WebDAV (RFC 2518, 6 and 7): who may change a resource. They live in the service's memory."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_sim.iis.http_status import RefusalError

if TYPE_CHECKING:
    import random

_TOKEN = re.compile(r"<(opaquelocktoken:[^>\s]+)>")
_SECONDS = re.compile(r"Second-(\d{1,9})", re.IGNORECASE)
DEFAULT_TIMEOUT = 180
LONGEST_TIMEOUT = 86_400
MAX_LOCKS = 10_000


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock.

    Attributes:
        token: names it.
        path: the URL path that is locked, without a slash at its end, in lower case.
        exclusive: whether nobody else may lock it.
        deep: whether all beneath it is locked too.
        owner: what the client said about itself, as XML text.
        seconds: how long it lasts from its last refresh.
        until: on the loop's clock.
    """

    token: str
    path: str
    exclusive: bool
    deep: bool
    owner: str
    seconds: int
    until: float

    def covers(self, path: str) -> bool:
        """Whether the resource at ``path`` is locked by it."""
        return path == self.path or (self.deep and path.startswith(f"{self.path}/"))


class Locks:
    """The locks of a service.

    Args:
        random: where tokens come from.
    """

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self._locks: dict[str, Lock] = {}

    def on(self, path: str) -> list[Lock]:
        """The locks that cover a URL path now."""
        now, key = asyncio.get_running_loop().time(), _key(path)
        for token in [token for token, lock in self._locks.items() if lock.until <= now]:
            del self._locks[token]
        return [lock for lock in self._locks.values() if lock.covers(key)]

    def allows(self, path: str, tokens: list[str]) -> bool:
        """Whether a client that names ``tokens`` may change the resource."""
        locks = self.on(path) if self._locks else []
        return not locks or any(lock.token in tokens for lock in locks)

    def add(self, path: str, *, exclusive: bool, deep: bool, owner: str, seconds: int) -> Lock:
        """Lock a resource.

        Raises:
            RefusalError: 423 when another lock is in the way, 507 when there are too many.
        """
        present = self.on(path)
        key = _key(path)
        if deep:
            present += [lock for lock in self._locks.values() if lock.path.startswith(f"{key}/")]
        if present and (exclusive or any(lock.exclusive for lock in present)):
            raise RefusalError(423)
        if len(self._locks) >= MAX_LOCKS:
            raise RefusalError(507)
        digits = f"{self._random.getrandbits(128):032x}"
        token = "opaquelocktoken:" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        until = asyncio.get_running_loop().time() + seconds
        lock = self._locks[token] = Lock(token, key, exclusive, deep, owner, seconds, until)
        return lock

    def refresh(self, path: str, tokens: list[str], seconds: int) -> Lock:
        """Make a lock last longer.

        Raises:
            RefusalError: 412 when none of the tokens locks the resource.
        """
        for lock in self.on(path):
            if lock.token in tokens:
                until = asyncio.get_running_loop().time() + seconds
                renewed = Lock(lock.token, lock.path, lock.exclusive, lock.deep, lock.owner, seconds, until)
                self._locks[lock.token] = renewed
                return renewed
        raise RefusalError(412)

    def remove(self, path: str, token: str) -> None:
        """Unlock.

        Raises:
            RefusalError: 412 when the token locks something else, or nothing.
        """
        if token not in [lock.token for lock in self.on(path)]:
            raise RefusalError(412)
        del self._locks[token]

    def forget(self, path: str) -> None:
        """The resource is gone: so are the locks on it and beneath it."""
        key = _key(path)
        gone = [token for token, lock in self._locks.items() if lock.path == key or lock.path.startswith(f"{key}/")]
        for token in gone:
            del self._locks[token]


def _key(path: str) -> str:
    return path.rstrip("/").lower()


def tokens(headers: dict[str, str]) -> list[str]:
    """The lock tokens that a request names in its If header."""
    return _TOKEN.findall(headers.get("if", ""))


def token_of(headers: dict[str, str]) -> str:
    """The token in a request's Lock-Token header.

    Raises:
        RefusalError: 400 without one.
    """
    match = _TOKEN.fullmatch(headers.get("lock-token", "").strip())
    if match is None:
        raise RefusalError(400)
    return match[1]


def timeout_of(headers: dict[str, str]) -> int:
    """How long the lock is to last, in seconds (Timeout header; no lock lasts for ever)."""
    text = headers.get("timeout", "")
    match = _SECONDS.search(text)
    if match is not None:
        return max(1, min(int(match[1]), LONGEST_TIMEOUT))
    return LONGEST_TIMEOUT if "infinite" in text.lower() else DEFAULT_TIMEOUT
