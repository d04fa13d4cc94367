r"""The metabase: what IIS is configured to do, as keys with typed properties that keys beneath them inherit.

Source: "About the Metabase" and "Property Inheritance" of the IIS SDK (MSDN Library, April 2000). Keys are found
without regard to case; a property that is not set on a key has the value of the nearest key above it, if the property
is one that is inherited, else its default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.iis.metabase_schema import DEFINITIONS, FLAGS, UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodydouble_sim.iis.metabase_schema import Definition, Value

WEB = "/LM/W3SVC"
FTP = "/LM/MSFTPSVC"
SMTP = "/LM/SmtpSvc"
NNTP = "/LM/NntpSvc"
Dump = dict[str, dict[str, "Value"]]


class _Key:
    __slots__ = ("path", "values")

    def __init__(self, path: str) -> None:
        self.path = path
        self.values: dict[str, Value] = {}


class Metabase:
    """Keys and properties.

    Args:
        version: of IIS.
        server_name: the name that was active at set-up.
        machine: the SID of the installation that it belongs to.

    Attributes:
        revision: grows with each change.
        on_change: called after each change.
    """

    def __init__(self, version: str, server_name: str, machine: str) -> None:
        self.version = version
        self.server_name = server_name
        self.machine = machine
        self.revision = 0
        self.on_change: Callable[[], None] | None = None
        self._keys: dict[str, _Key] = {"/LM": _Key("/LM")}

    # --- properties -------------------------------------------------------------------------------------------------

    def get(self, path: str, name: str) -> Value:
        """The value that counts at ``path``: its own, an inherited one, or the default; flags are booleans.

        Raises:
            InputError: there is no such property.
        """
        flag = FLAGS.get(name.upper())
        if flag is not None:
            return bool(self.integer(path, flag.property) & flag.bit)
        definition = definition_of(name)
        value = self._find(path, definition)
        return definition.default if value is None else value

    def _find(self, path: str, definition: Definition) -> Value | None:
        name = definition.name
        upper = normal(path).upper()
        while upper:
            key = self._keys.get(upper)
            if key is not None and name in key.values:
                return key.values[name]
            if not definition.inherit:
                return None
            upper = upper.rpartition("/")[0]
        return None

    def integer(self, path: str, name: str) -> int:
        """`get` of an integer property."""
        value = self.get(path, name)
        return value if isinstance(value, int) else 0

    def text(self, path: str, name: str) -> str:
        """`get` of a string property."""
        value = self.get(path, name)
        return value if isinstance(value, str) else ""

    def items(self, path: str, name: str) -> list[str]:
        """`get` of a list property."""
        value = self.get(path, name)
        return list(value) if isinstance(value, list) else []

    def own(self, path: str) -> dict[str, Value]:
        """The properties set on this very key."""
        key = self._keys.get(normal(path).upper())
        return dict(key.values) if key is not None else {}

    def set(self, path: str, name: str, value: Value) -> None:
        """Set a property; the key and those above it are made.

        Raises:
            InputError: no such property, or a value of another type.
        """
        flag = FLAGS.get(name.upper())
        if flag is not None:
            bits = self.integer(path, flag.property)
            self.set(path, flag.property, bits | flag.bit if value else bits & ~flag.bit)
            return
        definition = definition_of(name)
        self.add_key(path)
        self._keys[normal(path).upper()].values[definition.name] = _checked(definition, value)
        self._changed()

    def set_volatile(self, path: str, name: str, value: Value) -> None:
        """Set a property that shows what a service is doing: no change of the configuration.

        Raises:
            InputError: as `set`.
        """
        definition = definition_of(name)
        self.add_key(path)
        self._keys[normal(path).upper()].values[definition.name] = _checked(definition, value)

    def remove(self, path: str, name: str) -> None:
        """Take a property off a key, which then has the inherited value; nothing happens when it is not set there."""
        key = self._keys.get(normal(path).upper())
        if key is not None and key.values.pop(definition_of(name).name, None) is not None:
            self._changed()

    # --- keys -------------------------------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether there is a key."""
        return normal(path).upper() in self._keys

    def add_key(self, path: str) -> None:
        """Make a key and what is missing above it."""
        path = normal(path)
        if path.upper() in self._keys:
            return
        self.add_key(path.rpartition("/")[0])
        self._keys[path.upper()] = _Key(path)
        self._changed()

    def remove_key(self, path: str) -> None:
        """Delete a key and those beneath it; nothing happens when it is not there."""
        upper = normal(path).upper()
        for known in [key for key in self._keys if key == upper or key.startswith(upper + "/")]:
            del self._keys[known]
        self._changed()

    def children(self, path: str) -> list[str]:
        """Names of the keys directly beneath ``path``, in the order in which they were made."""
        prefix = normal(path).upper() + "/"
        beneath = (key.path[len(prefix) :] for upper, key in self._keys.items() if upper.startswith(prefix))
        return [name for name in beneath if "/" not in name]

    def sites(self, service: str) -> list[int]:
        """The numbers of a service's sites, ascending."""
        return sorted(int(name) for name in self.children(service) if name.isdigit())

    def nearest(self, root: str, path: str) -> str:
        """The deepest key at or above ``root`` + ``path`` (``/a/b``) that exists, at least ``root``."""
        upper = normal(root + path).upper()
        while len(upper) > len(root) and upper not in self._keys:
            upper = upper.rpartition("/")[0]
        key = self._keys.get(upper)
        return root if key is None else key.path

    # --- ports as older callers ask for them ------------------------------------------------------------------------

    @property
    def smtp_port(self) -> int:
        """The first port that the SMTP service listens on."""
        return self._port(SMTP)

    @property
    def nntp_port(self) -> int:
        """The first port that the NNTP service listens on."""
        return self._port(NNTP)

    def _port(self, service: str) -> int:
        bindings = self.items(f"{service}/1", "ServerBindings")
        return binding(bindings[0]).port if bindings else 0

    # --- writing down -----------------------------------------------------------------------------------------------

    def dump(self) -> Dump:
        """All keys with what survives a restart of the service."""
        return {
            key.path: {name: value for name, value in key.values.items() if not DEFINITIONS[name.upper()].volatile}
            for key in self._keys.values()
        }

    def load(self, dump: Mapping[str, Mapping[str, Value]]) -> None:
        """Replace all keys by those of a `dump`.

        Raises:
            InputError: it holds an unknown property, a wrong type or an odd path.
        """
        self._keys = {}
        for path, values in dump.items():
            key = self._keys[normal(path).upper()] = _Key(normal(path))
            for name, value in values.items():
                definition = definition_of(name)
                key.values[definition.name] = _checked(definition, value)

    def _changed(self) -> None:
        self.revision += 1
        if self.on_change is not None:
            self.on_change()


class Binding:
    """Where a site is reached: ``address:port:host`` with empty parts for "any".

    Source: "ServerBindings" of the IIS SDK: the form is IP:Port:Hostname, an omitted part is a wildcard.
    """

    __slots__ = ("address", "host", "port")

    def __init__(self, address: str, port: int, host: str) -> None:
        self.address = address
        self.port = port
        self.host = host


def binding(text: str) -> Binding:
    """Read one element of ``ServerBindings``.

    Raises:
        InputError: it is none.
    """
    address, _, rest = text.partition(":")
    port, colon, host = rest.partition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the highest port there is
        raise InputError(f"{text!r} is not a binding: address:port:host is expected, e.g. :80:")
    return Binding(address, int(port), host.lower())


def normal(path: str) -> str:
    """A key's path with one slash in front and none behind; ``W3SVC/1`` and ``/LM/W3SVC/1`` are the same.

    Raises:
        InputError: empty components.
    """
    if path.startswith("/LM/"):  # the form that the services use, on the path of every request
        return path.rstrip("/")
    parts = path.strip("/").split("/")
    if parts[0].upper() != "LM":
        parts.insert(0, "LM")
    if not all(parts[1:]):
        raise InputError(f"{path!r} is not the path of a metabase key")
    return "/LM" + "".join(f"/{part}" for part in parts[1:])


def definition_of(name: str) -> Definition:
    """The property called ``name`` in any case.

    Raises:
        InputError: there is none.
    """
    definition = DEFINITIONS.get(name.upper())
    if definition is None:
        raise InputError(f"{name!r} is not a property of the metabase")
    return definition


def _checked(definition: Definition, value: Value) -> Value:
    kinds = {
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UNLIMITED,
        "string": isinstance(value, str),
        "list": isinstance(value, list) and all(isinstance(item, str) for item in value),
    }
    if not kinds[definition.kind]:
        raise InputError(f"{definition.name} is a property of type {definition.kind}: {value!r} does not fit")
    if definition.name == "ServerBindings" and isinstance(value, list):
        for item in value:
            binding(item)
    return value
