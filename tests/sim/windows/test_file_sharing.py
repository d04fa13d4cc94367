"""Files of other machines by UNC path, on the simulated network."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.iis_mail.host import Host

from bodydouble_sim.windows.file_server import PARAMETERS, FileServer
from bodydouble_sim.windows.file_sharing import NetworkPathError
from bodydouble_sim.windows.redirector import Redirector, split

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from bodydouble_sim.windows.machine import WindowsMachine
    from bodydouble_sim.windows.system import WindowsSystem
    from bodydouble_sim.world import World

    Windows = Callable[[str, str], WindowsMachine]
    Pair = tuple[WindowsMachine, WindowsMachine]

WEB = r"\\SERVER\web"


@pytest.fixture
def pair(world: World, windows: Windows) -> Pair:
    r"""SERVER, which shares C:\web for carol, and CLIENT; both up."""
    server, client = windows("SERVER", "10.0.0.1/24"), windows("CLIENT", "10.0.0.2/24")
    for machine in (server, client):
        machine.power_on()
        world.loop.run_until_complete(machine.wait_booted())
    server.put_file("C:/web/pages/default.htm", b"home")
    server.system.shares.add("web", "C:/web")
    server.system.accounts.add("carol", "secret")
    server.system.registry.flush()
    return server, client


def on(world: World, machine: WindowsMachine, coro: Coroutine[Any, Any, Any]) -> Any:
    return world.loop.run_until_complete(machine.perform(coro, name="test"))


def number(world: World, machine: WindowsMachine, coro: Awaitable[Any]) -> int:
    async def run() -> int:
        try:
            await coro
        except NetworkPathError as error:
            return error.number
        return 0

    return int(on(world, machine, run()))


def log_on(world: World, machine: WindowsMachine, account: str = "carol", password: str = "secret") -> int:
    return number(world, machine, machine.system.redirector.connect(WEB, account, password))


def test_files_are_read_written_and_listed_over_the_network(world: World, pair: Pair) -> None:
    server, client = pair
    files = client.system.redirector
    content = bytes(range(256)) * 1000

    async def work() -> list[object]:
        await files.connect(WEB, "carol", "secret")
        await files.mkdir(WEB + r"\new")
        await files.create(WEB + r"\new\a.bin")
        await files.write(WEB + r"\new\a.bin", 0, content)
        await files.flush(WEB + r"\new\a.bin")
        await files.rename(WEB + r"\new\a.bin", WEB + r"\new\b.bin")
        seen: list[object] = [
            await files.read("//server/web/pages/default.htm"),
            await files.read(WEB + r"\new\b.bin") == content,
            await files.read(WEB + r"\new\b.bin", 10, 5),
            [entry.path for entry in await files.list(WEB)],
            await files.stat(WEB + r"\none"),
        ]
        await files.remove(WEB + r"\new\b.bin")
        await files.rmdir(WEB + r"\new")
        return seen

    home, same, piece, listed, missing = on(world, client, work())
    assert (home, same, piece) == (b"home", True, content[10:15])
    assert listed == ["C:/web/new", "C:/web/pages"]
    assert missing is None
    assert server.system.files.stat("C:/web/new") is None


@pytest.mark.behaviour("KB 137565: a name that nobody has is error 53")
def test_an_unknown_machine_is_error_53(world: World, pair: Pair) -> None:
    _, client = pair
    assert number(world, client, client.system.redirector.list(r"\\NOBODY\web")) == 53


@pytest.mark.behaviour("KB 137565: no session with the Server service is error 53")
def test_a_stopped_server_service_is_error_53(world: World, pair: Pair) -> None:
    server, client = pair
    on(world, server, server.system.scm.stop("LanmanServer", dependents=True))
    assert log_on(world, client) == 53
    on(world, server, server.system.scm.start("LanmanServer"))
    assert log_on(world, client) == 0


@pytest.mark.behaviour("Microsoft, System Error Codes: 67, the network name cannot be found")
def test_a_share_that_is_not_there_is_error_67(world: World, pair: Pair) -> None:
    _, client = pair
    log_on(world, client)
    assert number(world, client, client.system.redirector.list(r"\\SERVER\none")) == 67
    with pytest.raises(NetworkPathError, match="The network name cannot be found"):
        split(r"\\SERVER")


@pytest.mark.behaviour("KB 103390: a known account with another password is error 1326")
def test_a_wrong_password_is_error_1326_even_if_guest_is_enabled(world: World, pair: Pair) -> None:
    server, client = pair
    server.system.accounts.set_enabled("Guest", enabled=True)
    assert log_on(world, client, "carol", "guess") == 1326


@pytest.mark.behaviour("KB 103390: an unknown account is Guest if Guest is enabled, else error 1326")
def test_an_unknown_account_is_guest_when_guest_is_enabled(world: World, pair: Pair) -> None:
    server, client = pair
    assert log_on(world, client, "stranger", "x") == 1326
    server.system.accounts.set_enabled("Guest", enabled=True)
    assert log_on(world, client, "stranger", "x") == 0


@pytest.mark.behaviour("TechNet cc957461 and KB 126645: null sessions reach only the shares in NullSessionShares")
def test_a_null_session_is_error_5_unless_the_share_is_listed(world: World, pair: Pair) -> None:
    server, client = pair
    assert number(world, client, client.system.redirector.list(WEB)) == 5
    server.system.registry.set(PARAMETERS, "NullSessionShares", ["WEB"])
    assert number(world, client, client.system.redirector.list(WEB)) == 0
    server.system.registry.set(PARAMETERS, "NullSessionShares", [])
    server.system.registry.set(PARAMETERS, "RestrictNullSessAccess", 0)
    assert number(world, client, client.system.redirector.list(WEB)) == 0


@pytest.mark.behaviour("KB 314984: administrative shares are for administrators")
def test_administrative_shares_are_for_administrators(world: World, pair: Pair) -> None:
    server, client = pair
    log_on(world, client)
    assert number(world, client, client.system.redirector.list(r"\\SERVER\C$")) == 5
    server.system.accounts.add_member("Administrators", "carol")
    client.system.redirector.disconnect("server")
    log_on(world, client)
    assert number(world, client, client.system.redirector.list(r"\\SERVER\C$")) == 0


@pytest.mark.behaviour("reference/windows-iis.md, File systems: NTFS has permissions, over the network as well")
def test_the_files_permissions_count_over_the_network(world: World, pair: Pair) -> None:
    server, client = pair
    log_on(world, client)
    files = client.system.redirector
    for path in ("C:/web/pages", "C:/web/pages/default.htm"):  # whoever may delete children may delete this one
        server.system.files.set_security(path, b"O:BAG:SYD:(A;;FRFX;;;WD)")
    assert number(world, client, files.read(WEB + r"\pages\default.htm")) == 0
    assert number(world, client, files.write(WEB + r"\pages\default.htm", 0, b"x")) == 5
    assert number(world, client, files.remove(WEB + r"\pages\default.htm")) == 5


@pytest.mark.behaviour("Microsoft, System Error Codes: 2138, the Workstation service has not been started")
def test_without_workstation_there_is_no_way_out(world: World, pair: Pair) -> None:
    _, client = pair
    on(world, client, client.system.scm.stop("LanmanWorkstation", dependents=True))
    assert log_on(world, client) == 2138


@pytest.mark.behaviour("Microsoft, System Error Codes: 64, the specified network name is no longer available")
def test_a_power_cut_of_the_server_is_error_64_and_then_53(world: World, pair: Pair) -> None:
    server, client = pair
    log_on(world, client)
    server.power_off()
    assert number(world, client, client.system.redirector.list(WEB)) == 64
    assert number(world, client, client.system.redirector.list(WEB)) == 53
    server.power_on()
    on(world, server, server.wait_booted())
    assert number(world, client, client.system.redirector.list(WEB)) == 0


@pytest.mark.behaviour("KB 102067: the redirector waits SessTimeout, 45 seconds by default")
def test_the_redirector_gives_a_silent_server_up_after_sesstimeout(world: World, pair: Pair) -> None:
    server, client = pair
    log_on(world, client)
    server.power_off()
    before = world.loop.time()
    number(world, client, client.system.redirector.list(WEB))
    assert world.loop.time() - before <= 46


@pytest.mark.behaviour("KB 161431: an address in a UNC path calls *SMBSERVER")
def test_a_server_is_reached_by_its_address(world: World, pair: Pair) -> None:
    _, client = pair
    files = client.system.redirector
    assert number(world, client, files.connect(r"\\10.0.0.1\web", "carol", "secret")) == 0


@pytest.mark.behaviour("the note, Naming Conventions: a stand-in answers to the failed server's name as well")
def test_a_session_needs_a_name_that_the_server_answers_for(world: World, pair: Pair) -> None:
    server, client = pair
    client.hosts["OLD"] = "10.0.0.1"
    files = client.system.redirector
    assert number(world, client, files.connect(r"\\OLD\web", "carol", "secret")) == 53
    on(world, server, server.host().identity.add_name("OLD"))
    assert number(world, client, files.connect(r"\\OLD\web", "carol", "secret")) == 0


@pytest.mark.behaviour("Microsoft, System Error Codes: 1219, credentials conflict with an existing set")
def test_a_second_account_at_the_same_server_is_error_1219(world: World, pair: Pair) -> None:
    server, client = pair
    server.system.accounts.add("dave", "secret")
    log_on(world, client)
    assert log_on(world, client, "dave") == 1219
    assert client.system.redirector.connections() == [("SERVER", "carol", True)]
    assert client.system.redirector.disconnect("SERVER")
    assert not client.system.redirector.disconnect("SERVER")
    assert log_on(world, client, "dave") == 0


@pytest.mark.behaviour("KB 297684: idle connections are dropped after 15 minutes and made again unnoticed")
def test_a_connection_dropped_for_idleness_is_made_again_unnoticed(world: World, pair: Pair) -> None:
    _, client = pair
    log_on(world, client)
    world.loop.run_until_complete(asyncio.sleep(16 * 60))
    assert client.system.redirector.connections() == [("SERVER", "carol", False)]
    assert number(world, client, client.system.redirector.list(WEB)) == 0


@pytest.mark.behaviour("Microsoft, Server service: paused, it takes administrators only (error 70)")
def test_a_paused_server_takes_administrators_only(world: World, pair: Pair) -> None:
    server, client = pair
    on(world, server, server.system.scm.pause("LanmanServer"))
    assert log_on(world, client) == 70
    server.system.accounts.add_member("Administrators", "carol")
    assert log_on(world, client) == 0


def test_nobody_leaves_a_share_upwards(world: World, pair: Pair) -> None:
    _, client = pair
    log_on(world, client)
    files = client.system.redirector
    for path in (r"\..\WINNT", r"\pages\..\..\WINNT", r"\C:", r"\pages:stream"):
        assert number(world, client, files.stat(WEB + path)) == 123


def test_a_client_that_reboots_begins_without_sessions(world: World, pair: Pair) -> None:
    _, client = pair
    log_on(world, client)
    client.power_off()
    client.power_on()
    on(world, client, client.wait_booted())
    assert client.system.redirector.connections() == []
    assert log_on(world, client) == 0


def test_a_body_without_a_port_for_it_shares_nothing_and_reaches_nobody(system: WindowsSystem) -> None:
    async def run() -> int:
        await system.boot()
        try:
            await Redirector(system).list(r"\\127.0.0.1\web")
        except NetworkPathError as error:
            return error.number
        finally:
            await system.shut_down()
        return 0

    assert asyncio.run(run()) == 53


@pytest.mark.parametrize("account", ["carol", "eve"])
def test_shares_travel_over_real_sockets_too(account: str) -> None:
    server, client = Host().system, Host().system
    server.make_directories("C:/web")
    server.write_file("C:/web/a.txt", b"over real sockets")
    server.shares.add("web", "C:/web")
    server.accounts.add("carol", "secret")

    async def run() -> bytes | int:
        listener = FileServer(server)
        server.file_sharing_port = 0
        await listener.start()
        assert isinstance(listener._server, asyncio.Server)
        client.file_sharing_port = listener._server.sockets[0].getsockname()[1]
        await client.scm.start("LanmanWorkstation")
        try:
            await client.redirector.connect(r"\\127.0.0.1\web", account, "secret")
            return await client.redirector.read(r"\\127.0.0.1\web\a.txt")
        except NetworkPathError as error:
            return error.number
        finally:
            client.redirector.close()
            await listener.stop()

    assert asyncio.run(run()) == (b"over real sockets" if account == "carol" else 1326)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=64), st.just(struct.pack("!I", 2**31))), max_size=4))
def test_random_frames_never_crash_the_server(frames: list[bytes]) -> None:
    system = Host().system

    async def run() -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        server = FileServer(system)
        system.file_sharing_port = 0
        await server.start()
        assert isinstance(server._server, asyncio.Server)
        port = server._server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for frame in frames:
            writer.write(struct.pack("!I", len(frame)) + frame)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await server.stop()
        assert trouble == []

    asyncio.run(run())
