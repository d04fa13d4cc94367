"""The registry: keys by path, named values, and keys that do not survive a boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | list[str]
Dump = dict[str, dict[str, Value]]

SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
COMPUTER_NAME = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName"
ACTIVE_COMPUTER_NAME = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName"
MACHINE = r"HKLM\SECURITY\SAM\Domains\Account"
INETSTP = r"HKLM\SOFTWARE\Microsoft\InetStp"


class _Key:
    def __init__(self, path: str, *, volatile: bool) -> None:
        self.path = path
        self.volatile = volatile
        self.values: dict[str, tuple[str, Value]] = {}


class Registry:
    """Keys and values, both found without regard to case and kept as written.

    A write is durable at once (the lazy flush of hives, about 5 s on Windows, is not modelled); volatile keys
    (REG_OPTION_VOLATILE) are gone after `boot`.
    """

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}

    def get(self, key: str, name: str) -> Value | None:
        """A value, or None when key or value does not exist."""
        found = self._keys.get(key.upper())
        value = found.values.get(name.upper()) if found else None
        return None if value is None else value[1]

    def text(self, key: str, name: str, default: str = "") -> str:
        """A string value; ``default`` when it is missing or of another type."""
        value = self.get(key, name)
        return value if isinstance(value, str) else default

    def set(self, key: str, name: str, value: Value, *, volatile: bool = False) -> None:
        """Set a value; ``volatile`` counts when this makes the key."""
        found = self._keys.setdefault(key.upper(), _Key(key, volatile=volatile))
        found.values[name.upper()] = (name, value)

    def delete(self, key: str) -> None:
        """Delete a key and all keys beneath it; nothing happens when it is not there."""
        upper = key.upper()
        for known in [path for path in self._keys if path == upper or path.startswith(upper + "\\")]:
            del self._keys[known]

    def subkeys(self, key: str) -> list[str]:
        """Names of the keys directly beneath ``key``, in the order in which they were made."""
        prefix = key.upper() + "\\"
        names = {
            path[len(prefix) :].partition("\\")[0]: entry.path[len(prefix) :].partition("\\")[0]
            for path, entry in self._keys.items()
            if path.startswith(prefix)
        }
        return list(names.values())

    def boot(self) -> None:
        """Drop the volatile keys."""
        for path in [path for path, key in self._keys.items() if key.volatile]:
            del self._keys[path]

    def dump(self) -> Dump:
        """The keys that survive, ready for JSON."""
        return {key.path: dict(key.values.values()) for key in self._keys.values() if not key.volatile}

    def load(self, dump: Mapping[str, Mapping[str, Value]]) -> None:
        """Replace everything by what `dump` returned."""
        self._keys.clear()
        for path, values in dump.items():
            for name, value in values.items():
                self.set(path, name, value)
