"""Which daemon a console speaks to, and by which certificate it recognises it.

A daemon of the same machine is found through its configuration file (``--config``), which leads to its state directory
and to the certificate there. A remote one is recognised by ``--pin``, or by the certificate that was kept when it was
first trusted: one line for each in ``known-daemons``, ``HOST:PORT`` and the certificate in Base64.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodydouble.cli.tables import convert, mistake, parse, resolve_token
from bodydouble.control.settings import ControlSettings
from bodydouble.errors import InputError
from bodydouble.security.certificate import fingerprint_of, public_key_of
from bodydouble.security.trust import CERTIFICATE_FILE, read_shown

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a listener may say


@dataclass(frozen=True, slots=True)
class LocalDaemon:
    """What a daemon's configuration file and state say about how to speak to it.

    Attributes:
        certificate: None when it speaks plain HTTP.
    """

    host: str
    port: int
    token: str
    certificate: bytes | None

    def __repr__(self) -> str:
        return f"LocalDaemon(host={self.host!r}, port={self.port}, token=...)"


def local_daemon(config: Path) -> LocalDaemon:
    """The daemon of this machine.

    Args:
        config: its configuration file.

    Raises:
        InputError: the file is wrong, or the daemon has never run.
    """
    tree = parse(config)
    resolve_token(config, "control", tree.get("control"))
    control = convert(config, tree.get("control", {}), ControlSettings, "control")
    certificate = None if control.plain_http else _own_certificate(_state(config, tree) / f"{CERTIFICATE_FILE}.json")
    return LocalDaemon(_EVERYWHERE.get(control.address, control.address), control.port, control.token, certificate)


def state_directory(config: Path) -> Path:
    """Where the daemon of this machine keeps its state.

    Args:
        config: its configuration file.

    Raises:
        InputError: the file is wrong.
    """
    return _state(config, parse(config))


def _state(config: Path, tree: dict[str, Any]) -> Path:
    state = tree.get("state_directory")
    if not isinstance(state, str):
        raise mistake(config, ("state_directory",), 'expected a directory such as "/var/lib/bodydouble"')
    return Path(state)


def _own_certificate(path: Path) -> bytes:
    try:
        return read_shown(path.read_bytes()).certificate
    except FileNotFoundError as error:
        raise InputError(f"{path}: not there: has this daemon ever been started?") from error
    except (OSError, InputError) as error:
        raise InputError(f"{path}: cannot read the daemon's certificate: {error}") from error


def known_daemons_file() -> Path:
    """Where the certificates of trusted daemons are kept."""
    configured = os.environ.get("XDG_CONFIG_HOME")
    base = Path(configured) if configured else Path.home() / ".config"
    return base / "bodydouble" / "known-daemons"


class KnownDaemons:
    """Certificates by ``HOST:PORT``.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> dict[str, bytes]:
        """Everything that is kept.

        Raises:
            InputError: the file is damaged; names the line.
        """
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read: {error}") from error
        return dict(self._entry(number, line) for number, line in enumerate(lines, 1) if line.strip())

    def _entry(self, number: int, line: str) -> tuple[str, bytes]:
        place, _, text = line.partition(" ")
        try:
            certificate = b64decode(text.strip(), validate=True)
            public_key_of(certificate)
        except (ValueError, InputError) as error:
            raise InputError(
                f"{self.path}: line {number}: expected HOST:PORT and a certificate; remove the line, then trust the "
                "daemon again"
            ) from error
        return place, certificate

    def find(self, host: str, port: int) -> bytes | None:
        """The certificate of a daemon that was trusted."""
        return self.all().get(_place(host, port))

    def keep(self, host: str, port: int, certificate: bytes) -> None:
        """Trust a daemon from now on."""
        self._write({**self.all(), _place(host, port): certificate})

    def forget(self, host: str, port: int) -> bool:
        """Trust a daemon no more; whether it was trusted."""
        kept = self.all()
        found = kept.pop(_place(host, port), None)
        if found is not None:
            self._write(kept)
        return found is not None

    def _write(self, kept: dict[str, bytes]) -> None:
        """Replace the file as a whole, so that a console that is interrupted leaves the old or the new one."""
        lines = [f"{place} {b64encode(certificate).decode()}\n" for place, certificate in sorted(kept.items())]
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.write_text("".join(lines), "utf-8")
            beside.chmod(0o600)
            beside.replace(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error}") from error


def not_known(host: str, port: int, certificate: bytes) -> InputError:
    """What to tell somebody whose console does not know a daemon."""
    return InputError(
        f"the daemon at {host} port {port} is not known here. It shows the certificate {fingerprint_of(certificate)}; "
        "compare that with what 'bodydouble --config FILE pair list' says on its machine, then trust it: bodydouble "
        f"--host {host} --port {port} trust --pin FINGERPRINT. For the daemon of this machine: --config FILE."
    )


def changed(host: str, port: int) -> str:
    """What to add when a known daemon is not answered for any more."""
    place = f"--host {host} --port {port}"
    return (
        f"; whoever answers at {host} port {port} does not show the certificate that was trusted: it was set up anew, "
        f"or somebody is in between. If it is right: bodydouble {place} trust --forget, and trust it again"
    )


def _place(host: str, port: int) -> str:
    return f"{host.casefold()}:{port}"
