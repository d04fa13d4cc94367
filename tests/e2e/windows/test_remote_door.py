"""pywinrm, unmodified, on live hosts of both releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import winrm
from tests.e2e.windows.host import DIRECTORY, PASSWORD
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WSManFaultError

if TYPE_CHECKING:
    from tests.e2e.windows.host import LiveHost


def test_pywinrm_starts_and_stops_a_service(web: LiveHost) -> None:
    session = web.session(transport="plaintext")
    assert session.run_cmd("net", ["stop", "W3SVC"]).status_code == 0
    answer = session.run_cmd("net", ["start", "W3SVC"])
    assert answer.status_code == 0
    assert b"World Wide Web Publishing Service service was started successfully" in answer.std_out


def test_pywinrm_sees_exit_code_and_error_output_of_a_failure(web: LiveHost) -> None:
    ran = web.run("net", "start", "W3SVC")
    assert ran.status == 2
    assert "The requested service has already been started." in ran.errors


def test_run_ps_is_refused_in_words_that_say_why(web: LiveHost) -> None:
    answer = web.session().run_ps("Get-Service W3SVC")
    assert answer.status_code == 1
    assert b"has no PowerShell" in answer.std_err


@pytest.mark.parametrize(
    ("user", "password", "transport"),
    [
        ("Administrator", "wrong", "basic"),
        ("Nobody", PASSWORD, "basic"),
        ("Guest", "", "plaintext"),
        ("Administrator", PASSWORD, "ntlm"),
    ],
)
def test_pywinrm_is_told_when_the_door_does_not_let_it_in(
    web: LiveHost, user: str, password: str, transport: str
) -> None:
    with pytest.raises(InvalidCredentialsError):
        web.session(user, password, transport).run_cmd("ver")


def test_an_administrator_made_by_net_user_may_enter_and_a_user_may_not(web: LiveHost) -> None:
    web.done("net", "user", "anna", "herown1", "/add")
    with pytest.raises(WSManFaultError) as caught:
        web.session("anna", "herown1").run_cmd("ver")
    assert caught.value.wsman_fault_code == 5
    web.done("net", "localgroup", "Administrators", "anna", "/add")
    assert web.session("anna", "herown1").run_cmd("hostname").std_out == b"target\r\n"
    web.done("net", "user", "anna", "/delete")


def test_the_protocol_of_pywinrm_keeps_variables_directory_and_input(web: LiveHost) -> None:
    protocol = web.session().protocol
    shell = protocol.open_shell(working_directory="C:\\WINNT", env_vars={"PLACE": "here"})
    command = protocol.run_command(shell, "echo %PLACE%&cd&sort")
    protocol.send_command_input(shell, command, "two\r\none\r\n", end=True)
    output, _, code = protocol.get_command_output(shell, command)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
    assert code == 0
    assert output.decode().split() == ["here", "C:\\WINNT", "one", "two"]


def test_a_closed_shell_is_a_fault_that_pywinrm_understands(web: LiveHost) -> None:
    protocol = web.session().protocol
    shell = protocol.open_shell()
    protocol.close_shell(shell)
    with pytest.raises(WSManFaultError) as caught:
        protocol.run_command(shell, "ver")
    assert caught.value.wsman_fault_code == 2150858843
    assert caught.value.fault_subcode == "w:InvalidSelectors"


def test_waiting_too_long_is_the_timeout_that_pywinrm_retries_by_itself(web: LiveHost) -> None:
    options = {"proxy": None, "ca_trust_path": None, "operation_timeout_sec": 1, "read_timeout_sec": 20}
    protocol = winrm.Session(web.url, auth=("Administrator", PASSWORD), **options).protocol
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "echo begun& sleep 3")
    assert protocol.get_command_output_raw(shell, command)[0] == b"begun\r\n"
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command)
    assert protocol.get_command_output(shell, command)[2] == 0
    protocol.close_shell(shell)


def test_the_door_keeps_what_it_changed_when_the_host_starts_again(fresh: LiveHost) -> None:
    fresh.done("net", "user", "anna", "herown1", "/add")
    assert fresh.file(DIRECTORY).is_dir()
    assert fresh.stop() == 0
    fresh.start()
    assert "anna" in fresh.done("net", "user")
