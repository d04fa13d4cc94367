"""The registry: hives, keys by path, typed values, volatile keys, and what a power cut takes.

Source: reference/windows-iis.md, "Names" (the active name is in a volatile key); Microsoft, RegFlushKey: changes are
written by a lazy flusher some time after they were made and at an orderly shutdown, RegFlushKey makes them durable at
once (KB 2784761 says what a power cut takes: modifications not yet flushed). The five seconds are Windows NT's
(CmpLazyFlushIntervalInSeconds). A hive's log makes its flush atomic, so a power cut takes all unflushed changes of a
hive or none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = str | int | bytes | list[str]
ValueType = Literal["REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_DWORD", "REG_BINARY"]
Dump = dict[str, dict[str, tuple[ValueType, str | int | list[str]]]]

CONTROL = r"HKLM\SYSTEM\CurrentControlSet\Control"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
COMPUTER_NAME = rf"{CONTROL}\ComputerName\ComputerName"
ACTIVE_COMPUTER_NAME = rf"{CONTROL}\ComputerName\ActiveComputerName"
PRODUCT_OPTIONS = rf"{CONTROL}\ProductOptions"
SELECT = r"HKLM\SYSTEM\Select"
CURRENT_VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
MACHINE = r"HKLM\SECURITY\SAM\Domains\Account"
INETSTP = r"HKLM\SOFTWARE\Microsoft\InetStp"

LAZY_FLUSH = 5_000_000_000
"""Nanoseconds from a hive's first unflushed change to its flush."""

_CURRENT = "HKLM\\SYSTEM\\CURRENTCONTROLSET"
_ROOTS = {
    "HKEY_LOCAL_MACHINE": "HKLM",
    "HKEY_USERS": "HKU",
    "HKEY_CLASSES_ROOT": "HKCR",
    "HKEY_CURRENT_CONFIG": "HKCC",
    "HKEY_CURRENT_USER": "HKCU",
}
_LINKS = {
    "HKCR": r"HKLM\SOFTWARE\Classes",
    "HKCC": r"HKLM\SYSTEM\CurrentControlSet\Hardware Profiles\Current",
    "HKCU": r"HKU\.DEFAULT",
    "HKLM\\SECURITY\\SAM": r"HKLM\SAM\SAM",
}
_VOLATILE_HIVE = "HKLM\\HARDWARE"
_DWORD = 2**32
_HIVE_PARTS = 2


class RegistryError(InputError):
    """A value or key that the registry does not take; the message says what it takes."""


@dataclass(slots=True)
class _Key:
    path: str
    volatile: bool
    values: dict[str, tuple[str, ValueType, Value]] = field(default_factory=dict)

    def copy(self) -> _Key:
        return _Key(self.path, self.volatile, dict(self.values))


@dataclass(slots=True)
class _Dirty:
    """Unflushed changes of a hive: since when, and its changed keys as they are on the disk (None: not there)."""

    since: int
    before: dict[str, _Key | None] = field(default_factory=dict)


class Registry:
    """Keys and values, both found without regard to case and kept as written.

    Paths begin with HKLM, HKU, HKCR, HKCC or HKCU (the local system's), or with those roots' long names;
    ``CurrentControlSet`` is the control set that ``Select`` names.

    Args:
        clock: nanoseconds on a clock that nobody sets; the lazy flush follows it. Without one nothing is flushed
            before `flush`.
    """

    def __init__(self, clock: Callable[[], int] = lambda: 0) -> None:
        self.clock = clock
        self._keys: dict[str, _Key] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._dirty: dict[str, _Dirty] = {}
        self._known: dict[str, str] = {}
        self._control_set = 1

    # --- paths ------------------------------------------------------------------------------------------------------

    def canonical(self, key: str) -> str:
        """The path with short root, links followed and the control set's own name."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._resolved(key.strip("\\"))
        return known

    def _resolved(self, key: str) -> str:
        root, _, rest = key.partition("\\")
        path = _ROOTS.get(root.upper(), root) + ("\\" + rest if rest else "")
        for link, target in _LINKS.items():
            if _within(path.upper(), link):
                path = target + path[len(link) :]
        if _within(path.upper(), _CURRENT):
            path = rf"HKLM\SYSTEM\{self._set_name(self._control_set)}" + path[len(_CURRENT) :]
        return path

    @staticmethod
    def _set_name(number: int) -> str:
        return f"ControlSet{number:03}"

    # --- reading ----------------------------------------------------------------------------------------------------

    def _find(self, key: str) -> _Key | None:
        return self._keys.get(self.canonical(key).upper())

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        return self._find(key) is not None

    def get(self, key: str, name: str) -> Value | None:
        """A value, or None when key or value does not exist."""
        found = self._find(key)
        value = found.values.get(name.upper()) if found else None
        return None if value is None else value[2]

    def type_of(self, key: str, name: str) -> ValueType | None:
        """The type of a value, or None when it does not exist."""
        found = self._find(key)
        value = found.values.get(name.upper()) if found else None
        return None if value is None else value[1]

    def text(self, key: str, name: str, default: str = "") -> str:
        """A string value; ``default`` when it is missing or of another type."""
        value = self.get(key, name)
        return value if isinstance(value, str) else default

    def number(self, key: str, name: str, default: int = 0) -> int:
        """A DWORD; ``default`` when it is missing or of another type."""
        value = self.get(key, name)
        return value if isinstance(value, int) else default

    def strings(self, key: str, name: str) -> list[str]:
        """A MULTI_SZ; empty when it is missing or of another type."""
        value = self.get(key, name)
        return list(value) if isinstance(value, list) else []

    def values(self, key: str) -> dict[str, tuple[ValueType, Value]]:
        """All values of a key by name, in the order in which they were made; nothing when there is no such key."""
        found = self._find(key)
        return {name: (kind, value) for name, kind, value in found.values.values()} if found else {}

    def subkeys(self, key: str) -> list[str]:
        """Names of the keys directly beneath ``key``, in the order in which they were made."""
        below = self._children.get(self.canonical(key).upper(), {})
        return [self._keys[child].path.rpartition("\\")[2] for child in below]

    # --- writing ----------------------------------------------------------------------------------------------------

    def create(self, key: str, *, volatile: bool = False) -> None:
        """Make a key and what is missing above it; one that is there stays as it is.

        Raises:
            RegistryError: a lasting key beneath a volatile one.
        """
        self._made(self.canonical(key), volatile=volatile)

    def _made(self, path: str, *, volatile: bool) -> _Key:
        upper = path.upper()
        found = self._keys.get(upper)
        if found is not None:
            return found
        parent = path.rpartition("\\")[0]
        volatile = volatile or _within(upper, _VOLATILE_HIVE)
        if parent:
            above = self._made(parent, volatile=volatile and parent.count("\\") >= _HIVE_PARTS)
            if above.volatile and not volatile:
                raise RegistryError(f"{path}: a key beneath a volatile key must be volatile (error 1021)")
        self._touch(upper, volatile=volatile)
        made = _Key(path, volatile)
        self._insert(upper, made)
        return made

    def _insert(self, upper: str, key: _Key) -> None:
        self._keys[upper] = key
        parent = upper.rpartition("\\")[0]
        if parent:
            self._children.setdefault(parent, {})[upper] = None

    def _drop(self, upper: str) -> None:
        self._keys.pop(upper, None)
        self._children.get(upper.rpartition("\\")[0], {}).pop(upper, None)

    def set(self, key: str, name: str, value: Value, *, kind: ValueType | None = None, volatile: bool = False) -> None:
        """Set a value.

        Args:
            key: is made when missing.
            name: empty for the key's default value.
            value: its data.
            kind: its type; when None what fits ``value``: REG_SZ, REG_DWORD, REG_MULTI_SZ or REG_BINARY.
            volatile: counts when this makes the key.

        Raises:
            RegistryError: the data does not fit the type, or a lasting key beneath a volatile one.
        """
        kind = _checked(name, kind or _type_for(value), value)
        made = self._made(self.canonical(key), volatile=volatile)
        upper = made.path.upper()
        self._touch(upper, volatile=made.volatile)
        made.values[name.upper()] = (name, kind, value)

    def delete_value(self, key: str, name: str) -> bool:
        """Delete a value; whether it was there."""
        found = self._find(key)
        if found is None or name.upper() not in found.values:
            return False
        self._touch(found.path.upper(), volatile=found.volatile)
        del found.values[name.upper()]
        return True

    def delete(self, key: str) -> None:
        """Delete a key and all keys beneath it; nothing happens when it is not there."""
        upper = self.canonical(key).upper()
        for child in list(self._children.get(upper, ())):
            self.delete(self._keys[child].path)
        found = self._keys.get(upper)
        if found is not None:
            self._touch(upper, volatile=found.volatile)
            self._drop(upper)

    def copy_tree(self, source: str, target: str) -> None:
        """Make ``target`` what ``source`` is; volatile keys are left out."""
        self.delete(target)
        begin, end = self.canonical(source), self.canonical(target)
        for key in self._tree(begin.upper()):
            if not key.volatile:
                copied = self._made(end + key.path[len(begin) :], volatile=False)
                copied.values = dict(key.values)

    def _tree(self, upper: str) -> list[_Key]:
        found = self._keys.get(upper)
        if found is None:
            return []
        return [found, *(key for child in self._children.get(upper, ()) for key in self._tree(child))]

    # --- the disk ---------------------------------------------------------------------------------------------------

    def _touch(self, upper: str, *, volatile: bool) -> None:
        """Before a change of a key: remember what the disk has of it."""
        if volatile:
            return
        hive = _hive(upper)
        now = self.clock()
        dirty = self._dirty.get(hive)
        if dirty is None or now - dirty.since >= LAZY_FLUSH:
            dirty = self._dirty[hive] = _Dirty(now)
        if upper not in dirty.before:
            present = self._keys.get(upper)
            dirty.before[upper] = None if present is None or present.volatile else present.copy()

    def flush(self, key: str = "") -> None:
        """RegFlushKey: the changes of the key's whole hive are on the disk now; of all hives without a key."""
        if key:
            self._dirty.pop(_hive(self.canonical(key).upper()), None)
        else:
            self._dirty.clear()

    def power_loss(self) -> int:
        """Go back to what the disk has: unflushed changes and volatile keys are gone; how many keys changed."""
        now = self.clock()
        lost = [dirty.before for dirty in self._dirty.values() if now - dirty.since < LAZY_FLUSH]
        self._dirty.clear()
        for before in lost:
            for upper, key in before.items():
                if key is None:
                    self._drop(upper)
                elif upper in self._keys:
                    self._keys[upper] = key
                else:
                    self._insert(upper, key)
        self.boot()
        return sum(len(before) for before in lost)

    def boot(self) -> None:
        """Drop the volatile keys; use the control set that ``Select`` has as the default."""
        for path in [path for path, key in self._keys.items() if key.volatile]:
            self._drop(path)
        self.use_control_set(self.number(SELECT, "Default", 1))

    # --- control sets -----------------------------------------------------------------------------------------------

    @property
    def control_set(self) -> int:
        """The number of the control set in use."""
        return self._control_set

    def use_control_set(self, number: int) -> None:
        """Make ``CurrentControlSet`` that control set."""
        if number != self._control_set:
            self._control_set = number
            self._known.clear()

    def accept_boot(self) -> None:
        """The boot was good: what is in use becomes the default, and LastKnownGood a copy of it."""
        number = self._control_set
        good = self.number(SELECT, "LastKnownGood", number)
        good = good if good != number else number % 2 + 1
        self.copy_tree(rf"HKLM\SYSTEM\{self._set_name(number)}", rf"HKLM\SYSTEM\{self._set_name(good)}")
        for name, value in (("Current", number), ("Default", number), ("LastKnownGood", good)):
            self.set(SELECT, name, value)

    def revert(self) -> bool:
        """Boot with LastKnownGood: it is used from now on, the present set counts as failed; False: there is none."""
        good = self.number(SELECT, "LastKnownGood")
        if not good:
            return False
        failed = self._control_set
        for name, value in (("Current", good), ("Default", good), ("Failed", failed)):
            self.set(SELECT, name, value)
        self.use_control_set(good)
        return True

    # --- as a whole -------------------------------------------------------------------------------------------------

    def dump(self) -> Dump:
        """The keys that survive, ready for JSON: binary data in hexadecimal."""
        return {
            key.path: {
                name: (kind, value.hex() if isinstance(value, bytes) else value)
                for name, kind, value in key.values.values()
            }
            for key in self._keys.values()
            if not key.volatile and "\\" in key.path
        }

    def load(self, dump: Mapping[str, Mapping[str, tuple[ValueType, str | int | list[str]]]]) -> None:
        """Replace everything by what `dump` returned.

        Raises:
            RegistryError: a value that does not fit its type.
        """
        self._keys.clear()
        self._children.clear()
        for path, values in dump.items():
            self._made(path, volatile=False)
            for name, (kind, value) in values.items():
                self.set(path, name, _parsed(name, value) if kind == "REG_BINARY" else value, kind=kind)
        self._dirty.clear()
        self.use_control_set(self.number(SELECT, "Default", 1))


def _within(upper: str, prefix: str) -> bool:
    return upper == prefix or upper.startswith(prefix + "\\")


def _hive(upper: str) -> str:
    """The root and the first component: what Windows keeps in one file."""
    return "\\".join(upper.split("\\", _HIVE_PARTS)[:_HIVE_PARTS])


def _type_for(value: Value) -> ValueType:
    if isinstance(value, str):
        return "REG_SZ"
    if isinstance(value, int):
        return "REG_DWORD"
    return "REG_BINARY" if isinstance(value, bytes) else "REG_MULTI_SZ"


def _checked(name: str, kind: ValueType, value: Value) -> ValueType:
    fits = _type_for(value) == ("REG_SZ" if kind == "REG_EXPAND_SZ" else kind)
    if not fits or (isinstance(value, int) and not 0 <= value < _DWORD):
        raise RegistryError(f"{name or '(default)'}: {value!r} does not fit {kind}")
    return kind


def _parsed(name: str, value: str | int | list[str]) -> bytes:
    try:
        return bytes.fromhex(str(value))
    except ValueError as error:
        raise RegistryError(f"{name}: {value!r} is not binary data in hexadecimal") from error
