"""What a profile says of an application. Facts only: scripts and checks are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

ScriptEvent = Literal["post-failover", "pre-failback"]
Language = Literal["batch", "shell"]
Part = Literal["always", "usually", "if chosen"]


class ProfileService(msgspec.Struct, frozen=True, kw_only=True):
    """A service of an application.

    Attributes:
        name: its short name, which is the same in every language and release.
        display_name: what the console calls it.
        other_names: further names that it goes by, such as the note's on another release.
        needs: short names of those that it depends on: they start with it, and it stops with them.
        part: ``always``: nothing runs without it; ``usually``: unless others are chosen; ``if chosen``: only then.
    """

    name: str
    display_name: str
    other_names: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    part: Part = "usually"

    def is_called(self, name: str) -> bool:
        """Whether ``name`` means this service."""
        return name.casefold() in [each.casefold() for each in (self.name, self.display_name, *self.other_names)]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An application.

    Attributes:
        name: how commands call it.
        title: what people call it.
        system: the operating system it runs on, as `bodydouble.vocabulary.inventory.OperatingSystem.key` has it.
        system_title: that system, for people.
        service_pack: the lowest service pack that will do.
        services: in the order in which they start; each only needs those before it.
        other_services: whether services that are not listed may be chosen, too.
        directories: where its data lies by default; ``<drive>`` stands for a drive letter.
        name_sensitive: whether it runs only while the host's active name is the one that it was set up under.
        language: what its scripts are written in.
        script_files: what they are called.
        script_directory: where they lie by default.
    """

    name: str
    title: str
    system: str
    system_title: str
    service_pack: int = 0
    services: tuple[ProfileService, ...]
    other_services: bool = False
    directories: tuple[str, ...]
    name_sensitive: bool
    language: Language
    script_files: dict[ScriptEvent, str]
    script_directory: str

    def find(self, name: str) -> ProfileService | None:
        """The service that a name means."""
        return next((each for each in self.services if each.is_called(name)), None)

    def choose(self, names: Iterable[str] = ()) -> tuple[ProfileService, ...]:
        """The services of a script, in the order in which they start.

        Args:
            names: exactly these, and those that nothing runs without; with none, those that are usual.

        Raises:
            InputError: the profile has no such service.
        """
        names = list(names)
        chosen = [self._chosen(name) for name in names]
        if not names:
            return tuple(each for each in self.services if each.part != "if chosen")
        known = tuple(each for each in self.services if each.part == "always" or each in chosen)
        return known + tuple(each for each in dict.fromkeys(chosen) if each not in known)

    def _chosen(self, name: str) -> ProfileService:
        found = self.find(name)
        if found is not None:
            return found
        if self.other_services:
            return ProfileService(name=name, display_name=name, part="if chosen")
        known = ", ".join(f"{each.name} ({each.display_name})" for each in self.services)
        raise InputError(f"service: {self.title} has no service {name!r}; it has {known}")
