"""Internal commands about the screen and the session: ``echo``, ``pause``, ``ver``, ``vol``, ``date``, ``time`` ...

Source: their help texts; the banners of ``ver`` are those of the releases (build 1381 and 2195).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.arguments import names_and_switches
from bodydouble_sim.windows.commands import dates, machine, volumes

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

BAD_PARAMETER = "The parameter is incorrect."


def echo(shell: Shell, rest: str) -> int:
    """``echo on|off``, ``echo``, ``echo text``, ``echo.``."""
    word = rest.strip().lower()
    if not rest.startswith((".", ":", "(", "/", "\\", "[", "]", "+", ",", ";", "=")):
        if word in ("on", "off"):
            shell.echo = word == "on"
            return 0
        if not word:
            shell.line(f"ECHO is {'on' if shell.echo else 'off'}.")
            return 0
    shell.line(rest[1:])
    return 0


def pause(shell: Shell, _rest: str) -> int:
    """``pause``: waits for a key, which an answer stands for."""
    shell.ask("Press any key to continue . . . ")
    return 0


def cls(shell: Shell, _rest: str) -> int:
    """``cls``: a form feed, as cmd.exe writes it where there is no screen."""
    shell.write("\f")
    return 0


def title(_shell: Shell, _rest: str) -> int:
    """``title``: nobody sees the window."""
    return 0


def color(_shell: Shell, rest: str) -> int:
    """``color attr``: two hexadecimal digits; the same colour twice is an error."""
    text = rest.strip().lower()
    if not text:
        return 0
    fits = re.fullmatch(r"[0-9a-f]{1,2}", text) and (len(text) == 1 or text[0] != text[1])
    return 0 if fits else 1


def ver(shell: Shell, _rest: str) -> int:
    """``ver``."""
    version = shell.system.version
    shell.line()
    if version.is_nt4:
        shell.line(f"Windows NT Version {version.number}  ")
    else:
        shell.line(f"Microsoft {version.title} [Version {version.number}.{version.build}]")
    return 0


def vol(shell: Shell, rest: str) -> int:
    """``vol [drive:]``."""
    names, _ = names_and_switches(rest)
    drive = names[0] if names else shell.directory[:2]
    if not re.fullmatch(r"[A-Za-z]:", drive):
        shell.error("The filename, directory name, or volume label syntax is incorrect.")
        return 1
    return volumes.show_label(shell, drive[0].upper())


def prompt(shell: Shell, rest: str) -> int:
    """``prompt text``."""
    text = rest.strip()
    if text:
        shell.environment["PROMPT"] = text
    else:
        shell.environment.pop("PROMPT", None)
    return 0


def path(shell: Shell, rest: str) -> int:
    """``path``, ``path ;``, ``path directories``."""
    text = rest.strip(" \t=")
    if not text:
        shell.line(f"PATH={shell.environment['PATH']}" if "PATH" in shell.environment else "PATH=(null)")
    elif text == ";":
        shell.environment.pop("PATH", None)
    else:
        shell.environment["PATH"] = text
    return 0


def verify(shell: Shell, rest: str) -> int:
    """``verify [on|off]``; another word is an error, which scripts use to set the errorlevel."""
    word = rest.strip().lower()
    if word and word not in ("on", "off"):
        shell.error("An incorrect parameter was")
        shell.error("entered for the command.")
        return 1
    if not word:
        shell.line("VERIFY is off.")
    return 0


def date(shell: Shell, rest: str) -> int:
    """``date [/t]``: shows the date; without ``/t`` it asks for a new one, and no answer changes nothing."""
    now = machine.local_time(shell.system)
    if "/t" in rest.lower():
        shell.line(f"{dates.date_text(now)} ")
        return 0
    shell.line(f"The current date is: {dates.date_text(now)} ")
    return _asked(shell, "Enter the new date: (mm-dd-yy) ")


def time(shell: Shell, rest: str) -> int:
    """``time [/t]``: as ``date``."""
    now = machine.local_time(shell.system)
    if "/t" in rest.lower():
        shell.line(dates.clock_time(now))
        return 0
    shell.line(f"The current time is: {dates.time_text(now)}")
    return _asked(shell, "Enter the new time: ")


def _asked(shell: Shell, question: str) -> int:
    """The console does not turn the clock (``system.set_clock`` is the lab's): another answer is refused."""
    if not (shell.ask(question) or "").strip():
        return 0
    shell.error("A required privilege is not held by the client.")
    return 1


def nothing(_shell: Shell, _rest: str) -> int:
    """``rem``, ``break``."""
    return 0
