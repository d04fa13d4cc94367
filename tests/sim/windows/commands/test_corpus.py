"""Each script of the corpus prints what its expectation says, on both releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.windows.commands.corpus import CORPUS, directive, expected_file, run

from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_sim.windows.version import WindowsVersion

SCRIPTS = sorted(CORPUS.glob("*.bat"))


@pytest.mark.behaviour("each script's own `@rem Source:` line")
@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=lambda version: version.key)
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_what_its_expectation_says(path: Path, version: WindowsVersion) -> None:
    expected = expected_file(path, version).read_bytes().decode()
    assert run(version, path) == expected


def test_there_are_enough_scripts_and_each_says_what_it_shows_and_from_where() -> None:
    assert len(SCRIPTS) >= 60
    for path in SCRIPTS:
        text = path.read_bytes().decode()
        assert directive(text, "Shows"), path.name
        assert directive(text, "Source"), path.name
        assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n"), path.name


def test_a_changed_output_is_seen(tmp_path: Path) -> None:
    planted = tmp_path / "echo-forms.bat"
    planted.write_bytes((CORPUS / "echo-forms.bat").read_bytes() + b"echo more\r\n")
    expected = (CORPUS / "echo-forms.expected").read_bytes().decode()
    assert run(WINDOWS_2000, planted) != expected
