"""What the programs in system32 do, claim by claim."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.windows.commands.corpus import machine

from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.service import PausableIdleProgram, ServiceConfig
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble_sim.windows.system import CommandResult, WindowsSystem
    from bodydouble_sim.windows.version import WindowsVersion
    from bodydouble_sim.world import World

BOTH = pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=lambda version: version.key)


def done(
    *lines: str,
    version: WindowsVersion = WINDOWS_2000,
    answers: Sequence[str] = (),
    prepare: Callable[[WindowsSystem], None] | None = None,
) -> list[CommandResult]:
    """How each line ended, on one machine."""

    async def scenario() -> list[CommandResult]:
        system = machine(version)
        await system.boot()
        if prepare is not None:
            prepare(system)
        return [await system.command(line, answers=answers) for line in lines]

    return asyncio.run(scenario())


def last(*lines: str, version: WindowsVersion = WINDOWS_2000, answers: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and output of the last line."""
    result = done(*lines, version=version, answers=answers)[-1]
    return result.exit_code, result.output.replace("\r\n", "\n")


# --- services --------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour('reference/windows-iis.md, "Services"')
@BOTH
def test_starting_a_service_starts_what_it_depends_on(version: WindowsVersion) -> None:
    assert done("net start W3SVC", "net stop IISADMIN /y", version=version)[1].exit_code == 0


@pytest.mark.behaviour('reference/windows-iis.md, "Services": message 2182')
def test_starting_a_started_service_fails_with_2182() -> None:
    code, output = last("net start W3SVC", "net start W3SVC")
    assert (code, "HELPMSG 2182" in output) == (2, True)


@pytest.mark.behaviour('reference/windows-iis.md, "Services": message 3521')
def test_stopping_a_stopped_service_fails_with_3521() -> None:
    code, output = last("net stop W3SVC")
    assert (code, "HELPMSG 3521" in output) == (2, True)


@pytest.mark.behaviour('reference/windows-iis.md, "Services"')
@pytest.mark.parametrize(("answers", "code"), [([], 2), (["n"], 2), (["Y"], 0)], ids=["nobody", "no", "yes"])
def test_a_stop_with_dependents_asks_first(answers: list[str], code: int) -> None:
    assert last("net start W3SVC", "net stop IISADMIN", answers=answers)[0] == code


@pytest.mark.behaviour('the application note, POSTOVER.BAT; reference/windows-iis.md, "Services"')
def test_content_index_is_a_service_of_4_0_only() -> None:
    assert last('net start "Content Index"', version=NT_4)[0] == 0
    code, output = last('net start "Content Index"')
    assert (code, "The service name is invalid." in output) == (2, True)


@pytest.mark.behaviour("net helpmsg 1058")
def test_a_disabled_service_does_not_start() -> None:
    code, output = last("sc config W3SVC start= disabled", "net start W3SVC")
    assert (code, "System error 1058 has occurred." in output) == (2, True)


@pytest.mark.behaviour("help text of net pause; message 2191")
def test_a_service_is_paused_and_continued_if_it_can_be() -> None:
    def prepare(system: WindowsSystem) -> None:
        system.scm.register(ServiceConfig("mild", "Mild"), PausableIdleProgram)

    results = done(
        "net start mild", "net pause mild", "sc query mild", "net continue mild", "net pause Eventlog", prepare=prepare
    )
    assert "The Mild service was paused successfully." in results[1].output
    assert "7  PAUSED" in results[2].output
    assert "The Mild service was continued successfully." in results[3].output
    assert (results[4].exit_code, "HELPMSG 2191" in results[4].output) == (2, True)


@pytest.mark.behaviour("usage text of sc")
def test_sc_ends_with_the_windows_error() -> None:
    assert last("sc query none")[0] == 1060
    assert last("sc stop W3SVC")[0] == 1062
    assert last("sc start W3SVC", "sc start W3SVC")[0] == 1056


@pytest.mark.behaviour("usage text of sc: failure came with Windows 2000")
def test_recovery_actions_are_set_on_2000_only() -> None:
    line = "sc failure W3SVC reset= 3600 actions= restart/5000/reboot/1000"
    shown = last(line, "sc qfailure W3SVC")[1]
    assert "3600" in shown
    assert "RESTART -- Delay = 5000 ms" in shown
    assert last(line, version=NT_4)[0] != 0


@pytest.mark.behaviour("usage text of sc: create; error 1053 of a program that is no service")
def test_a_program_that_is_no_service_never_answers(world: World) -> None:
    target = WindowsMachine(world, "TARGET")
    target.plug(world.network.segment("lan"), "10.0.0.10/24")
    target.power_on()
    world.run(target.wait_booted())
    world.run(target.command("sc create mine binPath= C:\\mine.exe"))
    assert world.run(target.command("sc start mine")).exit_code == 1053


# --- IIS -------------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("TechNet bb742502, New Restart Features in IIS 5.0")
def test_iisreset_came_with_iis_5() -> None:
    assert last("iisreset /status")[0] == 0
    assert last("iisreset /status", version=NT_4)[0] == 1


@pytest.mark.behaviour("jrdodds.com, iisreset: /start starts what is configured to start automatically")
def test_iisreset_starts_nothing_that_is_set_to_manual() -> None:
    assert "Running" not in last("iisreset /start", "iisreset /status")[1]
    assert "( W3SVC ) : Running" in last("sc config W3SVC start= auto", "iisreset /start", "iisreset /status")[1]


@pytest.mark.behaviour("jrdodds.com, iisreset: /stop is as net stop iisadmin /y")
def test_iisreset_stops_all_of_iis() -> None:
    assert "Running" not in last("net start W3SVC", "iisreset /stop", "iisreset /status")[1]


@pytest.mark.behaviour("TechNet bb742502: IISReset can be disabled")
def test_iisreset_can_be_disabled() -> None:
    assert last("iisreset /disable", "iisreset")[0] == 1
    assert last("iisreset /disable", "iisreset /enable", "iisreset")[0] == 0


# --- chngname and names ----------------------------------------------------------------------------------------------


@pytest.mark.behaviour("the application note, Install and Configure Software on the Target, steps 2 and 8")
@BOTH
def test_chngname_changes_the_active_name_and_puts_it_back(version: WindowsVersion) -> None:
    utility = "C:\\DoubleTake\\chngname"
    results = done(f"{utility} /s SOURCE", "hostname", f"{utility} /t", "hostname", version=version)
    assert [result.output.strip() for result in results[1::2]] == ["source", "target"]


@pytest.mark.behaviour('reference/windows-iis.md, "Names": names have 15 characters')
@pytest.mark.parametrize("arguments", ["/s SIXTEENCHARACTER", '/s "A B"', "/s 123", '/s ""'])
def test_chngname_refuses_what_is_no_computer_name(arguments: str) -> None:
    code, output = last(f"C:\\DoubleTake\\chngname {arguments}")
    assert (code, output.startswith("Chngname: ")) == (1, True)
    assert last(f"C:\\DoubleTake\\chngname {arguments}", "hostname")[1] == "target\n"


@pytest.mark.behaviour("the application note shows /s NAME and /t; the rest is this model's choice")
@pytest.mark.parametrize("arguments", ["", "/s", "/t NOW", "/x", "SOURCE"])
def test_chngname_explains_itself_when_it_is_called_wrongly(arguments: str) -> None:
    assert last(f"C:\\DoubleTake\\chngname {arguments}")[0] == 2


@pytest.mark.behaviour('reference/windows-iis.md, "Names": only the active name changes')
def test_a_session_keeps_the_name_it_began_with() -> None:
    line = "C:\\DoubleTake\\chngname /s SOURCE >nul & call echo %computername%"
    assert last(line)[1] == "TARGET\n"
    assert last("C:\\DoubleTake\\chngname /s SOURCE", "echo %computername%")[1] == "SOURCE\n"


# --- accounts and shares ---------------------------------------------------------------------------------------------


@pytest.mark.behaviour("messages 2221 and 2224")
def test_accounts_are_added_once_and_deleted_once() -> None:
    results = done("net user op pw /add", "net user op pw /add", "net user op /delete", "net user op /delete")
    assert [result.exit_code for result in results] == [0, 2, 0, 2]
    assert "HELPMSG 2224" in results[1].output
    assert "HELPMSG 2221" in results[3].output


@pytest.mark.behaviour("help text of net user: /active")
def test_an_account_can_be_disabled() -> None:
    assert "Account active               No" in last("net user Guest /active:no", "net user Guest")[1]
    assert "Account active               Yes" in last("net user Guest /active:yes", "net user Guest")[1]


@pytest.mark.behaviour("help text of net localgroup")
def test_members_come_to_a_group_and_leave_it() -> None:
    lines = ("net user op pw /add", "net localgroup Administrators op /add", "net localgroup Administrators")
    assert "\nop\n" in last(*lines)[1]
    assert "\nop\n" not in last(*lines, "net localgroup Administrators op /delete", lines[2])[1]


@pytest.mark.behaviour("message 3515")
def test_global_groups_are_a_matter_of_domain_controllers() -> None:
    code, output = last("net group")
    assert (code, "HELPMSG 3515" in output) == (2, True)


@pytest.mark.behaviour("messages 2116, 2118 and 2310")
def test_shares_are_of_directories_once_and_until_deleted() -> None:
    results = done(
        "net share t=C:\\t", "net share t=C:\\t", "net share n=C:\\none", "net share t /delete", "net share t /delete"
    )
    assert [result.exit_code for result in results] == [0, 2, 2, 0, 2]
    assert ["HELPMSG 2118" in results[1].output, "HELPMSG 2116" in results[2].output] == [True, True]
    assert "HELPMSG 2310" in results[4].output


@pytest.mark.behaviour("message 2114")
def test_shares_need_the_server_service() -> None:
    code, output = last("net stop LanmanServer /y", "net share")
    assert (code, "HELPMSG 2114" in output) == (2, True)


@pytest.mark.behaviour("message 2138")
def test_connections_need_the_workstation_service() -> None:
    code, output = last("net stop LanmanWorkstation /y", "net use")
    assert (code, "HELPMSG 2138" in output) == (2, True)


@pytest.mark.behaviour("net helpmsg 53")
def test_a_server_that_nobody_knows_is_error_53() -> None:
    code, output = last("net use \\\\NOBODY\\share")
    assert (code, "System error 53 has occurred." in output) == (2, True)


@pytest.mark.behaviour("net helpmsg")
def test_helpmsg_shows_the_text_of_a_number() -> None:
    assert last("net helpmsg 1068")[1].strip() == "The dependency service or group failed to start."
    assert last("net helpmsg 99999")[0] == 2


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 120829")
def test_xcopy_that_finds_nothing_ends_with_1_on_2000_and_0_on_nt_4() -> None:
    assert last("xcopy C:\\none.txt D:\\")[0] == 1
    assert last("xcopy C:\\none.txt D:\\", version=NT_4)[0] == 0


@pytest.mark.behaviour("KB 120829: 4 for invalid syntax")
def test_xcopy_that_is_called_wrongly_ends_with_4() -> None:
    assert last("xcopy")[0] == 4
    assert last("xcopy C:\\t D:\\t /bad")[0] == 4


@pytest.mark.behaviour("help text of xcopy: /s leaves empty directories out, /e copies them")
def test_xcopy_s_leaves_empty_directories_behind() -> None:
    made = "md C:\\a\\empty & md C:\\a\\b & echo x>C:\\a\\b\\f"
    assert last(made, "xcopy C:\\a D:\\a /s /i", "if exist D:\\a\\b\\f if not exist D:\\a\\empty echo so")[1] == "so\n"
    assert last(made, "xcopy C:\\a D:\\a /e /i", "if exist D:\\a\\empty echo so")[1] == "so\n"


@pytest.mark.behaviour("help text of xcopy: F = file, D = directory")
@pytest.mark.parametrize(("answer", "path"), [("f", "D:\\new"), ("d", "D:\\new\\f")], ids=["file", "directory"])
def test_xcopy_asks_what_a_new_name_is(answer: str, path: str) -> None:
    lines = ("echo x>C:\\f", "xcopy C:\\f D:\\new", f"type {path}")
    assert last(*lines, answers=[answer])[1] == "x\n"


@pytest.mark.behaviour("help text of copy: it asks before it overwrites, but not in a batch file (Windows 2000)")
def test_copy_asks_before_it_overwrites() -> None:
    lines = ("echo a>C:\\a", "echo b>C:\\b", "copy C:\\a C:\\b", "type C:\\b")
    assert last(*lines, answers=["n"])[1] == "b\n"
    assert last(*lines, answers=["y"])[1] == "a\n"
    assert last(*lines, version=NT_4)[1] == "a\n"
    assert last(*lines[:2], "echo @copy C:\\a C:\\b >C:\\c.bat", "C:\\c.bat", lines[3])[1] == "a\n"


@pytest.mark.behaviour("help text of copy: the file keeps its time and is marked for archiving")
def test_a_copy_keeps_the_time_of_its_original() -> None:
    async def scenario() -> tuple[int, int]:
        system = machine(WINDOWS_2000)
        system.write_file("C:/a", b"x")
        system.files.set_times("C:/a", 10**18)
        await system.command("copy C:\\a C:\\b")
        entry = system.files.stat("C:/b")
        assert entry is not None
        return entry.mtime_ns, system.files.attributes("C:/b") & 32

    assert asyncio.run(scenario()) == (10**18, 32)


@pytest.mark.behaviour("help text of del: /f")
def test_a_read_only_file_is_deleted_by_force_only() -> None:
    lines = ("echo x>C:\\f", "attrib +r C:\\f")
    assert "Access is denied." in last(*lines, "del C:\\f")[1]
    assert last(*lines, "del /f C:\\f", "if not exist C:\\f echo gone")[1] == "gone\n"


@pytest.mark.behaviour("help text of rd: /s /q")
def test_rd_asks_before_it_removes_a_tree() -> None:
    lines = ("md C:\\a\\b", "rd /s C:\\a", "if exist C:\\a\\b echo there")
    assert last(*lines, answers=["n"])[1] == "there\n"
    assert last(*lines, answers=["y"])[1] == ""


@pytest.mark.behaviour("this model's choice, after listings of the time")
def test_a_listing_has_two_digits_of_the_year_on_nt_4_and_four_on_2000() -> None:
    assert "12/02/02  09:00a" in last("dir C:\\", version=NT_4)[1]
    assert "12/02/2002  09:00a" in last("dir C:\\")[1]


@pytest.mark.behaviour("help text of find: 1 when nothing was found")
def test_find_ends_with_1_when_nothing_was_found() -> None:
    assert last('echo x| find "x"')[0] == 0
    assert last('echo x| find "y"')[0] == 1


@pytest.mark.behaviour("help text of cacls: /e /g and /d; SDDL names of Microsoft")
def test_cacls_shows_and_changes_an_access_list() -> None:
    lines = ("echo x>C:\\f", "cacls C:\\f /e /g Everyone:R", "cacls C:\\f")
    assert "Everyone:R" in last(*lines)[1]
    assert "Everyone:N" in last(*lines[:2], "cacls C:\\f /e /d Everyone", lines[2])[1]


@pytest.mark.behaviour("usage text of reg (Windows 2000 support tools)")
def test_the_registry_is_changed_from_the_command_line_on_2000_only() -> None:
    lines = ("reg add HKLM\\SOFTWARE\\M /v N /t REG_DWORD /d 0x1f", "reg query HKLM\\SOFTWARE\\M /v N")
    assert "N\tREG_DWORD\t0x1f" in last(*lines)[1]
    assert last(*lines, version=NT_4)[0] == 1


# --- power, network, versions ----------------------------------------------------------------------------------------


@pytest.mark.behaviour("banners of the releases")
def test_ver_tells_the_releases_apart() -> None:
    assert last("ver")[1] == "\nMicrosoft Windows 2000 [Version 5.00.2195]\n"
    assert last("ver", version=NT_4)[1] == "\nWindows NT Version 4.0  \n"


@pytest.mark.behaviour("Microsoft, Description of the Shutdown.exe Tool: 20 seconds, /r restarts, /a aborts")
def test_shutdown_restarts_after_its_delay_unless_aborted(world: World) -> None:
    target = WindowsMachine(world, "TARGET")
    target.plug(world.network.segment("lan"), "10.0.0.10/24")
    target.power_on()
    world.run(target.wait_booted())
    assert world.run(target.command("shutdown /l /r /y")).exit_code == 0
    assert world.run(target.command("shutdown /l /a")).exit_code == 0
    world.run(asyncio.sleep(60))
    assert target.powered
    boots = sum(entry.number == 6005 for entry in target.system.event_log.entries)
    assert boots == 1
    world.run(target.command("shutdown /l /r /t:5 /y"))
    world.run(asyncio.sleep(300))
    assert sum(entry.number == 6005 for entry in target.system.event_log.entries) == 2


@pytest.mark.behaviour("this model's choice, after what was printed at the time")
@BOTH
def test_ping_reaches_who_is_there_and_nobody_else(world: World, version: WindowsVersion) -> None:
    segment = world.network.segment("lan")
    source, target = (WindowsMachine(world, name, version=version) for name in ("SOURCE", "TARGET"))
    source.plug(segment, "10.0.0.10/24")
    target.plug(segment, "10.0.0.20/24")
    for each in (source, target):
        each.power_on()
        world.run(each.wait_booted())
    there = world.run(target.command("ping -n 2 10.0.0.10"))
    assert (there.exit_code, there.output.count("Reply from 10.0.0.10: bytes=32")) == (0, 2)
    source.power_off()
    gone = world.run(target.command("ping -n 2 -w 500 10.0.0.10"))
    assert (gone.exit_code, gone.output.count("Request timed out.")) == (1, 2)
    shown = world.run(target.command("ipconfig")).output
    assert "10.0.0.20" in shown
    assert "255.255.255.0" in shown


@pytest.mark.behaviour("output handles of the console: net writes its failures to standard error")
def test_failures_go_to_standard_error() -> None:
    result = done("net start nonsense")[0]
    assert result.standard_output == ""
    assert "The service name is invalid." in result.standard_error


@pytest.mark.behaviour("help text of label, format and chkdsk; the drive of the system cannot be locked")
def test_the_system_drive_is_not_formatted() -> None:
    assert last("format C: /fs:ntfs /y")[0] == 4
    assert last("chkdsk C: /f", answers=["n"])[0] == 3


class Disks:
    """What a machine can do to its drives, noted."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def check(self, letter: str) -> tuple[str, ...]:
        self.done.append(("check", letter))
        return ("Windows has made corrections to the file system.",)

    def format(self, letter: str, file_system: str, label: str) -> None:
        self.done.append(("format", letter, file_system, label))

    def set_label(self, letter: str, label: str) -> None:
        self.done.append(("label", letter, label))


@pytest.mark.behaviour("help texts of format, chkdsk and label; NT 4.0 has no FAT32 (reference/windows-iis.md)")
def test_a_data_drive_is_formatted_checked_and_named() -> None:
    disks = Disks()

    def prepare(system: WindowsSystem) -> None:
        system.disks = disks

    lines = ("format D: /fs:ntfs /v:WEB", "format D: /fs:fat32 /y", "chkdsk D: /f", "label D: DATA")
    results = done(*lines, answers=["y"], prepare=prepare)
    assert [result.exit_code for result in results] == [0, 0, 0, 0]
    assert disks.done == [
        ("format", "D", "ntfs", "WEB"),
        ("format", "D", "fat32", ""),
        ("check", "D"),
        ("label", "D", "DATA"),
    ]
    assert "Windows has made corrections" in results[2].output
    assert done(lines[0], answers=["n"], prepare=prepare)[0].exit_code == 5
    assert done(lines[1], version=NT_4, prepare=prepare)[0].exit_code == 1
