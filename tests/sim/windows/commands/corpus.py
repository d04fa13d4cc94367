"""The corpus: batch files with what they print and the errorlevel they end with, on both releases."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.files import VolumeFiles
from bodydouble_sim.windows.service import IdleProgram, ServiceConfig
from bodydouble_sim.windows.system import WindowsSystem

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.windows.version import WindowsVersion

CORPUS = Path(__file__).parents[1] / "corpus"
START_NS = 1_038_819_600_000_000_000
_IIS_4 = ("Microsoft SMTP Service", "Microsoft NNTP Service")
_IIS_5 = ("Simple Mail Transport Protocol (SMTP)", "Network News Transport Protocol (NNTP)")


class Ticking:
    """A calendar that goes on a nanosecond at each look."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        self.now += 1
        return self.now


def machine(version: WindowsVersion) -> WindowsSystem:
    """A machine with drives C and D, IIS's services (without what they serve), and Chngname in C:\\DoubleTake."""

    def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(coro, name=name)

    clock = Ticking()
    files = VolumeFiles({letter: NtfsVolume(letter, clock) for letter in "CD"})
    system = WindowsSystem(files, clock, spawn, random.Random(1), version=version)
    system.install("TARGET")
    mail, news = _IIS_4 if version.is_nt4 else _IIS_5
    names = [
        ("MSFTPSVC", "FTP Publishing Service", ()),
        ("SMTPSVC", mail, (_IIS_4[0],)),
        ("NNTPSVC", news, (_IIS_4[1],)),
    ]
    names.append(("W3SVC", "World Wide Web Publishing Service", ()))
    process = "inetinfo.exe"
    system.scm.register(ServiceConfig("IISADMIN", "IIS Admin Service", "manual", (), process), IdleProgram)
    for name, display, aliases in names:
        config = ServiceConfig(name, display, "manual", ("IISADMIN",), process, tuple(set(aliases) - {display}))
        system.scm.register(config, IdleProgram)
    if version.is_nt4:
        system.scm.register(ServiceConfig("cisvc", "Content Index", "manual", ("RpcSs",), "cisvc.exe"), IdleProgram)
    system.install_program("C:/DoubleTake/chngname.exe", "chngname")
    system.make_directories("C:/t")
    return system


def directive(text: str, name: str) -> list[str]:
    """The words of ``@rem Name: a|b``."""
    for line in text.splitlines():
        if line.startswith(f"@rem {name}: "):
            return line.partition(": ")[2].split("|")
    return []


def run(version: WindowsVersion, path: Path) -> str:
    """What the batch file prints, and its errorlevel in the first line."""
    data = path.read_bytes()
    text = data.decode()

    async def scenario() -> str:
        system = machine(version)
        await system.boot()
        system.write_file(f"C:/t/{path.name}", data)
        answers, arguments = directive(text, "Answers"), directive(text, "Arguments")
        ended = await system.run_script(f"C:/t/{path.name}", arguments, {}, 60, answers=answers)
        return f"errorlevel: {ended.exit_code}\n" + ended.output.replace("\r\n", "\n")

    return asyncio.run(scenario())


def expected_file(path: Path, version: WindowsVersion) -> Path:
    """Where the expectation is: of this release if there is such a file, else of both."""
    own = path.with_suffix(".nt4.expected" if version.is_nt4 else ".2000.expected")
    return own if own.exists() else path.with_suffix(".expected")
