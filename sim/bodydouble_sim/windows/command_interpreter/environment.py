"""Environment variables: found without regard to case, listed as they were first written."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.limits import ENVIRONMENT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping


class EnvironmentFullError(Exception):
    """The block of variables is full: 65,536 characters, names and values together."""


class Environment(MutableMapping[str, str]):
    """The variables of one interpreter.

    Args:
        values: to begin with.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        self._size = 0
        for name, value in (values or {}).items():
            self[name] = value

    def __getitem__(self, name: str) -> str:
        return self._values[name.upper()][1]

    def __setitem__(self, name: str, value: str) -> None:
        key = name.upper()
        written, old = self._values.get(key, (name, ""))
        size = self._size + len(value) - len(old) + (0 if key in self._values else len(name) + 2)
        if size > ENVIRONMENT_LIMIT:
            raise EnvironmentFullError
        self._size = size
        self._values[key] = (written, value)

    def __delitem__(self, name: str) -> None:
        written, value = self._values.pop(name.upper())
        self._size -= len(written) + 2 + len(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def listing(self, prefix: str = "") -> list[str]:
        """``NAME=value`` of the variables whose names begin with ``prefix``, sorted."""
        keys = sorted(key for key in self._values if key.startswith(prefix.upper()))
        return [f"{self._values[key][0]}={self._values[key][1]}" for key in keys]

    def copy(self) -> Environment:
        """The same variables, apart from these."""
        made = Environment()
        made._values, made._size = dict(self._values), self._size
        return made
