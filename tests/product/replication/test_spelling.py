"""Names that differ in case only, on volumes that ignore case: the replica gets the source's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until

from bodydouble.replication.mirror import Mirror
from bodydouble.vocabulary.operations import Rename, Write
from bodydouble.vocabulary.verification import Difference, VerificationOptions

if TYPE_CHECKING:
    from bodydouble.replication.protocol import ListedEntry
    from bodydouble.vocabulary.operations import Entry
    from bodydouble.vocabulary.verification import VerificationReport

MISSPELT = [
    Rename(f"{ROOT}/Images/Logo.gif", f"{ROOT}/Images/LOGO.GIF"),
    Rename(f"{ROOT}/Images", f"{ROOT}/images"),
    Rename(f"{ROOT}/Readme", f"{ROOT}/README"),
]


def machine(name: str) -> Site:
    site = Site(name, MemoryVolume(case_sensitive=False))
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/Images")
    site.put(f"{ROOT}/Readme", b"hello")
    site.put(f"{ROOT}/Images/Logo.gif", b"GIF89a")
    return site


def misspelt() -> Site:
    target = machine("WEB2")
    for rename in MISSPELT:
        target.volume.change(rename)
    return target


@pytest.mark.parametrize("kind", ["full", "difference", "checksum"])
def test_mirror_gives_the_replica_the_names_that_the_source_has(kind: str) -> None:
    async def scenario() -> None:
        source, target = machine("WEB1"), misspelt()
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind, orphans="delete")
            await mirrored(source, target)
            assert target.volume.get(f"{ROOT}/readme").path == f"{ROOT}/Readme"  # type: ignore[union-attr]

    asyncio.run(scenario())


def test_name_of_a_file_that_an_application_writes_meanwhile_is_corrected_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = machine("WEB1"), misspelt()
    written: list[Entry] = []
    spell = Mirror._spell

    def writing(self: Mirror, here: Entry, there: ListedEntry | None, mark: int) -> None:
        if here.path == f"{ROOT}/Readme" and not written:
            written.append(here)
            source.volume.do(Write(here.path, 0, b"HELLO", 9))
        spell(self, here, there, mark)

    monkeypatch.setattr(Mirror, "_spell", writing)

    async def scenario() -> None:
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)

    asyncio.run(scenario())
    assert written


def test_verification_finds_names_that_differ_in_case_and_its_repair_corrects_them() -> None:
    async def scenario() -> None:
        source, target = machine("WEB1"), machine("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            for rename in MISSPELT:
                target.volume.change(rename)
            found = await verified(source, VerificationOptions())
            details = await source.service.verifier.details(found.number)
            assert details.differences == [
                Difference(f"{ROOT}/Images", "different", "there it is called images"),
                Difference(f"{ROOT}/Readme", "different", "there it is called README"),
                Difference(f"{ROOT}/Images/Logo.gif", "different", "there it is called LOGO.GIF"),
            ]
            await verified(source, VerificationOptions(repair=True))
            await until(lambda: same(source, target))

    asyncio.run(scenario())


async def verified(source: Site, options: VerificationOptions) -> VerificationReport:
    number = source.service.verify(1, options).number

    def report() -> VerificationReport:
        return next(each for each in source.service.verifier.reports() if each.number == number)

    await until(lambda: report().state not in ("running", "repairing") and not source.service.verifier._running)
    return report()
