"""The client of a live body's door: runs a command or a batch file there and ends with its exit code."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys

LIMIT = 1024 * 1024
UNREACHABLE = 254
USAGE = """usage: python -m bodydouble_sim.live command --socket PATH -- COMMAND [ARGUMENT...]
       python -m bodydouble_sim.live batch --socket PATH FILE [ARGUMENT...]
       python -m bodydouble_sim.live query --socket PATH SERVICE
       python -m bodydouble_sim.live serve --drives DIR --state DIR --socket PATH [--uts | --name NAME]
           [--winrm ADDRESS:PORT --password-file FILE]
                                            [--version windows-nt-4|windows-2000] [--service-pack N]
"""


def main(verb: str, arguments: list[str]) -> int:
    """Send one request and print the answer; 2 for wrong arguments, `UNREACHABLE` when nobody answers."""
    if verb not in ("command", "batch", "query") or len(arguments) < 3 or arguments[0] != "--socket":  # noqa: PLR2004
        sys.stderr.write(USAGE)
        return 2
    rest = arguments[2:]
    rest = rest[1:] if rest[0] == "--" else rest
    if not rest:
        sys.stderr.write(USAGE)
        return 2
    try:
        answer = _ask(arguments[1], _request(verb, rest))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{arguments[1]}: the Windows body does not answer: {error}\n")
        return UNREACHABLE
    sys.stdout.write(str(answer["output"]))
    sys.stdout.flush()
    code = answer["exit_code"]
    return min(code, 255) if isinstance(code, int) and code >= 0 else 255


def _request(verb: str, rest: list[str]) -> dict[str, object]:
    if verb == "command":
        return {"kind": "command", "line": rest[0] if len(rest) == 1 else " ".join(map(_quoted, rest))}
    if verb == "query":
        return {"kind": "query", "name": rest[0]}
    windows = rest[0][1:2] == ":"
    environment = {name: value for name, value in os.environ.items() if name.startswith("BODYDOUBLE_")}
    return {
        "kind": "batch",
        "path": rest[0] if windows else os.path.abspath(rest[0]),  # noqa: PTH100 - pathlib costs start-up time
        "arguments": rest[1:],
        "environment": environment,
    }


def _quoted(argument: str) -> str:
    special = any(character in argument for character in " \t&|<>") or not argument
    return f'"{argument}"' if special and '"' not in argument else argument


def _ask(path: str, request: dict[str, object]) -> dict[str, object]:
    data = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(path)
        door.sendall(struct.pack(">I", len(data)) + data)
        (length,) = struct.unpack(">I", _exactly(door, 4))
        if length > LIMIT:
            raise ValueError(f"an answer of {length} bytes")
        answer = json.loads(_exactly(door, length))
    if not isinstance(answer, dict):
        raise ValueError("an answer that is no object")  # noqa: TRY004 - it is the peer's value that is wrong
    return answer


def _exactly(door: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = door.recv(length - len(data))
        if not chunk:
            raise ValueError("the connection ended early")
        data += chunk
    return data
