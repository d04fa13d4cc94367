from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import ScriptError
from bodydouble_sim.windows.command_interpreter.arguments import program_arguments
from bodydouble_sim.windows.command_interpreter.limits import STEP_LIMIT
from bodydouble_sim.windows.service import IdleProgram, ServiceConfig

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import ScriptResult
    from bodydouble_sim.windows.system import WindowsSystem

# The application note's samples with its placeholders replaced; comments shortened.
POSTOVER = """rem Change the name of the server for a while.
rem source_name is replaced, and so is <drive>:\\<directory>\\
C:\\DoubleTake\\chngname /s SOURCE

rem For version 4.0 only: Content Index
net start "IIS Admin Service"
rem net start "Content Index"
net start "FTP Publishing Service"
net start "Microsoft SMTP Service"
net start "Microsoft NNTP Service"
net start "World Wide Web Publishing Service"

rem Put the name back.
C:\\DoubleTake\\chngname /t
"""
PREBACK = """rem For version 4.0 only:
rem net stop "Content Index"
net stop "FTP Publishing Service"
net stop "IIS Admin Service" /y
"""


def script(system: WindowsSystem, text: str, *arguments: str, timeout: float = 10, **environment: str) -> ScriptResult:
    system.make_directories("C:/t")
    system.write_file("C:/t/test.bat", text.replace("\n", "\r\n").encode())

    async def run() -> ScriptResult:
        return await system.run_script("C:/t/test.bat", arguments, environment, timeout)

    return asyncio.run(run())


def lines(result: ScriptResult) -> list[str]:
    return [line for line in result.output.splitlines() if line]


def command(system: WindowsSystem, line: str) -> tuple[int, str]:
    result = asyncio.run(system.command(line))
    return result.exit_code, result.output


def test_arguments_variables_and_quotes(system: WindowsSystem) -> None:
    text = "@echo off\nset greeting=hello\necho %greeting% %1 %~2 %3. %*\necho 100%% %none%x %COLOUR%\necho %~n0%~x0\n"
    result = script(system, text, "one", "two words", COLOUR="blue")
    assert lines(result) == ['hello one two words . one "two words"', "100% x blue", "test.bat"]
    assert result.exit_code == 0


def test_errorlevel_is_at_least(system: WindowsSystem) -> None:
    text = (
        "@echo off\nnet start nonsense > nul 2>&1\nif errorlevel 3 echo three\nif errorlevel 2 echo two\n"
        "if not errorlevel 1 echo none\necho %errorlevel%\n"
    )
    assert lines(script(system, text)) == ["two", "2"]


def test_exist_and_equality_and_goto(system: WindowsSystem) -> None:
    text = (
        "@echo off\nif exist C:\\t\\test.bat echo there\nif not exist C:\\t\\*.txt echo no text\n"
        'if "%1"=="" goto none\nif /i "%1"=="YES" goto yes\necho never\n:yes\necho yes\ngoto :eof\n:none\necho none\n'
    )
    assert lines(script(system, text, "yes")) == ["there", "no text", "yes"]
    assert lines(script(system, text)) == ["there", "no text", "none"]


def test_call_comes_back_and_exit_b_sets_the_errorlevel(system: WindowsSystem) -> None:
    system.make_directories("C:/t")
    system.write_file("C:/t/inner.bat", b"@echo inner %1\r\n@exit /b 7\r\n")
    text = (
        "@echo off\ncall C:\\t\\inner.bat x\necho %errorlevel%\ncall :sub y\necho back\nexit /b 5\n:sub\necho sub %1\n"
    )
    result = script(system, text)
    assert lines(result) == ["inner x", "7", "sub y", "back"]
    assert result.exit_code == 5


def test_a_batch_file_that_is_not_called_does_not_come_back(system: WindowsSystem) -> None:
    system.make_directories("C:/t")
    system.write_file("C:/t/inner.bat", b"@echo inner\r\n")
    assert lines(script(system, "@C:\\t\\inner\n@echo never\n")) == ["inner"]


def test_an_unknown_command_is_9009_in_a_batch_file_and_1_at_the_prompt(system: WindowsSystem) -> None:
    result = script(system, "@echo off\nnonsense /x\necho %errorlevel%\n")
    assert "'nonsense' is not recognized as an internal or external command," in result.output
    assert lines(result)[-1] == "9009"
    assert command(system, "nonsense")[0] == 1


def test_lines_are_shown_with_the_prompt_unless_echo_is_off(system: WindowsSystem) -> None:
    result = script(system, "rem shown\n@rem hidden\n@echo off\nrem hidden too\n")
    assert lines(result) == ["C:\\WINNT\\system32>rem shown"]


def test_an_endless_loop_ends_at_the_step_limit(system: WindowsSystem) -> None:
    result = script(system, "@echo off\n:again\ngoto again\n")
    assert result.exit_code == 255
    assert f"after {STEP_LIMIT} commands" in result.output


def test_a_script_that_takes_too_long_is_killed(system: WindowsSystem) -> None:
    class Slow(IdleProgram):
        async def start(self, _died: object) -> None:
            await asyncio.Event().wait()

    system.scm.register(ServiceConfig("slow", "Slow"), Slow)
    result = script(system, "@echo off\necho before\nnet start slow\necho after\n", timeout=0.05)
    assert result.timed_out
    assert lines(result) == ["before"]


def test_a_missing_script_cannot_be_run(system: WindowsSystem) -> None:
    async def run(path: str) -> None:
        await system.run_script(path, [], {}, 1)

    with pytest.raises(ScriptError, match="no such script"):
        asyncio.run(run("C:/none.bat"))
    with pytest.raises(ScriptError, match=r"bat or \.cmd"):
        asyncio.run(run("C:/WINNT/system32/net.exe"))


def test_redirection_and_file_commands(system: WindowsSystem) -> None:
    text = (
        "@echo off\nmd C:\\x\\y\necho one>C:\\x\\a.txt\necho two>> C:\\x\\a.txt\ntype C:\\x\\a.txt\n"
        "copy C:\\x\\a.txt C:\\x\\y > nul\nren C:\\x\\a.txt b.txt\ndir /b C:\\x\ndel C:\\x\\y\\*.txt\n"
        "if not exist C:\\x\\y\\a.txt echo gone\n"
    )
    assert lines(script(system, text)) == ["one", "two", "b.txt", "y", "gone"]


def test_operators_between_commands(system: WindowsSystem) -> None:
    assert command(system, "echo a& echo b && echo c || echo never")[1].split() == ["a", "b", "c"]
    assert command(system, "net start nonsense > nul 2>&1 || echo failed")[1].strip() == "failed"
    assert command(system, 'echo "a & b"')[1].strip() == '"a & b"'


def test_an_unreplaced_placeholder_fails_and_the_script_goes_on(system: WindowsSystem) -> None:
    result = script(system, "@echo off\n<drive>\\<directory>\\chngname /s source_name\necho after\n")
    assert lines(result) == ["The system cannot find the file specified.", "after"]


def test_pure_rules() -> None:
    assert program_arguments('stop "IIS Admin Service" /y ""') == ["stop", "IIS Admin Service", "/y", ""]


def test_the_notes_postover_and_preback_run_as_printed(system: WindowsSystem) -> None:
    async def scenario() -> tuple[ScriptResult, list[str], str, ScriptResult, list[str]]:
        await system.boot()
        for line in (
            "install-chngname C:\\DoubleTake",
            "C:\\DoubleTake\\chngname /s SOURCE",
            "install-iis /version:5.0 /drive:C /manual /http:0 /ftp:0 /smtp:0 /nntp:0",
            'net stop "IIS Admin Service" /y',
            "C:\\DoubleTake\\chngname /t",
        ):
            assert (await system.command(line)).exit_code == 0, line
        assert (await system.command('net start "IIS Admin Service"')).exit_code == 2
        over = await system.run_script("C:/DoubleTake/postover.bat", [], {}, 60)
        running = [s.config.name for s in system.scm.services() if s.state == "running"]
        name = system.names.active
        back = await system.run_script("C:/DoubleTake/preback.bat", [], {}, 60)
        left = [s.config.name for s in system.scm.services() if s.state == "running"]
        return over, running, name, back, left

    system.make_directories("C:/DoubleTake")
    system.write_file("C:/DoubleTake/postover.bat", POSTOVER.replace("\n", "\r\n").encode())
    system.write_file("C:/DoubleTake/preback.bat", PREBACK.replace("\n", "\r\n").encode())
    over, running, name, back, left = asyncio.run(scenario())
    assert (over.exit_code, back.exit_code) == (0, 0)
    assert {"IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC"} <= set(running)
    assert name == "TARGET"
    assert not {"IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC"} & set(left)
    assert "World Wide Web Publishing Service service was started successfully." in over.output
    assert "The following services are dependent on the IIS Admin Service service." in back.output


def test_file_commands_say_what_is_wrong(system: WindowsSystem) -> None:
    system.make_directories("C:/x/full")
    system.write_file("C:/x/full/f.txt", b"12345")
    said = {
        "type C:\\x\\none": "The system cannot find the file specified.",
        "type C:\\x": "Access is denied.",
        "copy C:\\x\\none C:\\y": "The system cannot find the file specified.",
        "rd C:\\x\\full": "The directory is not empty.",
        "md C:\\x": "A subdirectory or file C:\\x already exists.",
        "cd C:\\none": "The system cannot find the path specified.",
        "ren C:\\x\\full\\f.txt": "The syntax of the command is incorrect.",
        "dir C:\\x\\none": "File Not Found",
        "E:": "The system cannot find the drive specified.",
        "set nonsense": "Environment variable nonsense not defined",
        "C:\\x\\full\\f.exe": "'C:\\x\\full\\f.exe' is not recognized",
    }
    for line, text in said.items():
        code, output = command(system, line)
        assert (code, text in output) == (1, True), line


def test_the_rest_of_the_prompt(system: WindowsSystem) -> None:
    system.make_directories("C:/x/d")
    system.write_file("C:/x/f.txt", b"12345")
    assert "Version 5.00.2195" in command(system, "ver")[1]
    assert command(system, "cd C:\\x& cd d& cd ..& cd") == (0, "C:\\x\r\n")
    assert "%none%" in command(system, "echo %none%")[1]
    assert "COMPUTERNAME=TARGET" in command(system, "set computer")[1]
    listing = command(system, "dir C:\\x")[1]
    assert "12/02/2002  09:00a      <DIR>          d" in listing
    assert "1 File(s)              5 bytes" in listing
    system.write_file("C:/x/broken.exe", b"nothing to run")
    assert command(system, "C:\\x\\broken")[0] == 193
