"""Which programs there are in system32, and on which releases.

Source: ``iisreset`` came with IIS 5.0 and ``reg`` with the Windows 2000 support tools; ``sc``, ``sleep`` and
``shutdown`` are in the resource kits of both, which this model counts as installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.commands import (
    disk_programs,
    file_programs,
    network_programs,
    power_programs,
    text_programs,
)
from bodydouble_sim.windows.commands.chngname import chngname
from bodydouble_sim.windows.commands.cmd_program import cmd
from bodydouble_sim.windows.commands.iisreset import iisreset
from bodydouble_sim.windows.commands.net.program import net
from bodydouble_sim.windows.commands.reg import reg
from bodydouble_sim.windows.commands.sc import sc

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Program
    from bodydouble_sim.windows.version import WindowsVersion

_BOTH: dict[str, Program] = {
    "attrib": file_programs.attrib,
    "cacls": file_programs.cacls,
    "chkdsk": disk_programs.chkdsk,
    "cmd": cmd,
    "fc": text_programs.fc,
    "find": text_programs.find,
    "findstr": text_programs.findstr,
    "format": disk_programs.format_drive,
    "hostname": network_programs.hostname,
    "ipconfig": network_programs.ipconfig,
    "label": disk_programs.label,
    "more": text_programs.more,
    "nbtstat": network_programs.nbtstat,
    "net": net,
    "ping": network_programs.ping,
    "sc": sc,
    "shutdown": power_programs.shutdown,
    "sleep": power_programs.sleep,
    "sort": text_programs.sort,
    "xcopy": file_programs.xcopy,
}
_WINDOWS_2000: dict[str, Program] = {"iisreset": iisreset, "reg": reg}


def installed(version: WindowsVersion) -> list[str]:
    """The names of the programs that this release has in system32."""
    return sorted(_BOTH if version.is_nt4 else {**_BOTH, **_WINDOWS_2000})


def programs(version: WindowsVersion) -> dict[str, Program]:
    """What the executables of this release run; Chngname is put on the machine by whoever uses it."""
    return {**_BOTH, **({} if version.is_nt4 else _WINDOWS_2000), "chngname": chngname}
