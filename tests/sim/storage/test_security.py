"""Security descriptors: reading them, inheritance, and who gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.storage.volumes import fails, new_volume, put

from bodydouble_sim.errors import SecurityTextError
from bodydouble_sim.storage import security
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from tests.sim.storage.volumes import Clock

SITE = b"O:BAG:SYD:(D;;FA;;;Mallory)(A;OICI;FA;;;BA)(A;OICI;FR;;;IUSR_SOURCE)(A;OICIIO;FA;;;CO)"


def test_a_descriptor_is_read_and_written() -> None:
    read = security.parse(SITE)
    assert (read.owner, read.group) == ("BA", "SY")
    assert read.dacl is not None
    assert [(ace.kind, ace.flags, ace.trustee) for ace in read.dacl][:2] == [
        ("D", (), "Mallory"),
        ("A", ("OI", "CI"), "BA"),
    ]
    assert read.text == SITE
    assert security.parse(b"D:PAI(A;;0x1301bf;;;S-1-5-32-545)").text == b"D:PAI(A;;0x1301bf;;;S-1-5-32-545)"


@pytest.mark.parametrize("text", [b"what?", b"D:(A;;FA;;)", b"D:(A;;NO;;;WD)", b"D:(A;O;FA;;;WD)", b"O:BAO:BA"])
def test_what_is_no_sddl_is_refused(text: bytes) -> None:
    with pytest.raises(SecurityTextError):
        security.parse(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        security.parse(text)
    except SecurityTextError:
        assert not security.allows(text, "SOMEBODY", [], "read")


@pytest.mark.behaviour("Microsoft: How AccessCheck Works")
@pytest.mark.parametrize(
    ("account", "groups", "want", "may"),
    [
        ("IUSR_SOURCE", ["Guests"], "read", True),
        ("iusr_source", [], "write", False),
        ("Operator", ["administrators"], "delete", True),
        ("Mallory", ["Administrators"], "read", False),
        ("Somebody", ["Users"], "read", False),
        (None, [], "write", True),
    ],
)
def test_access_is_granted_by_the_entries_in_their_order(
    account: str | None, groups: list[str], want: security.Want, may: bool
) -> None:
    assert security.allows(SITE, account, groups, want) == may


@pytest.mark.behaviour("Microsoft: Null DACLs and Empty DACLs")
def test_no_dacl_lets_everybody_in_and_an_empty_one_nobody() -> None:
    assert security.allows(b"O:BA", "Somebody", [], "write")
    assert not security.allows(b"O:BAD:", "Somebody", [], "read")


@pytest.mark.behaviour("Microsoft: How AccessCheck Works")
def test_a_denial_after_the_grant_comes_too_late() -> None:
    assert security.allows(b"D:(A;;FA;;;WD)(D;;FA;;;Guest)", "Guest", [], "read")
    assert not security.allows(b"D:(D;;FA;;;Guest)(A;;FA;;;WD)", "Guest", [], "read")


@pytest.mark.behaviour("Microsoft: File Security and Access Rights (FILE_DELETE_CHILD)")
def test_who_may_delete_children_of_a_directory_deletes_a_file_that_forbids_it(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    put(volume, "C:/d/f", b"")
    volume.set_security("C:/d/f", b"D:(A;;FR;;;WD)")
    assert volume.access("C:/d/f", "Somebody", [], "delete")
    volume.set_security("C:/d", b"D:(A;;FR;;;WD)")
    assert not volume.access("C:/d/f", "Somebody", [], "delete")
    assert volume.access("C:/d/f", "Somebody", [], "read")


@pytest.mark.behaviour("Microsoft: ACE Inheritance Rules; reference: File systems, permissions")
@pytest.mark.parametrize(("release", "mark"), [(4, b""), (5, b"ID")])
def test_a_new_file_inherits_from_its_directory(clock: Clock, release: int, mark: bytes) -> None:
    volume = NtfsVolume("C", clock, release=4 if release == 4 else 5)
    volume.mkdir("C:/site")
    volume.set_security("C:/site", SITE)
    put(volume, "C:/site/page.htm", b"")
    volume.mkdir("C:/site/sub")
    file, directory = volume.security("C:/site/page.htm"), volume.security("C:/site/sub")
    assert b"(A;%b;FA;;;BA)(A;%b;FR;;;IUSR_SOURCE)" % (mark, mark) in file
    assert b"Mallory" not in file + directory
    assert b"(A;OICI%b;FR;;;IUSR_SOURCE)" % mark in directory
    assert b"(A;OICIIO%b;FA;;;CO)" % mark in directory
    assert not volume.access("C:/site/page.htm", "Somebody", [], "read")


@pytest.mark.behaviour("Microsoft: ACE Inheritance Rules (NO_PROPAGATE, CREATOR OWNER)")
def test_inheritance_that_does_not_go_further_and_the_creators_share() -> None:
    parent = b"O:BAD:(A;OICINP;FR;;;Once)(A;OICIIO;FA;;;CO)(A;CI;FR;;;Folders)"
    assert security.inherited(parent, directory=True, marked=False) == (
        b"O:BAD:(A;;FR;;;Once)(A;;FA;;;BA)(A;OICIIO;FA;;;CO)(A;CI;FR;;;Folders)"
    )
    assert security.inherited(parent, directory=False, marked=False) == b"O:BAD:(A;;FR;;;Once)(A;;FA;;;BA)"


@pytest.mark.behaviour("Microsoft: SetFileSecurity does not reach what is below")
def test_changing_a_directory_leaves_its_files_as_they_are(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    put(volume, "C:/d/f", b"")
    before = volume.security("C:/d/f")
    volume.set_security("C:/d", b"D:")
    assert volume.security("C:/d/f") == before


@pytest.mark.behaviour("reference: File systems, FAT has no permissions")
@pytest.mark.parametrize("kind", ["fat16", "fat32"])
def test_fat_lets_everybody_in_and_keeps_no_permissions(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    put(volume, "C:/a", b"")
    fails("denied", lambda: volume.set_security("C:/a", b"D:"))
    assert volume.security("C:/a") == b""
    assert volume.access("C:/a", "Guest", [], "write")
