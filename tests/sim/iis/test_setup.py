"""Set-up of both versions, and the name rule."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import OPTIONS, Site, accounts, files, run

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.iis.installation import IisOptions, install, services_of
from bodydouble_sim.iis.setup import RESTART_QUESTION
from bodydouble_sim.windows.registry import INETSTP
from bodydouble_sim.windows.service import ServiceControlError
from bodydouble_sim.windows.version import NT_4

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import CommandResult, WindowsSystem

behaviour = pytest.mark.behaviour
IIS = ("IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC")


def refused(system: WindowsSystem, options: IisOptions) -> str:
    with pytest.raises(InputError) as caught:
        asyncio.run(install(system, options))
    return str(caught.value)


@behaviour("the note, Requirements: IIS 4.0 is for Windows NT 4.0, IIS 5.0 for Windows 2000")
def test_each_windows_takes_only_its_own_version_of_iis(system: WindowsSystem, nt4: WindowsSystem) -> None:
    assert "does not run on Windows 2000" in refused(system, IisOptions(version="4.0"))
    assert "does not run on Windows NT 4.0" in refused(nt4, IisOptions(version="5.0"))


@behaviour("ITPro Today, What is Option Pack 4? (Service Pack 3 or above); reference/windows-iis.md, Versions")
@pytest.mark.parametrize(("service_pack", "runs"), [(0, False), (2, False), (3, True), (6, True)])
def test_the_option_pack_needs_service_pack_3(
    build: Callable[..., WindowsSystem], service_pack: int, *, runs: bool
) -> None:
    nt = build(NT_4, service_pack)
    if not runs:
        assert "Service Pack 3 or higher" in refused(nt, OPTIONS)
        return

    async def work(site: Site) -> str:
        return site.system.scm.find("W3SVC").state

    assert run(nt, work) == "running"


@behaviour("reference/windows-iis.md, Services (short and display names by version)")
def test_services_are_called_as_each_version_calls_them(either: WindowsSystem) -> None:
    found = {config.name: config.display_name for config in services_of(either.version.iis, OPTIONS.components)}
    microsoft = {"SMTPSVC": "Microsoft SMTP Service", "NNTPSVC": "Microsoft NNTP Service", "cisvc": "Content Index"}
    protocols = {
        "SMTPSVC": "Simple Mail Transport Protocol (SMTP)",
        "NNTPSVC": "Network News Transport Protocol (NNTP)",
    }
    assert found == {
        "IISADMIN": "IIS Admin Service",
        "MSFTPSVC": "FTP Publishing Service",
        "W3SVC": "World Wide Web Publishing Service",
        **(microsoft if either.version.is_nt4 else protocols),
    }


@behaviour("reference/windows-iis.md, Services: the note's names are accepted on both versions")
@pytest.mark.parametrize(
    "name", ["Microsoft SMTP Service", "Microsoft NNTP Service", "World Wide Web Publishing Service"]
)
def test_the_notes_service_names_are_found_on_both_versions(either: WindowsSystem, name: str) -> None:
    async def work(site: Site) -> str:
        return site.system.scm.find(name).state

    assert run(either, work) == "running"


@behaviour("reference/windows-iis.md, Services: all but Content Index depend on IISADMIN and run in inetinfo.exe")
def test_services_depend_on_the_iis_admin_service(either: WindowsSystem) -> None:
    configs = services_of(either.version.iis, OPTIONS.components)
    inside = [config for config in configs if config.process == "inetinfo.exe"]
    assert [config.name for config in inside] == list(IIS)
    assert all(config.depends_on == ("IISADMIN",) for config in inside[1:])
    index = [config for config in configs if config.name == "cisvc"]
    assert [config.depends_on for config in index] == ([("RpcSs",)] if either.version.is_nt4 else [])


@behaviour("the note, Install Software on the Source, 2; reference/windows-iis.md, Versions (default content)")
def test_content_goes_to_inetpub_on_the_chosen_drive(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[bool]:
        names = ("wwwroot", "ftproot", "mailroot", "nntpfile")
        return [site.system.files.stat(f"D:/InetPub/{name}") is not None for name in names]

    assert run(either, work, drive="D") == [True] * 4
    assert either.registry.get(INETSTP, "PathWWWRoot") == "D:\\InetPub\\wwwroot"
    assert either.registry.get(INETSTP, "MajorVersion") == int(either.version.iis[0])
    assert either.files.stat("C:/InetPub") is None


@behaviour("the note, Install Software on the Source, 2: drive and directory are set-up's questions")
def test_the_directory_can_be_chosen(system: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        return site.metabase.text("W3SVC/1/ROOT", "Path")

    assert run(system, work, directory="Sites") == "C:\\Sites\\wwwroot"


@behaviour("reference/windows-iis.md, Services (SMTP and NNTP are options; Content Index is 4.0's)")
def test_only_chosen_components_are_registered(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[str]:
        return [s.config.name for s in site.system.scm.services() if s.config.process == "inetinfo.exe"]

    assert run(either, work, components=("ftp",)) == ["IISADMIN", "MSFTPSVC"]
    assert either.files.stat("C:/InetPub/mailroot") is None


@behaviour("the note, Install and Configure Software on the Target, 4: Content Index is IIS 4.0's only")
def test_the_index_option_brings_content_index_on_4_0(nt4: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[str, str]:
        service = site.system.scm.find("Content Index")
        return service.config.name, service.state

    assert run(nt4, work) == ("cisvc", "running")


@behaviour("reference/windows-iis.md, Names: IUSR_<name> and IWAM_<name> of the name at set-up")
def test_the_accounts_are_named_after_the_active_name_and_stay(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[bool]:
        site.system.names.restore()
        names = ("IUSR_SOURCE", "IWAM_SOURCE", "IUSR_TARGET")
        return [accounts(site.system).find(name) is not None for name in names]

    assert run(either, work, name="SOURCE") == [True, True, False]


@behaviour("reference/windows-iis.md, Names: accounts of an earlier set-up are used again")
def test_a_second_set_up_under_the_same_name_uses_the_same_accounts(system: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        await install(site.system, replace(OPTIONS, start=True))
        return (await site.http.get(f"http://127.0.0.1:{site.port()}/")).status_code

    assert run(system, work) == 200


@behaviour("the note, Install and Configure Software on the Target, 3: content that is there stays")
def test_a_second_set_up_keeps_the_content(either: WindowsSystem) -> None:
    either.make_directories("C:/InetPub/wwwroot")
    either.write_file("C:/InetPub/wwwroot/default.htm", b"mine")

    async def work(site: Site) -> bytes:
        return (await site.http.get("/")).content

    assert run(either, work) == b"mine"


def test_set_up_refuses_what_does_not_fit(either: WindowsSystem) -> None:
    assert "no drive X" in refused(either, IisOptions(drive="X"))
    assert "no component" in refused(either, IisOptions(components=("gopher",)))  # type: ignore[arg-type]  # it is wrong
    assert "not the name of a directory" in refused(either, IisOptions(directory="a/b"))


def test_set_up_refuses_a_drive_that_does_not_answer(system: WindowsSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str) -> None:
        raise FileSystemError("io", path)

    monkeypatch.setattr(files(system), "stat", fails)
    assert "no drive C" in refused(system, OPTIONS)


def test_the_command_takes_the_options_and_says_what_it_did(either: WindowsSystem) -> None:
    async def main() -> tuple[CommandResult, CommandResult, str]:
        await either.boot()
        ports = "/http:0 /ftp:0 /smtp:0 /nntp:0"
        done = await either.command(f"install-iis /drive:d: /directory:Web /components:web,ftp /manual {ports}")
        wrong = await either.command("install-iis /nonsense")
        startup = either.scm.find("W3SVC").config.startup
        await either.shut_down()
        return done, wrong, startup

    done, wrong, startup = asyncio.run(main())
    assert done.exit_code == 0, done.output
    assert f"IIS {either.version.iis} was set up on drive D: under the name TARGET." in done.output
    assert startup == "manual"
    assert either.files.stat("D:/Web/wwwroot/default.htm") is not None
    assert (wrong.exit_code, "usage: install-iis" in wrong.output) == (1, True)


@pytest.mark.parametrize("line", ["/http:x", "/http:99999", "/components:gopher", "/version:6.0", "/drive:Z"])
def test_the_command_refuses_what_is_wrong(system: WindowsSystem, line: str) -> None:
    result = asyncio.run(system.command(f"install-iis {line}"))
    assert (result.exit_code, "Setup failed" in result.output) == (1, True)


@behaviour("the note, Install and Configure Software on the Target, 3: do not reboot when prompted")
def test_set_up_asks_to_restart_and_takes_no_for_an_answer(either: WindowsSystem) -> None:
    asked: list[bool] = []

    class Button:
        def request(self, *, restart: bool, delay: float) -> None:
            asked.append(restart and delay == 0.0)

        def abort(self) -> bool:
            return False

    async def main() -> list[CommandResult]:
        await either.boot()
        either.power = Button()  # type: ignore[attr-defined, assignment, unused-ignore]  # a stand-in
        line = "install-iis /nostart /http:0 /ftp:0 /smtp:0 /nntp:0"
        return [await either.command(line, answers=answers) for answers in ((), ("N",), ("y",))]

    results = asyncio.run(main())
    assert all(RESTART_QUESTION in result.output for result in results)
    assert asked == [True]


# --- the name rule --------------------------------------------------------------------------------------------------


def states(system: WindowsSystem) -> set[str]:
    return {system.scm.find(name).state for name in IIS}


async def start_fails(system: WindowsSystem, name: str = "IISADMIN") -> str:
    with pytest.raises(ServiceControlError):
        await system.scm.start(name)
    return next(entry.text for entry in reversed(system.event_log.entries) if entry.source == "IISADMIN")


@behaviour("the note, Naming Conventions: installed on SOURCE it does not run while the primary name is TARGET")
def test_iis_set_up_under_source_does_not_start_while_target_is_the_primary_name(either: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        site.system.names.restore()
        await site.system.scm.stop("IISADMIN", dependents=True)
        said = await start_fails(site.system, "W3SVC")
        assert states(site.system) == {"stopped"}
        return said

    assert run(either, work, name="SOURCE") == "IIS was set up under the name SOURCE; the active name is TARGET."


@behaviour("the note, POSTOVER.BAT: chngname /s SOURCE, then the services start")
def test_iis_starts_under_chngname_s_source_and_keeps_running_after_t(either: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[set[str], set[str], int]:
        await site.system.scm.stop("IISADMIN", dependents=True)
        site.system.names.restore()
        await start_fails(site.system)
        await site.system.command("install-chngname C:\\DT")
        await site.system.command("C:\\DT\\chngname /s source")
        for name in IIS:
            if site.system.scm.find(name).state == "stopped":
                await site.system.scm.start(name)
        started = states(site.system)
        await site.system.command("C:\\DT\\chngname /t")
        answer = await site.http.get(f"http://127.0.0.1:{site.port()}/")
        return started, states(site.system), answer.status_code

    assert run(either, work, name="SOURCE") == ({"running"}, {"running"}, 200)


@behaviour("reference/windows-iis.md, Names: after a reboot services are as their startup types say")
@pytest.mark.parametrize("startup", ["automatic", "manual"])
def test_after_a_reboot_the_permanent_name_counts(either: WindowsSystem, startup: str) -> None:
    async def main() -> tuple[set[str], list[str], set[object]]:
        await either.boot()
        either.names.set_active("SOURCE")
        await install(either, replace(OPTIONS, startup=startup))  # type: ignore[arg-type]  # one of the two
        await either.shut_down()
        before = len(either.event_log.entries)
        await either.boot()
        after_boot = states(either)
        said = [entry.text for entry in either.event_log.entries[before:] if entry.source == "IISADMIN"]
        either.names.set_active("SOURCE")
        await either.scm.start("W3SVC")
        running: set[object] = {either.scm.find(name).state for name in ("IISADMIN", "W3SVC")}
        await either.shut_down()
        return after_boot, said, running

    after_boot, said, running = asyncio.run(main())
    assert after_boot == {"stopped"}
    assert bool(said) == (startup == "automatic")
    assert running == {"running"}


@behaviour("reference/windows-iis.md, Names: set up under its own name a server starts IIS at each boot")
def test_iis_set_up_under_the_permanent_name_starts_at_boot(either: WindowsSystem) -> None:
    async def main() -> set[str]:
        await either.boot()
        await install(either, OPTIONS)
        await either.shut_down()
        await either.boot()
        found = states(either)
        await either.shut_down()
        return found

    assert asyncio.run(main()) == {"running"}
