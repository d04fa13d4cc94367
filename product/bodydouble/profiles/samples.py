"""Samples of scripts: what a profile's services need around a failover and a failback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.profiles import batch, shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.profiles.profile import Profile, ScriptEvent


class Sample(msgspec.Struct, frozen=True):
    """A script.

    Attributes:
        file: what to call it.
        text: its lines, ended by LF.
        windows: whether its lines end in CR LF on its host.
    """

    file: str
    text: str
    windows: bool

    def encode(self) -> bytes:
        """The file's bytes."""
        return (self.text.replace("\n", "\r\n") if self.windows else self.text).encode("ascii")


def sample(
    profile: Profile, event: ScriptEvent, *, source: str = "", directory: str = "", services: Iterable[str] = ()
) -> Sample:
    """Write a script for an application.

    Args:
        profile: the application.
        event: when it runs.
        source: the source's name; a must after a failover where the application runs only under it.
        directory: where Chngname lies on the target (``bodydouble`` on Linux); by default the profile's (Linux: on the
            search path).
        services: exactly these, see `Profile.choose`.

    Raises:
        InputError: a name is missing, unknown, or holds a character that a script cannot.
    """
    chosen = profile.choose(services)
    windows = profile.language == "batch"
    if windows:
        text = batch.script(profile, event, chosen, source, directory or profile.script_directory)
    else:
        text = shell.script(profile, event, chosen, source, directory)
    return Sample(profile.script_files[event], text, windows)
