"""The lab's side of a live body's command door (`bodydouble_sim.live.door`), reached through the host's directory."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Any

from bodydouble_labs.errors import LabError
from bodydouble_labs.providers.base import CommandResult
from bodydouble_sim.live.client import LIMIT

if TYPE_CHECKING:
    from pathlib import Path


async def command(door: Path, line: str) -> CommandResult:
    """Run one line in the host's command interpreter.

    Raises:
        LabError: the system does not answer.
    """
    return await _ask(door, {"kind": "command", "line": line})


async def service_state(door: Path, name: str) -> str | None:
    """A service's state in the product's words, None when there is no such service.

    Raises:
        LabError: the system does not answer.
    """
    answer = await _ask(door, {"kind": "query", "name": name})
    return answer.output.strip() if answer.exit_code in _KNOWN else None


_KNOWN = (0, 3)
"""Exit codes of a query: running, not running (as with ``systemctl is-active``); others are errors."""


async def _ask(door: Path, request: dict[str, Any]) -> CommandResult:
    data = json.dumps(request).encode()
    try:
        reader, writer = await asyncio.open_unix_connection(door)
        try:
            writer.write(struct.pack(">I", len(data)) + data)
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            if length > LIMIT:
                raise LabError(f"{door}: an answer of {length} bytes, at most {LIMIT} are allowed")
            answer = json.loads(await reader.readexactly(length))
        finally:
            writer.close()
    except (OSError, EOFError) as error:
        raise LabError(f"{door}: the Windows body does not answer ({error}), see windows.log") from error
    return CommandResult(int(answer["exit_code"]), str(answer["output"]))
