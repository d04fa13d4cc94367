"""POSTOVER.BAT and PREBACK.BAT of the application note, as printed, on both versions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import ScriptResult
    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
SCRIPTS = Path(__file__).parents[3] / "labs" / "scenarios" / "scripts"
IIS = ("IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC")


def printed(name: str, *, index: bool) -> bytes:
    """The script with the note's placeholders replaced; ``index`` takes the rem off the Content Index line."""
    text = (SCRIPTS / name).read_text()
    text = text.replace("<drive>\\<directory>", "C:\\DoubleTake").replace("source_name", "SOURCE")
    if index:
        text = text.replace('rem net start "Content Index"', 'net start "Content Index"')
        text = text.replace('rem net stop "Content Index"', 'net stop "Content Index"')
    return text.replace("\n", "\r\n").encode()


async def prepared(system: WindowsSystem, *, index: bool) -> None:
    """The note's target: IIS set up under SOURCE, all services manual and stopped, the own name back."""
    await system.boot()
    for line in (
        "install-chngname C:\\DoubleTake",
        "C:\\DoubleTake\\chngname /s SOURCE",
        "install-iis /drive:C /manual /http:0 /ftp:0 /smtp:0 /nntp:0",
        'net stop "IIS Admin Service" /y',
        "C:\\DoubleTake\\chngname /t",
    ):
        result = await system.command(line)
        assert result.exit_code == 0, result.output
    if system.version.is_nt4:
        await system.scm.stop("cisvc")
    for name in ("POSTOVER.BAT", "PREBACK.BAT"):
        system.write_file(f"C:/DoubleTake/{name}", printed(name, index=index))


def running(system: WindowsSystem) -> set[str]:
    return {s.config.name for s in system.scm.services() if s.state == "running"} & {*IIS, "cisvc"}


def play(system: WindowsSystem, *, index: bool) -> tuple[ScriptResult, set[str], str, ScriptResult, set[str]]:
    async def main() -> tuple[ScriptResult, set[str], str, ScriptResult, set[str]]:
        await prepared(system, index=index)
        over = await system.run_script("C:/DoubleTake/POSTOVER.BAT", [], {}, 60)
        up, name = running(system), system.names.active
        back = await system.run_script("C:/DoubleTake/PREBACK.BAT", [], {}, 60)
        down = running(system)
        await system.shut_down()
        return over, up, name, back, down

    return asyncio.run(main())


@behaviour("the note, POSTOVER.BAT and PREBACK.BAT as printed")
def test_the_scripts_as_printed_start_and_stop_iis_on_both_versions(either: WindowsSystem) -> None:
    over, up, name, back, down = play(either, index=False)
    assert (over.exit_code, back.exit_code) == (0, 0), over.output + back.output
    assert (up, name, down) == (set(IIS), "TARGET", set())
    assert "World Wide Web Publishing Service service was started successfully." in over.output
    assert "The following services are dependent on the IIS Admin Service service." in back.output


@behaviour("the note, POSTOVER.BAT: with version 4.0 uncomment the Content Index line")
def test_with_the_content_index_lines_content_index_runs_on_4_0(nt4: WindowsSystem) -> None:
    over, up, _, back, down = play(nt4, index=True)
    assert (over.exit_code, back.exit_code) == (0, 0), over.output + back.output
    assert up == {*IIS, "cisvc"}
    assert down == set()
    assert "The Content Index service was started successfully." in over.output
    assert "The Content Index service was stopped successfully." in back.output


@behaviour("the note, Content Index is for IIS 4.0 only; net's message 2185, The service name is invalid")
def test_the_content_index_lines_fail_visibly_on_5_0_and_the_rest_runs(system: WindowsSystem) -> None:
    over, up, name, back, down = play(system, index=True)
    assert (up, name, down) == (set(IIS), "TARGET", set())
    for result in (over, back):
        assert "The service name is invalid." in result.output
        assert "NET HELPMSG 2185" in result.output
