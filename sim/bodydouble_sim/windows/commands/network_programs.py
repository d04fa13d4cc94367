"""``hostname``, ``ipconfig``, ``ping`` and ``nbtstat``.

Their output is this model's choice, after what was printed at the time: NT 4.0 heads ``ipconfig`` with
"Windows NT IP Configuration" and calls an unknown name a "Bad IP address", 2000 an "Unknown host"; only 2000 sums a
``ping`` up. A reply is waited for one second, and so long lies between two echoes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_sim.windows.network_view import Adapter
    from bodydouble_sim.windows.shell import Shell

_ECHOES = 4
_MOST_ECHOES = 100
_SECOND = 1000


async def hostname(shell: Shell, arguments: list[str]) -> int:
    """``hostname``: the active name; it takes no argument."""
    if arguments:
        shell.error("sethostname: Use the Network Control Panel Applet to set hostname.")
        shell.error("hostname -s is not supported.")
        return 1
    shell.line(shell.system.names.active.lower())
    return 0


async def ipconfig(shell: Shell, arguments: list[str]) -> int:
    """``ipconfig [/all]``; ``/release`` and ``/renew`` find no adapter that DHCP configures."""
    switch = arguments[0].lower().replace("-", "/") if arguments else ""
    if switch in ("/release", "/renew"):
        shell.error("The operation failed as no adapter is in the state permissible for \r\nthis operation.")
        return 1
    if switch not in ("", "/all", "/flushdns", "/registerdns") or (switch[1:4] in ("flu", "reg") and _nt4(shell)):
        shell.error("USAGE:\r\n   ipconfig [/? | /all | /release [adapter] | /renew [adapter]]")
        return 1
    shell.line()
    shell.line("Windows NT IP Configuration" if _nt4(shell) else "Windows 2000 IP Configuration")
    shell.line()
    if switch in ("/flushdns", "/registerdns"):
        shell.line(
            "Successfully flushed the DNS Resolver Cache."
            if switch == "/flushdns"
            else "Registration of the DNS resource records has been initiated."
        )
        return 0
    if switch == "/all":
        _row(shell, "Host Name", shell.system.names.active.lower())
        shell.line()
    for adapter in shell.system.network.adapters():
        _adapter(shell, adapter, everything=switch == "/all")
    return 0


def _nt4(shell: Shell) -> bool:
    return shell.system.version.is_nt4


def _row(shell: Shell, label: str, value: str) -> None:
    width = 26 if _nt4(shell) else 34
    dots = " ." * ((width - len(label)) // 2)
    shell.line(f"\t{(label + dots):<{width}}: {value}".rstrip())


def _adapter(shell: Shell, adapter: Adapter, *, everything: bool) -> None:
    shell.line(f"Ethernet adapter {adapter.name}:")
    shell.line()
    if not adapter.connected and not _nt4(shell):
        _row(shell, "Media State", "Cable Disconnected")
        shell.line()
        return
    if not _nt4(shell):
        _row(shell, "Connection-specific DNS Suffix", "")
    if everything:
        _row(shell, "Physical Address", adapter.mac.upper())
        _row(shell, "DHCP Enabled", "No")
    for address in adapter.addresses:
        interface = ipaddress.ip_interface(address)
        _row(shell, "IP Address", str(interface.ip))
        _row(shell, "Subnet Mask", str(interface.netmask))
    _row(shell, "Default Gateway", adapter.gateway or "")
    if everything:
        _row(shell, "DNS Servers", ", ".join(adapter.dns))
        _row(shell, "Primary WINS Server", adapter.wins[0] if adapter.wins else "")
    shell.line()


async def ping(shell: Shell, arguments: list[str]) -> int:
    """``ping [-n count] [-w milliseconds] [-a] target``: 0 when at least one reply came."""
    count, wait, target = _ECHOES, _SECOND, ""
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in ("-n", "-w", "/n", "/w", "-l", "/l") and words and words[0].isdigit():
            number = int(words.pop(0)[:6])
            count = min(max(number, 1), _MOST_ECHOES) if word[1] == "n" else count
            wait = max(number, 1) if word[1] == "w" else wait
        elif re.match(r"[-/]", word):
            if word[1:] not in ("t", "a", "f"):
                shell.error(f"Bad option {word}.")
                return 1
        else:
            target = word
    if not target:
        shell.error("Usage: ping [-t] [-a] [-n count] [-l size] [-w timeout] destination-list")
        return 1
    address = await shell.system.network.resolve(target)
    if address is None:
        shell.line(f"Bad IP address {target}." if _nt4(shell) else f"Unknown host {target}.")
        return 1
    named = f"{target} [{address}]" if target != address else address
    shell.line(f"\r\nPinging {named} with 32 bytes of data:\r\n")
    return await _echoes(shell, address, count, wait / _SECOND)


async def _echoes(shell: Shell, address: str, count: int, wait: float) -> int:
    times: list[int] = []
    for number in range(count):
        shell.steps.take()
        if number:
            await asyncio.sleep(1)
        seconds = await shell.system.network.ping(address, wait)
        if seconds is None:
            shell.line("Request timed out.")
            continue
        milliseconds = int(seconds * _SECOND)
        times.append(milliseconds)
        shown = "<10ms" if milliseconds < 10 else f"={milliseconds}ms"  # noqa: PLR2004 - the clock's tick
        shell.line(f"Reply from {address}: bytes=32 time{shown} TTL=128")
    if not _nt4(shell):
        _statistics(shell, address, count, times)
    return 0 if times else 1


def _statistics(shell: Shell, address: str, count: int, times: list[int]) -> None:
    lost = count - len(times)
    shell.line(f"\r\nPing statistics for {address}:")
    shell.line(f"    Packets: Sent = {count}, Received = {len(times)}, Lost = {lost} ({lost * 100 // count}% loss),")
    shell.line("Approximate round trip times in milli-seconds:")
    low, high, total = min(times, default=0), max(times, default=0), sum(times)
    shell.line(f"    Minimum = {low}ms, Maximum =  {high}ms, Average =  {total // max(len(times), 1)}ms")


async def nbtstat(shell: Shell, arguments: list[str]) -> int:
    """``nbtstat -n``: the names of this machine; other machines' tables (``-A``) are not asked in this model."""
    if arguments[:1] != ["-n"]:
        shell.error("Displays protocol statistics and current TCP/IP connections using NBT\r\n(NetBIOS over TCP/IP).")
        return 1
    own = shell.system.names.active
    for adapter in shell.system.network.adapters():
        address = adapter.addresses[0].partition("/")[0] if adapter.addresses else "0.0.0.0"  # noqa: S104 - shown only
        shell.line(f"\r\n{adapter.name}:\r\nNode IpAddress: [{address}] Scope Id: []\r\n")
        shell.line("                NetBIOS Local Name Table\r\n")
        shell.line("       Name               Type         Status")
        shell.line("    ---------------------------------------------")
        for suffix in ("00", "20"):
            shell.line(f"    {own:<15}<{suffix}>  UNIQUE      Registered ")
    return 0
