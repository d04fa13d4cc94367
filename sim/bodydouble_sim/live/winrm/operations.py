"""What the door does for each operation of WS-Management on a text-based command shell."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from bodydouble_sim.live.winrm.faults import (
    ACTION_NOT_SUPPORTED,
    RESOURCE_NOT_FOUND,
    SCHEMA_ERROR,
    TIMED_OUT,
    UNSUPPORTED_FEATURE,
    WsmanFaultError,
)
from bodydouble_sim.live.winrm.message import ADDRESSING, COMMAND_SHELL, SHELL, TRANSFER, answer, duration
from bodydouble_sim.live.winrm.shells import DEFAULT_CODE_PAGE, Shells

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.live.winrm.command import Output, RunningCommand
    from bodydouble_sim.live.winrm.message import Request
    from bodydouble_sim.windows.system import WindowsSystem

_STREAMS = {1: "stdout", 2: "stderr"}
_OVERHEAD = 4096
"""Bytes of an answer that are not output."""
_SIGNALS = ("ctrl_c", "ctrl_break", "terminate")
_TRUE = ("TRUE", "1")


class Operations:
    """Carries requests out.

    Args:
        system: the machine.
        changed: see `Shells`.
    """

    def __init__(self, system: WindowsSystem, changed: Callable[[], None]) -> None:
        self.shells = Shells(system, changed)
        self._actions = {
            f"{TRANSFER}/Create": self._create,
            f"{TRANSFER}/Delete": self._delete,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
        }

    async def perform(self, owner: str, request: Request) -> bytes:
        """Carry one out and return the envelope of its answer.

        Args:
            owner: the account that asks.
            request: what it asks.

        Raises:
            WsmanFaultError: it is refused.
        """
        if request.resource != COMMAND_SHELL:
            raise WsmanFaultError(
                RESOURCE_NOT_FOUND, f"there is no resource {request.resource}; there is {COMMAND_SHELL}"
            )
        action = self._actions.get(request.action)
        if action is None:
            raise WsmanFaultError(ACTION_NOT_SUPPORTED, f"the action {request.action} is not supported")
        body = await action(owner, request)
        response = f"{request.action}Response"
        return answer(request, response, self.shells.new_id(), body)

    async def _create(self, owner: str, request: Request) -> str:
        """[MS-WSMV] 3.1.4.5.2."""
        body = request.content("Shell")
        variables = body.find(SHELL, "Environment")
        environment = {
            item.attributes.get("Name", ""): item.text
            for item in (variables.all(SHELL, "Variable") if variables is not None else [])
        }
        directory = body.find(SHELL, "WorkingDirectory")
        idle = body.find(SHELL, "IdleTimeOut")
        identifier = self.shells.create(
            owner,
            {name: value for name, value in environment.items() if name},
            directory.text.strip() if directory is not None else "",
            request.options.get("WINRS_CODEPAGE", DEFAULT_CODE_PAGE),
            duration(idle.text.strip()) if idle is not None else None,
        )
        selector = f'<w:SelectorSet><w:Selector Name="ShellId">{identifier}</w:Selector></w:SelectorSet>'
        return (
            f"<x:ResourceCreated><a:Address>{ADDRESSING}/role/anonymous</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{COMMAND_SHELL}</w:ResourceURI>{selector}</a:ReferenceParameters></x:ResourceCreated>"
            f"<rsp:Shell><rsp:ShellId>{identifier}</rsp:ShellId><rsp:InputStreams>stdin</rsp:InputStreams>"
            "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
        )

    async def _delete(self, owner: str, request: Request) -> str:
        self.shells.delete(self.shells.find(owner, request.selectors))
        return ""

    async def _command(self, owner: str, request: Request) -> str:
        """[MS-WSMV] 3.1.4.11. A program without an interpreter around it is not offered: there are no processes."""
        shell = self.shells.find(owner, request.selectors)
        body = request.content("CommandLine")
        if request.options.get("WINRS_SKIP_CMD_SHELL", "").upper() in _TRUE:
            raise WsmanFaultError(UNSUPPORTED_FEATURE, "WINRS_SKIP_CMD_SHELL is not supported: commands run in cmd.exe")
        command = body.find(SHELL, "Command")
        if command is None or not command.text.strip():
            raise WsmanFaultError(SCHEMA_ERROR, "CommandLine needs one Command")
        words = [command.text.strip(), *(item.text for item in body.all(SHELL, "Arguments"))]
        identifier = self.shells.run(shell, " ".join(words))
        return f"<rsp:CommandResponse><rsp:CommandId>{identifier}</rsp:CommandId></rsp:CommandResponse>"

    async def _send(self, owner: str, request: Request) -> str:
        """[MS-WSMV] 3.1.4.13."""
        shell = self.shells.find(owner, request.selectors)
        for stream in request.content("Send").all(SHELL, "Stream"):
            command = shell.command(stream.attributes.get("CommandId", ""))
            try:
                data = base64.b64decode("".join(stream.text.split()), validate=True)
            except binascii.Error:
                raise WsmanFaultError(SCHEMA_ERROR, "the input stream is not base64") from None
            if not command.send(data, end=stream.attributes.get("End", "").upper() in _TRUE):
                reason = "input has to come before the command's output is asked for, and may have 64 KiB"
                raise WsmanFaultError(UNSUPPORTED_FEATURE, reason)
        return "<rsp:SendResponse/>"

    async def _receive(self, owner: str, request: Request) -> str:
        """[MS-WSMV] 3.1.4.14: when no output comes within the operation's timeout, the fault is 2150858793."""
        shell = self.shells.find(owner, request.selectors)
        wanted = request.content("Receive").find(SHELL, "DesiredStream")
        identifier = wanted.attributes.get("CommandId", "") if wanted is not None else ""
        command: RunningCommand = shell.command(identifier)
        output = await command.receive((request.envelope - _OVERHEAD) * 3 // 4, request.timeout)
        if output is None:
            raise WsmanFaultError(
                TIMED_OUT, "the operation was not completed within the time given by OperationTimeout"
            )
        return f"<rsp:ReceiveResponse>{_output(quoteattr(identifier), output)}</rsp:ReceiveResponse>"

    async def _signal(self, owner: str, request: Request) -> str:
        """[MS-WSMV] 3.1.4.12 and 2.2.4.38: terminate is also the client's word that it has all the output."""
        shell = self.shells.find(owner, request.selectors)
        body = request.content("Signal")
        code = body.find(SHELL, "Code")
        name = code.text.strip().rpartition("/")[2].lower() if code is not None else ""
        if name not in _SIGNALS:
            raise WsmanFaultError(SCHEMA_ERROR, f"the signal must be one of {', '.join(_SIGNALS)}")
        identifier = body.attributes.get("CommandId", "")
        shell.command(identifier).interrupt()
        if name == "terminate":
            del shell.commands[identifier.upper()]
        return "<rsp:SignalResponse/>"


def _output(identifier: str, output: Output) -> str:
    """Streams and state of a command, as a ReceiveResponse holds them."""
    streams = "".join(
        f'<rsp:Stream Name="{_STREAMS[handle]}" CommandId={identifier}>{base64.b64encode(data).decode()}</rsp:Stream>'
        for handle, data in output.pieces
    )
    if output.exit_code is None:
        return f'{streams}<rsp:CommandState CommandId={identifier} State="{SHELL}/CommandState/Running"/>'
    ends = "".join(f'<rsp:Stream Name="{name}" CommandId={identifier} End="true"/>' for name in _STREAMS.values())
    state = f'<rsp:CommandState CommandId={identifier} State="{SHELL}/CommandState/Done">'
    return f"{streams}{ends}{state}<rsp:ExitCode>{output.exit_code}</rsp:ExitCode></rsp:CommandState>"
