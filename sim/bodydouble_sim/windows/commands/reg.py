"""``reg`` of the Windows 2000 support tools: ``query``, ``add`` and ``delete``.

Its output is this model's choice, after what version 2.0 prints. NT 4.0's resource kit has another ``reg`` with another
syntax, which this model leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Value, ValueType
    from bodydouble_sim.windows.shell import Shell

_NOT_FOUND = "Error:  The system was unable to find the specified registry key or value"
_DONE = "\r\nThe operation completed successfully"
_ROOTS = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKCR": "HKEY_CLASSES_ROOT", "HKU": "HKEY_USERS"}
_ROOTS["HKCC"] = "HKEY_CURRENT_CONFIG"
_TYPES: tuple[ValueType, ...] = ("REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_DWORD", "REG_BINARY")
_DEEPEST = 64


async def reg(shell: Shell, arguments: list[str]) -> int:
    """The ``reg`` program: 0 success, 1 failure."""
    verb = arguments[0].lower() if arguments else ""
    if verb not in ("query", "add", "delete") or len(arguments) < 2:  # noqa: PLR2004 - verb and key
        shell.error("Console Registry Tool for Windows - version 2.0\r\n\r\nREG Operation [Parameter List]")
        shell.error("\r\n  Operation  [ QUERY | ADD | DELETE ]")
        return 1
    key, options = _key(arguments[1]), _options(arguments[2:])
    if key is None:
        shell.error("Error:  Invalid key name")
        return 1
    return {"query": _query, "add": _add, "delete": _delete}[verb](shell, key, options)


def _key(text: str) -> str | None:
    root, _, rest = text.partition("\\")
    short = {long: short for short, long in _ROOTS.items()}.get(root.upper(), root.upper())
    return (f"{short}\\{rest}" if rest else short) if short in _ROOTS else None


def _shown(key: str) -> str:
    root, _, rest = key.partition("\\")
    return f"{_ROOTS[root]}\\{rest}" if rest else _ROOTS[root]


def _options(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    at = 0
    while at < len(words):
        name = words[at].lower()
        takes = (
            name in ("/v", "/t", "/d", "/s") and at + 1 < len(words) and not (name == "/s" and given.get("/t") is None)
        )
        given[name] = words[at + 1] if takes else ""
        at += 2 if takes else 1
    return given


def _data(value: Value) -> str:
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, int):
        return f"{value:#x}"
    return value if isinstance(value, str) else "\\0".join(value)


def _query(shell: Shell, key: str, options: dict[str, str]) -> int:
    registry = shell.system.registry
    if not registry.exists(key):
        return _missing(shell)
    if "/v" in options:
        found = {name: value for name, value in registry.values(key).items() if name.upper() == options["/v"].upper()}
        if not found:
            return _missing(shell)
        shell.line("\r\n! REG.EXE VERSION 2.0")
        _show_key(shell, key, found)
        shell.line()
        return 0
    shell.line("\r\n! REG.EXE VERSION 2.0")
    _show_tree(shell, key, 0 if "/s" in options else _DEEPEST)
    shell.line()
    return 0


def _missing(shell: Shell) -> int:
    shell.error()
    shell.error(_NOT_FOUND)
    return 1


def _show_key(shell: Shell, key: str, values: dict[str, tuple[ValueType, Value]]) -> None:
    shell.line(f"\r\n{_shown(key)}")
    for name, (kind, value) in values.items():
        shell.line(f"\t{name or '<NO NAME>'}\t{kind}\t{_data(value)}")


def _show_tree(shell: Shell, key: str, depth: int) -> None:
    shell.steps.take()
    registry = shell.system.registry
    _show_key(shell, key, registry.values(key))
    for name in registry.subkeys(key):
        below = f"{key}\\{name}"
        if depth >= _DEEPEST:
            shell.line(f"\r\n{_shown(below)}")
        else:
            _show_tree(shell, below, depth + 1)


def _add(shell: Shell, key: str, options: dict[str, str]) -> int:
    registry = shell.system.registry
    name = options.get("/v", "")
    if not {"/v", "/ve", "/t", "/d"} & set(options):
        registry.create(key)
        shell.line(_DONE)
        return 0
    kind = next((known for known in _TYPES if known == options.get("/t", "REG_SZ").upper()), None)
    value = _value(kind, options.get("/d", "")) if kind else None
    if kind is None or value is None:
        shell.error("\r\nError:  Invalid data type or data")
        return 1
    if registry.get(key, name) is not None and "/f" not in options:
        answer = shell.ask(f"Value {name} exists, overwrite(Y/N)? ")
        if (answer or "n").strip()[:1].lower() != "y":
            return 1
    try:
        registry.set(key, name, value, kind=kind)
    except InputError:
        shell.error("\r\nError:  Invalid data type or data")
        return 1
    shell.line(_DONE)
    return 0


def _value(kind: ValueType, text: str) -> Value | None:
    try:
        if kind == "REG_DWORD":
            number = int(text or "0", 16 if text.lower().startswith("0x") else 10)
            return number if 0 <= number < 1 << 32 else None
        if kind == "REG_BINARY":
            return bytes.fromhex(text)
    except ValueError:
        return None
    return text.split("\\0") if kind == "REG_MULTI_SZ" else text


def _delete(shell: Shell, key: str, options: dict[str, str]) -> int:
    registry = shell.system.registry
    if not registry.exists(key):
        return _missing(shell)
    what = f"the registry value {options['/v']}" if "/v" in options else f"the registry key {_shown(key)}"
    if "/f" not in options:
        answer = shell.ask(f"Delete {what} (Y/N)? ")
        if (answer or "n").strip()[:1].lower() != "y":
            return 1
    if "/v" in options:
        if not registry.delete_value(key, options["/v"]):
            return _missing(shell)
    else:
        registry.delete(key)
    shell.line(_DONE)
    return 0
