"""``cd``, ``md``, ``rd``, ``pushd`` and ``popd``.

Source: their help texts on Windows 2000: ``md`` makes what is missing in between, ``cd`` takes a name with spaces as it
is and needs ``/d`` to change the drive; ``rd /s`` asks unless ``/q`` is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.arguments import names_and_switches
from bodydouble_sim.windows.command_interpreter.limits import DIRECTORY_STACK, SYNTAX_TEXT
from bodydouble_sim.windows.commands import machine
from bodydouble_sim.windows.commands.deleting import sure
from bodydouble_sim.windows.commands.matching import PATH_NOT_FOUND, message
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

UNC_DIRECTORY = "CMD does not support UNC paths as current directories."


def cd(shell: Shell, rest: str) -> int:
    """``cd [/d] [directory]``."""
    text = rest.strip(" \t,;=")
    match = re.match(r"/d(?:\s+|$)", text, re.IGNORECASE)
    text = text[match.end() :] if match else text
    if not text:
        shell.line(windows_path(shell.directory))
        return 0
    if re.fullmatch(r"[A-Za-z]:", text) and not match:
        shell.line(windows_path(shell.directory_of(text[0])))
        return 0
    if text.startswith("\\\\"):
        shell.error(f"'{text}'\r\n{UNC_DIRECTORY}")
        return 1
    path = shell.path(text)
    entry = shell.system.files.stat(path)
    if entry is None or not entry.directory:
        shell.error(PATH_NOT_FOUND if entry is None else "The directory name is invalid.")
        return 1
    if path[:1] == shell.directory[:1]:
        shell.directory = entry.path
    elif match:
        shell.enter(entry.path)
    else:
        shell.current[path[:1]] = entry.path
    return 0


def md(shell: Shell, rest: str) -> int:
    """``md directory ...``."""
    names, _ = names_and_switches(rest)
    if not names:
        shell.error(SYNTAX_TEXT)
        return 1
    status = 0
    for name in names:
        path = shell.path(name)
        if shell.system.files.stat(path):
            shell.error(f"A subdirectory or file {name} already exists.")
            status = 1
        elif shell.extensions:
            shell.system.make_directories(path)
        else:
            shell.system.files.mkdir(path)
    return status


def rd(shell: Shell, rest: str) -> int:
    """``rd [/s] [/q] directory ...``."""
    names, switches = names_and_switches(rest)
    if not names:
        shell.error(SYNTAX_TEXT)
        return 1
    status = 0
    for name in names:
        entry = shell.system.files.stat(shell.path(name))
        if entry is not None and not entry.directory:
            shell.error("The directory name is invalid.")
            status = 1
            continue
        if "/s" in switches and entry is not None:
            if "/q" in switches or sure(shell, name):
                status = remove_tree(shell, entry.path) or status
            continue
        try:
            shell.system.files.rmdir(shell.path(name))
        except FileSystemError as error:
            shell.error(message(error, shell))
            status = 1
    return status


def remove_tree(shell: Shell, path: str) -> int:
    """Remove a directory and all in it; what cannot go is named and stays."""
    files = shell.system.files
    status = 0
    for entry in [] if machine.is_link(files, path) else files.list(path):
        try:
            if entry.directory:
                status = remove_tree(shell, entry.path) or status
                continue
            machine.set_attributes(files, entry.path, machine.attributes(files, entry) & ~machine.READ_ONLY)
            files.remove(entry.path)
        except FileSystemError as error:
            shell.error(f"{windows_path(entry.path)} - {message(error, shell)}")
            status = 1
    if not status:
        files.rmdir(path)
    return status


def pushd(shell: Shell, rest: str) -> int:
    """``pushd [directory]``: without one the stack is shown, newest first."""
    text = rest.strip()
    if not text:
        for directory in reversed(shell.directories):
            shell.line(windows_path(directory))
        return 0
    entry = shell.system.files.stat(shell.path(text))
    if entry is None or not entry.directory:
        shell.error(PATH_NOT_FOUND if entry is None else "The directory name is invalid.")
        return 1
    if len(shell.directories) >= DIRECTORY_STACK:
        shell.error("Not enough storage is available to process this command.")
        return 1
    shell.directories.append(shell.directory)
    shell.enter(entry.path)
    return 0


def popd(shell: Shell, _rest: str) -> int:
    """``popd``: nothing happens when the stack is empty, and the return code says so."""
    if not shell.directories:
        return 1
    shell.enter(shell.directories.pop())
    return 0
