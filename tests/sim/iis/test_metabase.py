"""The metabase: inheritance, types, its file, and adsutil."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.iis.drive import Site, files, run, until, web_service

from bodydouble.errors import InputError
from bodydouble_sim.iis import inetinfo, metabase_file
from bodydouble_sim.iis.metabase import Metabase, binding, normal
from bodydouble_sim.iis.metabase_file import METABASE, decode, encode
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour


@pytest.fixture
def metabase() -> Metabase:
    return Metabase("5.0", "SOURCE", "S-1-5-21-1-2")


@behaviour("IIS SDK, Property Inheritance: what is set at the service counts for all sites beneath")
def test_a_property_is_inherited_from_the_nearest_key_above(metabase: Metabase) -> None:
    metabase.set("/LM/W3SVC", "ConnectionTimeout", 60)
    metabase.set("/LM/W3SVC/1", "ConnectionTimeout", 30)
    paths = ("/LM/W3SVC/1/ROOT/a", "/LM/W3SVC/2/ROOT", "/LM/MSFTPSVC/1")
    assert [metabase.get(path, "ConnectionTimeout") for path in paths] == [30, 60, 900]
    metabase.remove("/LM/W3SVC/1", "ConnectionTimeout")
    assert metabase.get("/LM/W3SVC/1/ROOT", "ConnectionTimeout") == 60


@behaviour("IIS SDK, Property Inheritance: a few properties are not inherited (Path)")
def test_a_path_is_not_inherited(metabase: Metabase) -> None:
    metabase.set("/LM/W3SVC/1/ROOT", "Path", "C:\\x")
    assert metabase.get("/LM/W3SVC/1/ROOT/a", "Path") == ""


@behaviour("IIS SDK, AccessFlags: AccessRead, AccessWrite ... are its bits")
def test_flags_are_bits_of_their_property(metabase: Metabase) -> None:
    metabase.set("/LM/W3SVC", "AccessFlags", 1)
    metabase.set("/LM/W3SVC/1/ROOT", "AccessWrite", True)
    assert metabase.get("/LM/W3SVC/1/ROOT", "AccessFlags") == 3
    metabase.set("/LM/W3SVC/1/ROOT", "accessread", False)
    assert metabase.get("/LM/W3SVC/1/ROOT/a", "AccessFlags") == 2
    assert metabase.get("/LM/W3SVC", "AccessRead") is True


@behaviour("IIS SDK, About the Metabase: keys are found without regard to case")
def test_keys_are_found_in_any_case(metabase: Metabase) -> None:
    metabase.set("w3svc/1/Root/Shop", "Path", "C:\\shop")
    assert metabase.get("/lm/W3SVC/1/ROOT/SHOP", "path") == "C:\\shop"
    assert metabase.children("W3SVC/1/root") == ["Shop"]
    assert metabase.nearest("/LM/W3SVC/1/ROOT", "/shop/deeper/x.htm") == "/LM/w3svc/1/Root/Shop"


@behaviour("IIS SDK: each property has a data type")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MaxConnections", "many"),
        ("MaxConnections", -1),
        ("MaxConnections", True),
        ("ServerComment", 1),
        ("ServerBindings", "x"),
        ("ServerBindings", ["x"]),
        ("ServerBindings", [":99999:"]),
        ("AllowKeepAlive", 1),
        ("NoSuchThing", 1),
    ],
)
def test_values_of_another_type_are_refused(metabase: Metabase, name: str, value: object) -> None:
    with pytest.raises(InputError):
        metabase.set("/LM/W3SVC/1", name, value)  # type: ignore[arg-type]  # it is wrong


def test_keys_are_deleted_with_what_is_beneath(metabase: Metabase) -> None:
    metabase.set("/LM/W3SVC/1/ROOT/a/b", "Path", "C:\\x")
    metabase.remove_key("/LM/W3SVC/1/ROOT/A")
    assert metabase.children("/LM/W3SVC/1/ROOT") == []
    assert metabase.exists("/LM/W3SVC/1/ROOT")


def test_odd_paths_and_bindings_are_refused() -> None:
    with pytest.raises(InputError):
        normal("W3SVC//1")
    with pytest.raises(InputError):
        binding("80")
    found = binding("10.0.0.1:80:Shop.Example")
    assert (found.address, found.port, found.host) == ("10.0.0.1", 80, "shop.example")


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_metabase_comes_back_from_its_file(metabase: Metabase) -> None:
    metabase.set("/LM/W3SVC/1", "ServerBindings", [":80:", "10.0.0.1:81:a"])
    metabase.set("/LM/W3SVC/1", "ServerAutoStart", False)
    metabase.set_volatile("/LM/W3SVC/1", "ServerState", 2)
    loaded = decode(encode(metabase))
    assert (loaded.version, loaded.server_name, loaded.machine) == ("5.0", "SOURCE", "S-1-5-21-1-2")
    assert loaded.own("/LM/W3SVC/1") == {"ServerBindings": [":80:", "10.0.0.1:81:a"], "ServerAutoStart": False}


@given(st.data())
def test_any_damage_to_the_file_is_noticed(data: st.DataObject) -> None:
    """One byte changed, or the end cut off: never another configuration."""
    metabase = Metabase("5.0", "SOURCE", "S-1-5-21-1-2")
    metabase.set("/LM/W3SVC/1", "ServerBindings", [":80:"])
    whole = encode(metabase)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(InputError):
        decode(damaged)


async def start_fails(system: WindowsSystem) -> str:
    with pytest.raises(ServiceControlError) as caught:
        await system.scm.start("IISADMIN")
    assert caught.value.number == 1066
    return next(entry.text for entry in reversed(system.event_log.entries) if entry.source == "IISADMIN")


@behaviour("reference/windows-iis.md, Names: bound to its machine; IIS documentation, Restoring the Metabase")
def test_a_metabase_from_another_machine_is_refused(either: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        foreign = Metabase(either.version.iis, "TARGET", "S-1-5-21-9-9")
        await site.system.scm.stop("IISADMIN", dependents=True)
        own = site.system.files.read(METABASE)
        site.system.write_file(METABASE, encode(foreign))
        said = await start_fails(site.system)
        site.system.write_file(METABASE, own)
        await site.system.scm.start("IISADMIN")
        return said

    assert run(either, work) == "The metabase belongs to another machine."


@behaviour("reference/windows-iis.md, Names: read at start; a damaged one is refused")
@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"METABASE 2 x\n{}"])
def test_a_damaged_metabase_keeps_iis_from_starting(either: WindowsSystem, data: bytes) -> None:
    async def work(site: Site) -> str:
        await site.system.scm.stop("IISADMIN", dependents=True)
        site.system.write_file(METABASE, data)
        return await start_fails(site.system)

    assert run(either, work).startswith("The metabase cannot be read")


@behaviour("reference/windows-iis.md, Names: written at stop")
def test_changes_are_written_when_the_service_stops(either: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        site.set("W3SVC/1", ServerComment="Shop")
        await site.system.scm.stop("IISADMIN", dependents=True)
        await site.system.scm.start("W3SVC")
        return site.metabase.text("W3SVC/1", "ServerComment")

    assert run(either, work) == "Shop"


@behaviour("reference/windows-iis.md, Names: written now and then")
def test_changes_are_written_after_a_while_and_a_crash_before_loses_them(
    system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(site: Site) -> list[bytes]:
        site.set("W3SVC/1", ServerComment="lost")
        site.system.scm.crash("inetinfo.exe")
        seen = [site.system.files.read(METABASE)]
        monkeypatch.setattr(inetinfo, "SAVE_AFTER", 0.0)
        await site.system.scm.start("W3SVC")
        site.set("W3SVC/1", ServerComment="kept")
        await until(lambda: not (b"kept" not in site.system.files.read(METABASE)))
        site.system.scm.crash("inetinfo.exe")
        return [*seen, site.system.files.read(METABASE)]

    lost, kept = run(system, work)
    assert b"lost" not in lost
    assert b'"kept"' in kept


def test_a_metabase_that_cannot_be_written_is_told_as_an_event(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        disk = files(site.system)._on("C:").disk
        disk.capacity = disk.used
        site.set("W3SVC/1", ServerComment="x" * 5000)
        await site.system.scm.stop("IISADMIN", dependents=True)
        return [entry.number for entry in site.system.event_log.entries if entry.source == "IISADMIN"]

    assert run(system, work) == [inetinfo.NOT_WRITTEN]


def test_the_old_file_stays_until_the_new_one_is_complete(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        disk = files(site.system)._on("C:").disk
        disk.capacity = disk.used
        before = site.system.files.read(METABASE)
        site.set("W3SVC/1", ServerComment="x" * 5000)
        site.system.scm.find("IISADMIN").program._save()  # type: ignore[union-attr]  # it runs
        assert site.system.files.read(METABASE) == before
        return before

    assert decode(run(system, work)).server_name == "TARGET"
    assert metabase_file.LOG_FILES == "C:/WINNT/system32/LogFiles"


# --- adsutil --------------------------------------------------------------------------------------------------------


def adsutil(system: WindowsSystem, *lines: str) -> list[tuple[int, str]]:
    async def work(site: Site) -> list[tuple[int, str]]:
        results = [await site.system.command(f"adsutil {line}") for line in lines]
        return [(result.exit_code, result.output) for result in results]

    return run(system, work)


@behaviour("the note, Install and Configure Software on the Target, 5: sites are configured by hand")
def test_an_operator_configures_a_site_with_adsutil(either: WindowsSystem) -> None:
    either.make_directories("D:/shop")
    either.write_file("D:/shop/default.htm", b"shop")

    async def work(site: Site) -> tuple[list[int], bytes]:
        lines = (
            "create_vserv W3SVC/2",
            "set W3SVC/2/ServerComment Shop",
            "set W3SVC/2/ServerBindings 127.0.0.1:0:",
            "create_vdir W3SVC/2/ROOT",
            "set W3SVC/2/ROOT/Path D:\\shop",
            "start_server W3SVC/2",
            "stop_server W3SVC/2",
            "start_server W3SVC/2",
        )
        codes = [(await site.system.command(f"adsutil {line}")).exit_code for line in lines]
        answer = await site.http.get(f"http://127.0.0.1:{site.port(2)}/")
        return codes, answer.content

    assert run(either, work) == ([0] * 8, b"shop")


@behaviour("adsutil.vbs of IIS 4.0 and 5.0: the form of its output")
def test_adsutil_shows_values_with_their_types(either: WindowsSystem) -> None:
    comment, bindings, flag, number, secret, site = adsutil(
        either,
        "get W3SVC/1/ServerComment",
        "get W3SVC/1/ServerBindings",
        "get W3SVC/1/ROOT/accessread",
        "get W3SVC/1/ConnectionTimeout",
        "get W3SVC/AnonymousUserPass",
        "enum W3SVC/1",
    )
    assert comment == (0, 'ServerComment                   : (STRING) "Default Web Site"\r\n')
    assert bindings == (0, 'ServerBindings                  : (LIST) (1 Items)\r\n  ":0:"\r\n')
    assert flag == (0, "AccessRead                      : (BOOLEAN) True\r\n")
    assert number == (0, "ConnectionTimeout               : (INTEGER) 900\r\n")
    assert "**********" in secret[1]
    assert "[/W3SVC/1/ROOT]\r\n" in site[1]


@pytest.mark.parametrize(
    "line",
    [
        "get",
        "frobnicate W3SVC/1",
        "get W3SVC/1/NoSuchThing",
        "get W3SVC/9/ServerComment",
        "set W3SVC/1/MaxConnections many",
        "set W3SVC/9/MaxConnections 1",
        "enum W3SVC/9",
        "create W3SVC/1",
        "delete W3SVC",
        "delete W3SVC/9/ServerComment",
        "start_server W3SVC/9",
        "start_server SmtpSvc/1",
        "stop_server W3SVC",
    ],
)
def test_adsutil_refuses_what_is_wrong(system: WindowsSystem, line: str) -> None:
    assert [code for code, _ in adsutil(system, line)] == [1]


def test_adsutil_deletes_keys_and_properties(system: WindowsSystem) -> None:
    results = adsutil(
        system,
        "set W3SVC/1/ROOT/AccessFlags 3",
        "delete W3SVC/1/ROOT/AccessFlags",
        "get W3SVC/1/ROOT/AccessFlags",
        "create W3SVC/1/ROOT/a IIsWebDirectory",
        "delete W3SVC/1/ROOT/a",
        "enum W3SVC/1/ROOT/a",
    )
    assert [code for code, _ in results] == [0, 0, 0, 0, 0, 1]
    assert "(INTEGER) 1\r\n" in results[2][1]


@behaviour("IIS SDK, ServerBindings: a running service takes a change at once")
def test_new_bindings_count_at_once(system: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        await site.system.command("adsutil set W3SVC/1/ServerBindings 127.0.0.2:0:")
        await site.system.command("adsutil set MSFTPSVC/1/ServerBindings 127.0.0.2:0:")
        _, writer = await asyncio.open_connection("127.0.0.2", site.ftp_port())
        writer.close()
        await writer.wait_closed()
        port = web_service(site.system).port_of(1)
        return (await site.http.get(f"http://127.0.0.2:{port}/")).status_code

    assert run(system, work) == 200


def test_adsutil_starts_the_admin_service_if_the_name_allows_it(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[tuple[int, str]]:
        await site.system.scm.stop("IISADMIN", dependents=True)
        site.system.names.set_active("OTHER")
        refused = await site.system.command("adsutil get W3SVC/1/ServerComment")
        site.system.names.restore()
        shown = await site.system.command("adsutil get W3SVC/1/ServerComment")
        return [(refused.exit_code, site.system.scm.find("IISADMIN").state), (shown.exit_code, refused.output[:19])]

    assert run(either, work) == [(1, "running"), (0, "Error trying to GET")]
