"""The live body as a process of its own: door, real files, real sockets on high loopback ports."""

from __future__ import annotations

import asyncio
import ftplib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.errors import FileSystemError, StateError
from bodydouble_sim.errors import RefusedError
from bodydouble_sim.live.body import Body, run
from bodydouble_sim.live.directory_files import DirectoryFiles
from bodydouble_sim.live.door import Answer, Command, Door, Request
from bodydouble_sim.live.network import LiveNetwork
from bodydouble_sim.live.state import RegistryFile
from bodydouble_sim.windows.registry import Registry
from bodydouble_sim.windows.version import NT_4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]
LIVE = [sys.executable, "-m", "bodydouble_sim.live"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(held.getsockname()[1]) for held in sockets]
    for held in sockets:
        held.close()
    return ports


class LiveBody:
    """One ``serve`` process and its clients."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place = place
        self.door = str(place / "door")
        self.options = options
        self.said: list[str] = []
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        places = ["--drives", str(self.place / "drives"), "--state", str(self.place / "state"), "--socket", self.door]
        command = [*LIVE, "serve", *places, "--name", "TARGET", *self.options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line)
            if line == "ready\n":
                break
        return process

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(20)

    def ask(self, verb: str, *words: str) -> tuple[int, str]:
        command = [*LIVE, verb, "--socket", self.door, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout + done.stderr


def inside(place: Path, **options: Any) -> Body:
    """A body in this process."""
    return Body(place / "drives", place / "state", "TARGET", uts=False, **options)


async def up(body: Body) -> None:
    """Wait until the body's services run."""
    while not body.system.up:  # noqa: ASYNC110 - a state, no event, is what is awaited
        await asyncio.sleep(0.01)


@pytest.mark.behaviour("Windows 2000 Resource Kit, shutdown")
def test_a_shutdown_from_inside_ends_a_live_body_in_good_order(tmp_path: Path) -> None:
    body = inside(tmp_path)

    async def main() -> None:
        running = asyncio.ensure_future(run(body, str(tmp_path / "door")))
        await up(body)
        body.system.power.request(restart=False, delay=0.05)
        await running

    asyncio.run(main())
    assert body.system.event_log.entries[-1].number == 6006
    assert not (tmp_path / "door").exists() or not body.system.up


@pytest.mark.behaviour("Windows 2000 Resource Kit, shutdown: /R restarts, /A takes it back")
def test_a_restart_from_inside_boots_the_live_body_again_and_can_be_taken_back(tmp_path: Path) -> None:
    body = inside(tmp_path)

    async def main() -> list[object]:
        running = asyncio.ensure_future(run(body, str(tmp_path / "door")))
        await up(body)
        power = body.system.power
        power.request(restart=True, delay=60.0)
        seen: list[object] = [power.abort(), power.abort()]
        power.request(restart=True, delay=0.0)
        while [e.number for e in body.system.event_log.entries].count(6005) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        await up(body)
        seen.append(body.system.scm.find("LanmanServer").state)
        body.ended.set()
        await running
        return seen

    assert asyncio.run(main()) == [True, False, "running"]


@pytest.mark.behaviour("KB 196452: 6008 after an unexpected shutdown")
def test_a_live_body_that_was_killed_logs_it_at_its_next_boot(tmp_path: Path) -> None:
    killed = LiveBody(tmp_path)
    killed.process.kill()
    assert killed.process.stdout is not None
    killed.process.stdout.close()
    killed.process.wait(20)
    again = LiveBody(tmp_path)
    again.stop()
    assert not any("EventLog 6008" in line for line in killed.said)
    assert any(line.startswith("error EventLog 6008: The previous system shutdown") for line in again.said)


@pytest.mark.behaviour('the note, "Requirements": Windows NT 4.0 with its service pack, or Windows 2000')
def test_a_live_body_keeps_the_release_of_its_first_start(tmp_path: Path) -> None:
    body = inside(tmp_path, version=NT_4, service_pack=4)
    RegistryFile(tmp_path / "state" / "registry.json").save(body.system.registry)
    again = inside(tmp_path)
    assert (again.system.version, again.system.service_pack) == (NT_4, 4)


def test_the_release_of_a_live_body_is_an_option(tmp_path: Path) -> None:
    made = LiveBody(tmp_path, "--version", "windows-nt-4", "--service-pack", "3")
    try:
        code, output = made.ask("command", "net start")
    finally:
        made.stop()
    assert code == 0
    assert "Remote Procedure Call (RPC) Service" in output


def test_a_live_body_sees_the_hosts_network() -> None:
    network = LiveNetwork()

    async def look() -> list[object]:
        found = await network.resolve("127.0.0.1"), await network.resolve("no-such-host.invalid")
        try:
            answered: object = await network.ping("127.0.0.1", 5.0)
        except RefusedError as error:  # a host that lets nobody send ICMP says so
            answered = str(error)
        return [*found, answered]

    address, nothing, answered = asyncio.run(look())
    assert (address, nothing) == ("127.0.0.1", None)
    assert answered is not None
    assert all("/" in held for adapter in network.adapters() for held in adapter.addresses)


@pytest.fixture
def body(tmp_path: Path) -> Iterator[LiveBody]:
    made = LiveBody(tmp_path)
    yield made
    if made.process.poll() is None:
        made.stop()


def test_the_notes_steps_on_a_live_body(body: LiveBody) -> None:
    http, ftp, smtp, nntp = free_ports(4)
    body.ask("command", "--", "install-chngname", "C:\\DoubleTake")
    assert body.ask("command", "--", "C:\\DoubleTake\\chngname", "/s", "SOURCE")[0] == 0
    code, output = body.ask(
        "command", f"install-iis /drive:C /manual /http:{http} /ftp:{ftp} /smtp:{smtp} /nntp:{nntp}"
    )
    assert code == 0, output
    assert body.ask("command", "--", "net", "stop", "IIS Admin Service", "/y")[0] == 0
    assert body.ask("command", "--", "C:\\DoubleTake\\chngname", "/t")[0] == 0
    assert body.ask("command", "--", "net", "start", "IIS Admin Service")[0] == 2

    script = body.place / "drives" / "C" / "DoubleTake" / "postover.bat"
    names = ("IIS Admin Service", "FTP Publishing Service", "World Wide Web Publishing Service")
    lines = ["C:\\DoubleTake\\chngname /s %1", *(f'net start "{name}"' for name in names), "exit /b 3"]
    script.write_text("\r\n".join(lines))
    code, output = body.ask("batch", str(script), "SOURCE")
    assert code == 3, output
    assert body.ask("query", "W3SVC") == (0, "running\n")
    assert body.ask("query", "SMTPSVC") == (3, "stopped\n")

    with ftplib.FTP() as client:
        client.connect("127.0.0.1", ftp, timeout=10)
        client.login()
        client.storbinary("STOR /records/order.txt", io.BytesIO(b"one order"))
    assert (body.place / "drives/C/InetPub/wwwroot/records/order.txt").read_bytes() == b"one order"
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/records/order.txt", timeout=10) as answer:
        assert answer.read() == b"one order"
        assert answer.headers["Server"] == "Microsoft-IIS/5.0"
    assert body.stop() == 0

    body.process = body.start()
    assert "SOURCE" not in body.ask("command", "hostname")[1]
    assert body.ask("command", "sc qc W3SVC")[1].count("DEMAND_START") == 1
    assert body.ask("query", "W3SVC") == (3, "stopped\n")


@pytest.mark.root
def test_the_active_name_is_the_kernels_and_outlives_the_process(tmp_path: Path) -> None:
    places = f"--drives {tmp_path}/drives --state {tmp_path}/state --socket {tmp_path}/door"
    serve = f"exec {shlex.join(LIVE)} serve --uts {places}"
    script = f"hostname TARGET; sh -c 'echo $$; {serve}' | grep -E '^[0-9]+$|^ready$' --line-buffered; hostname"
    ask = [*LIVE, "command", "--socket", f"{tmp_path}/door"]
    unshared = ["unshare", "--uts", "--net", "bash", "-c", script]
    with subprocess.Popen(unshared, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        try:
            assert process.stdout.readline() == "ready\n"
            for line in ("install-chngname C:/DT", "C:/DT/chngname /s SOURCE"):
                subprocess.run([*ask, line], check=True, timeout=30, stdout=subprocess.DEVNULL)
        finally:
            os.kill(number, signal.SIGTERM)
        assert process.stdout.read() == "SOURCE\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_uploads_and_fetches(body: LiveBody) -> None:
    http, ftp, smtp, nntp = free_ports(4)
    assert body.ask("command", f"install-iis /http:{http} /ftp:{ftp} /smtp:{smtp} /nntp:{nntp}")[0] == 0
    note = body.place / "note.txt"
    note.write_bytes(os.urandom(300_000))
    subprocess.run(["curl", "-sS", "-T", str(note), f"ftp://127.0.0.1:{ftp}/records/note.txt"], check=True, timeout=30)
    got = subprocess.run(
        ["curl", "-sSf", f"http://127.0.0.1:{http}/records/note.txt"], check=True, timeout=30, capture_output=True
    )
    assert got.stdout == note.read_bytes()


def test_clients_report_what_is_wrong(tmp_path: Path) -> None:
    def ask(*words: str) -> tuple[int, str]:
        done = subprocess.run([*LIVE, *words], capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stderr

    assert ask("nonsense")[0] == 2
    assert ask("command", "--socket", "x")[0] == 2
    code, text = ask("command", "--socket", str(tmp_path / "none"), "hostname")
    assert code == 254
    assert "does not answer" in text


def test_a_client_starts_without_the_model() -> None:
    code = "import sys, bodydouble_sim.live.client as c; print('asyncio' in sys.modules, 'msgspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


async def at_door(path: Path, payload: bytes) -> dict[str, object]:
    async def perform(request: Request) -> Answer:
        assert isinstance(request, Command)
        return 0, request.line

    door = Door(perform)
    await door.open(str(path))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(payload)
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    answer: dict[str, object] = json.loads(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    await door.close()
    return answer


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (struct.pack(">I", 2**30), "at most"),
        (struct.pack(">I", 2) + b"[]", "not a request"),
        (struct.pack(">I", 16) + b'{"kind":"other"}', "not a request"),
        (struct.pack(">I", 31) + b'{"kind":"command","line":"yes"}', "yes"),
    ],
)
def test_the_door_bounds_and_checks_requests(tmp_path: Path, payload: bytes, said: str) -> None:
    assert said in str(asyncio.run(at_door(tmp_path / "door", payload))["output"])


def test_a_client_that_goes_away_ends_its_command(tmp_path: Path) -> None:
    async def run() -> bool:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def perform(_request: Request) -> Answer:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return 0, ""

        door = Door(perform)
        await door.open(str(tmp_path / "door"))
        _, writer = await asyncio.open_unix_connection(tmp_path / "door")
        writer.write(struct.pack(">I", 31) + b'{"kind":"command","line":"yes"}')
        await begun.wait()
        writer.close()
        await ended.wait()
        await door.close()
        return True

    assert asyncio.run(run())


@pytest.fixture
def files(tmp_path: Path) -> DirectoryFiles:
    (tmp_path / "C").mkdir()
    return DirectoryFiles(tmp_path)


def test_directories_stand_in_for_drives_in_any_case(files: DirectoryFiles, tmp_path: Path) -> None:
    files.mkdir("C:/InetPub")
    files.create("C:/INETPUB/A.txt")
    files.write("c:/inetpub/a.TXT", 2, b"x")
    files.append("C:/InetPub/A.txt", b"yz")
    assert (tmp_path / "C/InetPub/A.txt").read_bytes() == b"\0\0xyz"
    assert files.read("C:/inetpub/a.txt", 2, 2) == b"xy"
    assert [entry.path for entry in files.list("C:/InetPub")] == ["C:/InetPub/A.txt"]
    files.flush("C:/inetpub/a.txt")
    files.rename("C:/inetpub/a.txt", "C:/InetPub/b.txt")
    entry = files.stat("C:/inetpub/B.txt")
    assert entry is not None
    assert (entry.path, entry.size, entry.directory) == ("C:/InetPub/b.txt", 5, False)
    files.remove("C:/InetPub/b.txt")
    files.rmdir("C:/InetPub")
    assert files.stat("C:/InetPub") is None
    assert files.product_path(str(tmp_path / "C/x/y.bat")) == "C:/x/y.bat"
    assert files.product_path("/elsewhere/y.bat") is None


def test_directories_speak_the_ports_error_codes(files: DirectoryFiles) -> None:
    files.mkdir("C:/d")
    files.create("C:/d/f")
    cases: list[tuple[str, Callable[[], object]]] = [
        ("not_found", lambda: files.read("C:/none")),
        ("not_found", lambda: files.read("C:/../etc/passwd")),
        ("not_found", lambda: files.list("C:/d/f")),
        ("not_found", lambda: files.create("C:/none/f")),
        ("exists", lambda: files.mkdir("C:/D")),
        ("exists", lambda: files.create("C:/d")),
        ("not_empty", lambda: files.rmdir("C:/d")),
        ("denied", lambda: files.create("C:/" + "x" * 300)),
    ]
    for code, call in cases:
        with pytest.raises(FileSystemError) as caught:
            call()
        assert caught.value.code == code


def test_a_registry_file_keeps_what_survives_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    registry = Registry()
    registry.set(r"HKLM\A", "n", 1)
    registry.set(r"HKLM\A", "l", ["x"])
    registry.set(r"HKLM\V", "n", 1, volatile=True)
    RegistryFile(path).save(registry)
    loaded = RegistryFile(path).load()
    assert loaded.dump() == registry.dump() == {r"HKLM\A": {"n": ("REG_DWORD", 1), "l": ("REG_MULTI_SZ", ["x"])}}
    path.write_text('{"format":3,"registry":{}}')
    with pytest.raises(StateError, match="format 3"):
        RegistryFile(path).load()
    path.write_text("{")
    with pytest.raises(StateError, match="not a registry"):
        RegistryFile(path).load()
