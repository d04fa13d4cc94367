"""The same IIS on simulated machines in virtual time, and as a process with real sockets and directories."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from bodydouble_sim.iis.web_application import directive
from bodydouble_sim.machine import Machine
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000, WindowsVersion
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

behaviour = pytest.mark.behaviour
LIVE = [sys.executable, "-m", "bodydouble_sim.live"]
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def play(seed: int, version: WindowsVersion) -> tuple[list[tuple[int, str]], bytes, str]:
    """A client uploads, signs and reads over HTTP; the machine loses its power and comes back."""
    world = World(seed)
    segment = world.network.segment("lan")
    server = WindowsMachine(world, "SOURCE", version=version)
    client = Machine(world, "CLIENT")
    server.plug(segment, "10.0.0.10/24")
    client.plug(segment, "10.0.0.99/24")
    seen: list[tuple[int, str]] = []

    async def visit() -> None:
        async with httpx.AsyncClient(base_url="http://10.0.0.10") as http:
            answers = [await http.put("/records/order.txt", content=b"one order" * 1000)]
            answers.append(await http.post("/guestbook.asp", data={"name": "Ada", "message": "hello"}))
            answers.append(await http.get("/records/order.txt", headers={"Range": "bytes=0-8"}))
            answers.append(await http.request("PROPFIND", "/records/order.txt", headers={"Depth": "0"}))
        seen.extend((answer.status_code, answer.headers["server"]) for answer in answers)

    async def main() -> bytes:
        client.power_on()
        server.power_on()
        await server.wait_booted()
        await server.install_iis()
        await server.command("adsutil set W3SVC/1/ROOT/AccessWrite true")
        server.put_file("C:\\InetPub\\wwwroot\\guestbook.asp", directive("guestbook", "guests.txt"))
        await client.spawn(visit(), name="visit")
        await server.perform(asyncio.sleep(61), name="the metabase is written")
        server.power_off()
        server.power_on()
        await server.wait_booted()
        shown = await server.command("adsutil get W3SVC/1/ROOT/AccessWrite")
        assert "True" in shown.output
        return server.system.files.read("C:/InetPub/wwwroot/guests.txt")

    try:
        data = world.run(main())
        assert world.loop.unhandled == []
        return seen, data, world.trace.digest
    finally:
        world.close()


@behaviour("reference/windows-iis.md, Versions; RFC 2616; RFC 2518 (5.0 only)")
@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def test_iis_serves_writes_and_comes_back_in_virtual_time(version: WindowsVersion) -> None:
    seen, _, _ = play(3, version)
    name = f"Microsoft-IIS/{version.iis}"
    assert seen == [(201, name), (200, name), (206, name), (501 if version.is_nt4 else 207, name)]


def test_the_same_seed_gives_the_same_trace_with_uploads_and_pages() -> None:
    assert play(5, WINDOWS_2000) == play(5, WINDOWS_2000)


@behaviour("IIS documentation, virtual directories on another computer; its Server service serves the share")
@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def test_a_web_server_serves_another_machines_share_over_the_wire(version: WindowsVersion) -> None:
    world = World(11)
    segment = world.network.segment("lan")
    web, store = (WindowsMachine(world, name, version=version) for name in ("WEB", "STORE"))
    client = Machine(world, "CLIENT")
    for number, machine in enumerate((web, store, client), 10):
        machine.plug(segment, f"10.0.0.{number}/24")
    seen: list[int] = []

    async def visit() -> tuple[bytes, bytes]:
        async with httpx.AsyncClient(base_url="http://10.0.0.10") as http:
            answers = [await http.get("/far/page.htm"), await http.put("/far/new.txt", content=b"new" * 50_000)]
            seen.extend(answer.status_code for answer in answers)
            uploaded = store.system.files.read("C:/Pages/new.txt")
            store.power_off()
            seen.append((await http.get("/far/page.htm", timeout=200)).status_code)
            return answers[0].content, uploaded

    async def main() -> tuple[bytes, bytes]:
        for machine in (client, web, store):
            machine.power_on()
        for windows in (web, store):
            await windows.wait_booted()
        store.put_file("C:\\Pages\\page.htm", b"from the store")
        store.system.shares.add("Pages", "C:/Pages")
        store.system.accounts.add("clerk", "s3cret")
        await web.install_iis()
        for line in (
            "create_vdir W3SVC/1/ROOT/far",
            "set W3SVC/1/ROOT/far/Path \\\\STORE\\Pages",
            "set W3SVC/1/ROOT/far/UNCUserName clerk",
            "set W3SVC/1/ROOT/far/UNCPassword s3cret",
            "set W3SVC/1/ROOT/far/AccessFlags 3",
        ):
            result = await web.command(f"adsutil {line}")
            assert result.exit_code == 0, result.output
        return await client.spawn(visit(), name="visit")

    try:
        body, uploaded = world.run(main())
        assert world.loop.unhandled == []
    finally:
        world.close()
    assert (body, uploaded) == (b"from the store", b"new" * 50_000)
    assert seen == [200, 201, 500]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Path, dict[str, int]]]:
    """A live body with IIS on high ports; the place of its drives and the ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    ports = dict(zip(("http", "ftp", "smtp", "nntp"), (held.getsockname()[1] for held in sockets), strict=True))
    for held in sockets:
        held.close()
    places = [
        "--drives",
        str(tmp_path / "drives"),
        "--state",
        str(tmp_path / "state"),
        "--socket",
        str(tmp_path / "door"),
    ]
    process = subprocess.Popen([*LIVE, "serve", *places, "--name", "TARGET"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            break
    try:
        ask(tmp_path, "install-iis " + " ".join(f"/{name}:{port}" for name, port in ports.items()))
        yield tmp_path, ports
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.stdout.close()
        process.wait(20)


def ask(place: Path, line: str) -> str:
    command = [*LIVE, "command", "--socket", str(place / "door"), line]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def curl(*arguments: str) -> bytes:
    return subprocess.run(["curl", "-sS", *arguments], check=True, timeout=30, capture_output=True).stdout


@needs_curl
@behaviour("RFC 2616, 9.6 and 8.2.3 (curl's Expect); RFC 2518, 8.3")
def test_curl_uploads_by_put_reads_ranges_and_makes_collections_on_a_live_body(
    live: tuple[Path, dict[str, int]],
) -> None:
    place, ports = live
    base = f"http://127.0.0.1:{ports['http']}"
    ask(place, "adsutil set W3SVC/1/ROOT/AccessWrite true")
    note = place / "note.bin"
    note.write_bytes(os.urandom(3_000_000))
    assert b"Created" in curl("-T", str(note), f"{base}/note.bin")
    assert (place / "drives/C/InetPub/wwwroot/note.bin").read_bytes() == note.read_bytes()
    assert curl("-r", "10-19", f"{base}/note.bin") == note.read_bytes()[10:20]
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "MKCOL", f"{base}/new") == b"201"
    assert (place / "drives/C/InetPub/wwwroot/new").is_dir()
    assert curl("-T", str(note), "-H", "Transfer-Encoding: chunked", f"{base}/new/chunked.bin") is not None
    assert (place / "drives/C/InetPub/wwwroot/new/chunked.bin").read_bytes() == note.read_bytes()


@needs_curl
@behaviour("RFC 959, 4.1.3 (REST, APPE); IIS documentation, Directory Output Style")
def test_curl_resumes_and_lists_over_ftp_on_a_live_body(live: tuple[Path, dict[str, int]]) -> None:
    place, ports = live
    base = f"ftp://127.0.0.1:{ports['ftp']}"
    note = place / "note.bin"
    note.write_bytes(b"0123456789")
    curl("-T", str(note), f"{base}/note.bin")
    curl("-a", "-T", str(note), f"{base}/note.bin")
    assert curl("-C", "15", f"{base}/note.bin") == b"56789"
    assert curl("--ftp-port", "-", f"{base}/").split()[-2:] == [b"20", b"note.bin"]
