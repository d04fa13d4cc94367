"""Commands through the door, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.winrm.conftest import exit_code, fault_code, output_of, reason, subcode

from bodydouble_sim.plain_xml import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from tests.sim.winrm.conftest import Client

    from bodydouble_sim.plain_xml import Element
    from bodydouble_sim.windows.machine import WindowsMachine

    Act = Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any]

CODE_PAGE = '<w:Option Name="WINRS_CODEPAGE">{}</w:Option>'


def test_a_command_answers_with_its_output_and_exit_code(act: Act) -> None:
    assert act(lambda client: client.run("hostname")) == (0, "target\r\n", "")


def test_output_and_error_output_come_in_streams_of_their_own(act: Act) -> None:
    code, output, errors = act(lambda client: client.run("echo seen & net start Nothing"))
    assert (code, output) == (2, "seen \r\n")
    assert "The service name is invalid." in errors


def test_output_is_received_while_the_command_still_runs(act: Act) -> None:
    async def story(client: Client) -> tuple[Any, ...]:
        shell = await client.shell()
        command = await client.start(shell, "slow 300")
        first = await client.receive(shell, command)
        began = asyncio.get_running_loop().time()
        rest = await client.finish(shell, command)
        return output_of(first), exit_code(first), rest, asyncio.get_running_loop().time() - began

    first, code, rest, took = act(story)
    assert (first, code) == ({"stdout": "begun\r\n"}, None)
    assert rest == (0, "ended\r\n", "")
    assert 290 < took < 310


@pytest.mark.behaviour("[MS-WSMV] 3.1.4.14: without output before OperationTimeout the WSManFault code is 2150858793")
def test_receive_without_output_ends_with_the_operation_timeout_fault(act: Act) -> None:
    async def story(client: Client) -> tuple[int | None, str, float]:
        client.timeout = 5
        shell = await client.shell()
        command = await client.start(shell, "slow 60")
        await client.receive(shell, command)
        began = asyncio.get_running_loop().time()
        answer = await client.receive(shell, command)
        return fault_code(answer), subcode(answer), asyncio.get_running_loop().time() - began

    code, name, took = act(story)
    assert (code, name) == (2150858793, "w:TimedOut")
    assert took == pytest.approx(5, abs=0.1)


def test_variables_directory_and_code_page_of_the_shell_hold_for_its_commands(act: Act, server: WindowsMachine) -> None:
    server.system.make_directories("C:/Work")
    inside = (
        "<rsp:WorkingDirectory>C:\\Work</rsp:WorkingDirectory>"
        '<rsp:Environment><rsp:Variable Name="PLACE">here</rsp:Variable></rsp:Environment>'
    )
    assert act(lambda client: client.run("echo %PLACE%&cd", inside)) == (0, "here\r\nC:\\Work\r\n", "")


def test_a_shell_in_a_directory_that_does_not_exist_is_refused(act: Act) -> None:
    answer = act(lambda client: client.create("<rsp:WorkingDirectory>C:\\Gone</rsp:WorkingDirectory>"))
    assert fault_code(answer) == 267


@pytest.mark.parametrize("page", ["999999", "utf-8", "", "-1"])
def test_an_unknown_code_page_is_refused(act: Act, page: str) -> None:
    answer = act(lambda client: client.create(options=CODE_PAGE.format(page)))
    assert "there is no code page" in reason(answer)


def test_input_sent_before_the_output_is_asked_for_answers_prompts(act: Act) -> None:
    async def story(client: Client) -> tuple[int, str, str]:
        shell = await client.shell()
        command = await client.start(shell, "set /p ANSWER=Name? & call echo it is %^ANSWER%")
        await client.send(shell, command, b"SOU")
        await client.send(shell, command, b"RCE\r\n", end=True)
        return await client.finish(shell, command)

    code, output, _ = act(story)
    assert code == 0
    assert "it is SOURCE" in output


def test_input_that_comes_after_the_command_has_begun_is_refused(act: Act) -> None:
    async def story(client: Client) -> int | None:
        shell = await client.shell()
        command = await client.start(shell, "slow 60")
        await client.receive(shell, command)
        return fault_code(await client.send(shell, command, b"late\r\n"))

    assert act(story) == 0x80338042


def test_a_command_runs_though_nobody_asks_for_its_output(act: Act, server: WindowsMachine) -> None:
    async def story(client: Client) -> None:
        shell = await client.shell()
        await client.start(shell, "echo done>C:\\done.txt")
        await asyncio.sleep(5)

    act(story)
    assert server.system.files.read("C:/done.txt") == b"done\r\n"


@pytest.mark.behaviour("[MS-WSMV] 2.2.4.38: ctrl_c ends the command that runs")
def test_control_c_ends_a_command_and_its_output_can_still_be_received(act: Act) -> None:
    async def story(client: Client) -> tuple[int, str, str]:
        shell = await client.shell()
        command = await client.start(shell, "slow 6000")
        first = output_of(await client.receive(shell, command))
        await client.signal(shell, command, "ctrl_c")
        code, output, errors = await client.finish(shell, command)
        return code, first["stdout"] + output, errors

    assert act(story) == (0xC000013A, "begun\r\n", "")


def test_a_command_that_is_interrupted_before_it_begins_has_ended(act: Act) -> None:
    async def story(client: Client) -> tuple[int, str, str]:
        shell = await client.shell()
        command = await client.start(shell, "echo never>C:\\never.txt")
        await client.signal(shell, command, "ctrl_c")
        return await client.finish(shell, command)

    assert act(story) == (0xC000013A, "", "")


@pytest.mark.behaviour("[MS-WSMV] 2.2.4.38: terminate cleans up what belongs to the command")
def test_a_terminated_command_is_gone(act: Act) -> None:
    async def story(client: Client) -> int | None:
        shell = await client.shell()
        command = await client.start(shell, "slow 6000")
        await client.signal(shell, command, "Terminate")
        return fault_code(await client.receive(shell, command))

    assert act(story) == 2150858843


def test_a_signal_of_another_name_is_refused(act: Act) -> None:
    async def story(client: Client) -> str:
        shell = await client.shell()
        return reason(await client.signal(shell, await client.start(shell, "ver"), "hang_up"))

    assert "ctrl_c, ctrl_break, terminate" in act(story)


def test_powershell_is_refused_in_words_that_say_why(act: Act) -> None:
    code, output, errors = act(lambda client: client.run("powershell -encodedcommand " + "A" * 4000))
    assert (code, output) == (1, "")
    assert "'powershell' is not recognized as an internal or external command" in errors
    assert "Windows 2000 5.00 has no PowerShell" in errors


def test_a_program_without_an_interpreter_is_refused(act: Act) -> None:
    async def story(client: Client) -> Element:
        option = '<w:Option Name="WINRS_SKIP_CMD_SHELL">TRUE</w:Option>'
        return await client.command(await client.shell(), "net start", option)

    assert "WINRS_SKIP_CMD_SHELL" in reason(act(story))


def test_output_larger_than_an_envelope_comes_in_several_answers(act: Act, server: WindowsMachine) -> None:
    text = "".join(f"line {number:05}\r\n" for number in range(4000))
    server.put_file("C:\\long.txt", text.encode())

    async def story(client: Client) -> tuple[int, str]:
        shell = await client.shell()
        command = await client.start(shell, "type C:\\long.txt")
        answers, output = 0, ""
        while True:
            small = client.envelope(
                "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive",
                f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout</rsp:DesiredStream></rsp:Receive>',
                shell,
            ).replace(b"153600", b"20000")
            response = await client.post(small)
            assert len(response.content) <= 20_000
            answer = parse(response.content)
            answers += 1
            output += output_of(answer).get("stdout", "")
            if exit_code(answer) is not None:
                return answers, output

    answers, output = act(story)
    assert answers > 3
    assert output == text
