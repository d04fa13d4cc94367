from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import ScriptError
from bodydouble.vocabulary.operations import CreateFile, Metadata, Write

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host


async def install(host: Host, body: Body, line: str) -> str:
    path = f"{body.root}/script{body.script_suffix}"
    data = body.script_lines[line].encode() + b"\n"
    await host.file_system.apply([CreateFile(path, Metadata(), 0), Write(path, 0, data, 0)])
    return path


def test_arguments_and_environment_reach_the_script(body: Body) -> None:
    async def case(host: Host) -> None:
        path = await install(host, body, "echo arguments")
        result = await host.scripts.run(path, ["one", "two"], {}, 10.0)
        assert (result.exit_code, result.output.strip(), result.timed_out) == (0, "one-two", False)
        path = await install(host, body, "echo variable")
        result = await host.scripts.run(path, [], {"COLOUR": "green"}, 10.0)
        assert result.output.strip() == "green"

    body.run(case)


def test_failing_script_is_a_result(body: Body) -> None:
    async def case(host: Host) -> None:
        path = await install(host, body, "fail")
        assert (await host.scripts.run(path, [], {}, 10.0)).exit_code == 3

    body.run(case)


def test_missing_script_is_an_error(body: Body) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(ScriptError, match="missing"):
            await host.scripts.run(f"{body.root}/missing{body.script_suffix}", [], {}, 10.0)

    body.run(case)


def test_suffix_without_an_interpreter_is_an_error(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/script.unknown"
        await host.file_system.apply([CreateFile(path, Metadata(), 0)])
        with pytest.raises(ScriptError):
            await host.scripts.run(path, [], {}, 10.0)

    body.run(case)
