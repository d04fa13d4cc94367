"""``bodydouble set`` and the files that sets are exported to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import set_file, sets
from bodydouble.cli.main import cli
from bodydouble.errors import InputError
from bodydouble.security.certificate import fingerprint_of
from bodydouble.vocabulary.applications import ApplicationDirectory
from bodydouble.vocabulary.operations import MakeDirectory, Metadata
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(sets, "POLL", 0.01)
    (tmp_path / "token").write_text(TOKEN)
    environment = {
        "BODYDOUBLE_PORT": str(served.port),
        "BODYDOUBLE_TOKEN_FILE": str(tmp_path / "token"),
        "BODYDOUBLE_PIN": fingerprint_of(CERTIFICATE),
    }
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


def test_a_set_lives_by_commands(run: Callable[..., Result]) -> None:
    assert "C:/InetPub inc, rec" in run("set", "create", "IIS", "--include", r"C:\InetPub").stdout
    again = run("set", "create", "IIS", "--include", "C:/x")
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    assert run("set", "save", "IIS", "--include", "C:/x", "--no-remirror").exit_code == 0
    assert json.loads(run("set", "show", "IIS", "--json").stdout)["rules"][0]["path"] == "C:/x"
    assert run("set", "copy", "IIS", "copy").exit_code == 0
    assert run("set", "rename", "copy", "second").exit_code == 0
    assert [each["name"] for each in json.loads(run("repset", "list", "--json").stdout)] == ["IIS", "second"]
    assert run("connect", "IIS", "t").exit_code == 0
    refused = run("set", "delete", "IIS")
    assert (refused.exit_code, "is connected" in refused.stderr) == (1, True)
    assert run("set", "delete", "IIS", "--disconnect").exit_code == 0
    assert "no replication set 'IIS'" in run("set", "show", "IIS").stderr


def test_a_set_goes_through_a_file(run: Callable[..., Result], tmp_path: Path) -> None:
    run("set", "create", "web", "--include", "/srv/www", "--exclude-flat", "/srv/www/cache")
    file = str(tmp_path / "web.toml")
    assert run("set", "export", "web", file).exit_code == 0
    assert "is there already" in run("set", "export", "web", file).stderr
    assert run("set", "export", "web", file, "--replace").exit_code == 0
    assert "already" in run("set", "import", file).stderr
    assert run("set", "import", file, "--name", "second").exit_code == 0
    assert run("set", "import", file, "--replace").exit_code == 0
    first, second = json.loads(run("set", "list", "--json").stdout)
    assert first["rules"] == second["rules"]
    assert run("set", "export", "web").stdout == (tmp_path / "web.toml").read_text()


def test_a_decision_is_explained(run: Callable[..., Result]) -> None:
    run("set", "create", "web", "--include", "/srv/www", "--exclude", "/srv/*/cache")
    shown = run("set", "explain", "web", "/srv/www/cache/x", "/srv/www/a", "/other").stdout
    for words in ("/srv/*/cache exc, rec", "the most specific rule", "no rule matches", "/srv/www inc, rec"):
        assert words in shown
    (explained,) = json.loads(run("set", "explain", "web", r"C:\x", "--json").stdout)
    assert (explained["path"], explained["selected"]) == ("C:/x", False)


def test_a_size_is_calculated_shown_and_cancelled(served: Served, run: Callable[..., Result]) -> None:
    async def fill() -> None:
        await served.target.files.apply([MakeDirectory("/srv", Metadata())])

    run("set", "create", "web", "--include", "/srv")
    assert "not calculated yet" in run("set", "size", "web", "--show").stderr
    result = run("set", "size", "web")
    assert result.exit_code == 0, result.output
    assert "Size of web: complete" in result.stdout
    assert "together" in run("set", "size", "web", "--show").stdout
    assert "not being calculated" in run("set", "size", "web", "--cancel").stderr
    assert json.loads(run("set", "size", "web", "--begin", "--json").stdout)["state"] == "running"


def test_what_applications_need_and_no_set_holds_is_warned_of(served: Served, run: Callable[..., Result]) -> None:
    served.applications.known = [ApplicationDirectory(r"D:\shop", "web site 2 (Shop)", "root")]
    saved = run("set", "create", "IIS", "--include", r"C:\InetPub")
    warning = "bodydouble: warning: web site 2 (Shop), root: D:\\shop lies outside of the replication set 'IIS'"
    assert saved.exit_code == 0
    assert warning in saved.stderr
    assert warning in run("connect", "IIS", "t").stderr
    assert "Not in the replication sets" in run("status").stdout
    (uncovered,) = json.loads(run("status", "--json").stdout)["uncovered"]
    assert (uncovered["directory"]["path"], uncovered["state"]) == (r"D:\shop", "outside")
    assert run("set", "save", "IIS", "--include", r"C:\InetPub", "--include", r"D:\shop").stderr == ""
    assert "Not in the replication sets" not in run("status").stdout


# --- files ----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), min_size=1, max_size=20)


@given(TEXT, st.lists(st.tuples(TEXT, st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_what_is_exported_is_imported(
    tmp_path_factory: pytest.TempPathFactory, name: str, rules: list[tuple[str, bool, bool]]
) -> None:
    wanted = ReplicationSet(name, [Rule(f"/srv/x{path.replace('/', '')}", inc, rec) for path, inc, rec in rules])
    file = tmp_path_factory.getbasetemp() / "set.toml"
    file.write_text(set_file.write(wanted), "utf-8", newline="\n")
    assert set_file.read(file) == wanted


HEAD = 'bodydouble_replication_set = 1\nname = "web"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: bodydouble_replication_set: is missing; expected 1; export the set"),
        ("bodydouble_replication_set = 2\n", "line 1: bodydouble_replication_set: is 2; expected 1; "),
        ("bodydouble_replication_set = 1\nname = 7\n", "line 2: name: is 7; expected text in quotation marks; write"),
        (HEAD, "line 1: rule: expected one or more [[rule]] tables; add"),
        (HEAD + 'colour = "red"\n', "line 3: colour: is not known; expected one of"),
        (HEAD + "[[rule]]\n", "line 3: rule 1: expected include or exclude, one of them; give"),
        (
            HEAD + '[[rule]]\ninclude = "/a"\n\n[[rule]]\nexclude = "b"\n',
            "line 7: rule 2, exclude: 'b': expected an abs",
        ),
        (HEAD + '[[rule]]\ninclude = "/a"\nexclude = "/b"\n', "line 3: rule 1: expected include or exclude, one of"),
        (HEAD + '[[rule]]\ninclude = "/a"\nrecursive = "no"\n', "line 5: rule 1, recursive: is 'no'; expected true or"),
        (
            HEAD + '[[rule]]\ninclude = "/a"\nrecursve = true\n',
            "line 5: rule 1, recursve: is not known; expected one of",
        ),
        (HEAD + "rule = [1]\n", "rule 1: is 1; expected a table; write"),
        (HEAD + "[[rule]\n", "not valid TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_what_to_do(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "web.toml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        set_file.read(file)
    assert str(refused.value).startswith(str(file))
    assert error in str(refused.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        set_file.read(tmp_path / "none.toml")
    (tmp_path / "latin").write_bytes(b"name = '\xe4'")
    with pytest.raises(InputError, match="byte 8: not UTF-8"):
        set_file.read(tmp_path / "latin")
    (tmp_path / "long").write_bytes(b"#" * (set_file.MAX_BYTES + 1))
    with pytest.raises(InputError, match="longer than"):
        set_file.read(tmp_path / "long")
    with pytest.raises(InputError, match="cannot be exported"):
        set_file.write(ReplicationSet("x", [Rule("/\udcff")]))
