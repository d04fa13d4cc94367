"""Names: case, aliases, characters, lengths, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import KINDS, new_volume, put

from bodydouble_sim.storage import names, short_names

if TYPE_CHECKING:
    from tests.sim.storage.volumes import Clock

    from bodydouble_sim.storage.ntfs import NtfsVolume


@pytest.mark.behaviour("reference: File systems, names: case kept and ignored")
@pytest.mark.parametrize("kind", KINDS)
def test_names_keep_their_case_and_ignore_it_on_every_file_system(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    volume.mkdir("C:/InetPub")
    put(volume, "c:/INETPUB/Grüße.htm", b"x")
    assert [entry.path for entry in volume.list("C:/inetpub")] == ["C:/InetPub/Grüße.htm"]
    assert volume.read("C:/inetpub/GRÜßE.HTM") == b"x"


@pytest.mark.behaviour("NTFS $UpCase: one UTF-16 unit for one")
def test_sharp_s_is_not_the_same_as_two_s(volume: NtfsVolume) -> None:
    put(volume, "C:/straße", b"1")
    assert volume.stat("C:/STRASSE") is None
    assert volume.stat("C:/STRAßE") is not None


@pytest.mark.behaviour("KB 142982")
def test_a_long_name_has_a_short_alias_and_is_found_by_it(volume: NtfsVolume) -> None:
    put(volume, "C:/This is a really long filename.123.456.789.txt", b"x")
    assert volume.short_name("C:/This is a really long filename.123.456.789.txt") == "THISIS~1.TXT"
    assert volume.read("C:/thisis~1.txt") == b"x"
    entry = volume.stat("C:/THISIS~1.TXT")
    assert entry is not None
    assert entry.path == "C:/This is a really long filename.123.456.789.txt"


@pytest.mark.behaviour("KB 142982")
@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("This is a really long filename.123.456.789.", "THISIS~1.789"),
        ("a file.doc", "AFILE~1.DOC"),
        ("Program Files", "PROGRA~1"),
        ("index.html", "INDEX~1.HTM"),
        ("5+6 June Report.doc", "5_6JUN~1.DOC"),
        ("a.testing.file.bat", "ATESTI~1.BAT"),
    ],
)
def test_aliases_drop_what_short_names_cannot_have(name: str, alias: str) -> None:
    assert short_names.alias(name, ()) == alias


@pytest.mark.behaviour("KB 142982")
@pytest.mark.parametrize("name", ["A_file.doc", "index.htm", "CONFIG.SYS", "a-b", "~temp", "x.c"])
def test_a_name_that_fits_is_its_own_alias(volume: NtfsVolume, name: str) -> None:
    put(volume, f"C:/{name}", b"")
    assert volume.short_name(f"C:/{name}") == name


@pytest.mark.behaviour("T. Galvin: Windows 8.3 file names (2015)")
def test_after_four_clashes_the_alias_has_a_checksum(volume: NtfsVolume) -> None:
    aliases = []
    for number in range(6):
        put(volume, f"C:/SomeStuff{number}.aspx", b"")
        aliases.append(volume.short_name(f"C:/SomeStuff{number}.aspx"))
    assert aliases[:4] == [f"SOMEST~{number}.ASP" for number in range(1, 5)]
    assert all(alias.startswith("SO") and alias.endswith("~1.ASP") and len(alias) == 12 for alias in aliases[4:])
    assert short_names.checksum("SomeStuff.aspx") == 0xBC84
    assert short_names.alias("a.txt3", {f"A~{number}.TXT" for number in range(1, 5)}) == "AEE90~1.TXT"


def test_an_alias_is_free_again_when_its_file_is_gone(volume: NtfsVolume) -> None:
    put(volume, "C:/a long name", b"")
    volume.remove("C:/ALONGN~1")
    put(volume, "C:/a longer name", b"")
    assert volume.short_name("C:/a longer name") == "ALONGE~1"
    volume.rename("C:/a longer name", "C:/a long name")
    assert volume.short_name("C:/a long name") == "ALONGN~1"
    assert volume.stat("C:/ALONGE~1") is None


def test_an_alias_is_never_a_name_that_is_there(volume: NtfsVolume) -> None:
    put(volume, "C:/LONGNA~1", b"mine")
    put(volume, "C:/long name", b"other")
    assert volume.short_name("C:/long name") == "LONGNA~2"
    assert volume.read("C:/longna~1") == b"mine"


@pytest.mark.behaviour("Microsoft: Naming Files, Paths, and Namespaces")
@pytest.mark.parametrize("letter", [*'<>:"\\|?*', "\x01"])
def test_some_characters_are_in_no_name(letter: str) -> None:
    assert names.problem(f"a{letter}b")


@pytest.mark.behaviour("reference: File systems, names of 255 UTF-16 units")
def test_a_name_has_at_most_255_utf16_units() -> None:
    assert not names.problem("x" * 255)
    assert names.problem("x" * 256)
    assert names.problem("\N{MUSICAL SYMBOL G CLEF}" * 128)


@pytest.mark.behaviour("Microsoft: Naming Files, Paths, and Namespaces (reserved names)")
@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("nul", "NUL"),
        ("CON.txt", "CON"),
        ("com1", "COM1"),
        ("lpt9.x.y", "LPT9"),
        ("COM", ""),
        ("com0", ""),
        ("nulls", ""),
    ],
)
def test_device_names_are_devices_with_any_extension(name: str, device: str) -> None:
    assert names.device(name) == device
