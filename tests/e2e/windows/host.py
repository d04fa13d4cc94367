"""A live Windows host as a process, spoken to by clients that know nothing of this project."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import winrm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_sim.windows.version import WindowsVersion

PASSWORD = "Winter 2002"
SCRIPTS = Path(__file__).parents[3] / "labs" / "scenarios" / "scripts"
DIRECTORY = r"C:\DoubleTake"
SERVICES = ("http", "ftp", "smtp", "nntp")


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, as pywinrm tells it."""

    status: int
    output: str
    errors: str


@dataclass(slots=True)
class LiveHost:
    """One ``serve`` process with its remote door open."""

    place: Path
    version: WindowsVersion
    name: str = "TARGET"
    ports: dict[str, int] = field(default_factory=dict)
    url: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Boot; returns when the host is ready."""
        password = self.place / "password"
        password.write_text(PASSWORD + "\n")
        options = {
            "--drives": self.place / "drives",
            "--state": self.place / "state",
            "--socket": self.place / "door",
            "--name": self.name,
            "--version": self.version.key,
            "--winrm": "127.0.0.1:0",
            "--password-file": password,
        }
        words = [str(word) for pair in options.items() for word in pair]
        command = [sys.executable, "-m", "bodydouble_sim.live", "serve", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("winrm "):
                self.url = line.split()[1]
            if line == "ready\n":
                # Chosen once the door has its port, or it could be given one of them.
                self.ports = self.ports or dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
                return
        raise AssertionError("the host ended before it was ready")

    def stop(self) -> int:
        """Shut down in good order; the exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(30)

    # --- the door ---------------------------------------------------------------------------------------------------

    def session(self, user: str = "Administrator", password: str = PASSWORD, transport: str = "basic") -> winrm.Session:
        """pywinrm, as it comes from the index; it shall not look for proxies and certificates in the environment."""
        return winrm.Session(self.url, auth=(user, password), transport=transport, proxy=None, ca_trust_path=None)

    def run(self, command: str, *arguments: str) -> Ran:
        """Run a command through the door."""
        answer = self.session().run_cmd(command, arguments)
        return Ran(answer.status_code, answer.std_out.decode(), answer.std_err.decode())

    def done(self, command: str, *arguments: str) -> str:
        """Run a command that has to succeed; its output."""
        ran = self.run(command, *arguments)
        assert ran.status == 0, ran
        return ran.output

    def install_iis(self, *more: str) -> None:
        """Set IIS up on high ports under the active name."""
        self.done("install-iis", *(f"/{name}:{port}" for name, port in self.ports.items()), *more)

    def running(self) -> set[str]:
        """Display names of the started services."""
        return {line.strip() for line in self.done("net", "start").splitlines() if line.startswith("   ")}

    # --- its drive --------------------------------------------------------------------------------------------------

    def file(self, path: str) -> Path:
        r"""Where a file of the host lies on this machine (``C:\a\b``)."""
        return self.place / "drives" / path.replace(":", "").replace("\\", "/")

    def put_scripts(self, source_name: str, *, content_index: bool) -> None:
        """Save the note's scripts with their placeholders filled in."""
        directory = self.file(DIRECTORY)
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("POSTOVER.BAT", "PREBACK.BAT"):
            text = (SCRIPTS / name).read_text()
            text = text.replace(r"<drive>\<directory>", DIRECTORY).replace("source_name", source_name)
            if content_index:
                text = text.replace('rem net start "Content Index"', 'net start "Content Index"')
                text = text.replace('rem net stop "Content Index"', 'net stop "Content Index"')
            (directory / name).write_bytes(text.replace("\n", "\r\n").encode())

    @property
    def base(self) -> str:
        """The web site's URL."""
        return f"http://127.0.0.1:{self.ports['http']}"


@contextlib.contextmanager
def live(place: Path, version: WindowsVersion, name: str = "TARGET") -> Iterator[LiveHost]:
    """A host that is up; it is shut down in the end."""
    host = LiveHost(place, version, name)
    host.start()
    try:
        yield host
    finally:
        if host.process is not None and host.process.poll() is None:
            host.stop()


def curl(*arguments: str) -> bytes:
    """Run curl and return what it prints."""
    program = shutil.which("curl")
    assert program is not None
    command = [program, "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def status(*arguments: str) -> int:
    """The status of what curl gets; 0 when nobody answers."""
    program = shutil.which("curl")
    assert program is not None
    command = [program, "--silent", "--max-time", "30", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}"]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, timeout=60)
    return int(done.stdout)
