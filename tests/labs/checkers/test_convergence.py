from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.checkers import convergence
from bodydouble_labs.history import TreeEntry

if TYPE_CHECKING:
    from bodydouble_labs.checkers import Check
    from bodydouble_labs.history import History, Tree
    from bodydouble_labs.scenario.model import Scenario

PAGE = "wwwroot/default.htm"


def run(history: History, scenario: Scenario) -> Check:
    return convergence.check(history, scenario.expect, scenario)


def change(history: History, **changes: object) -> None:
    tree = history.trees["target"]
    tree[PAGE] = msgspec.structs.replace(tree[PAGE], **changes)


def test_equal_trees_pass_and_are_counted(history: History, scenario: Scenario) -> None:
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert "463 files and 2 directories" in check.detail


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 4095}, "size 4096 against 4095"),
        ({"digest": "cd" * 32}, "content abababababab against cdcdcdcdcdcd"),
        ({"attributes": 33}, "attributes 32 against 33"),
        ({"security": "everyone"}, "security admins against everyone"),
        ({"directory": True}, "file on the source, directory on the target"),
        ({"target": "C:/elsewhere"}, "leads to none against C:/elsewhere"),
        ({"streams": {"summary": "ab"}}, "stream summary"),
        ({"extended": {"user.note": "ff"}}, "extended attribute user.note"),
        ({"same_as": "wwwroot/other.htm"}, "the same file as none against wwwroot/other.htm"),
    ],
)
def test_a_planted_difference_fails(
    history: History, scenario: Scenario, changes: dict[str, object], words: str
) -> None:
    change(history, **changes)
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert check.detail == f"1 difference: {PAGE}: {words}"


def test_a_file_on_one_side_only_fails(history: History, scenario: Scenario) -> None:
    history.trees["target"]["orphan.txt"] = TreeEntry(False, 1, "d", 0, "", 0)
    del history.trees["target"][PAGE]
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "orphan.txt: only on the target; wwwroot/default.htm: only on the source" in check.detail


def test_a_name_in_another_case_is_another_name(history: History, scenario: Scenario) -> None:
    tree = history.trees["target"]
    tree[PAGE.upper()] = tree.pop(PAGE)
    assert run(history, scenario).verdict == "fail"


def test_times_count_only_when_the_scenario_says_so(history: History, scenario: Scenario) -> None:
    change(history, mtime_ns=6)
    assert run(history, scenario).verdict == "pass"
    strict = msgspec.structs.replace(scenario.expect, same_times=True)
    check = convergence.check(history, strict, scenario)
    assert (check.verdict, check.detail) == ("fail", f"1 difference: {PAGE}: last write 5 ns against 6 ns")


def test_times_of_directories_count_likewise(history: History, scenario: Scenario) -> None:
    tree = history.trees["target"]
    tree["wwwroot"] = msgspec.structs.replace(tree["wwwroot"], mtime_ns=77)
    assert run(history, scenario).verdict == "pass"
    strict = msgspec.structs.replace(scenario.expect, same_times=True)
    check = convergence.check(history, strict, scenario)
    assert (check.verdict, check.detail) == ("fail", "1 difference: wwwroot: last write 1 ns against 77 ns")


@pytest.mark.parametrize("host", ["source", "target"])
def test_a_missing_tree_is_invalid(history: History, scenario: Scenario, host: str) -> None:
    del history.trees[host]
    check = run(history, scenario)
    assert (check.verdict, check.detail) == ("invalid", f"no final tree of {host} was taken")


def test_two_empty_trees_are_invalid(history: History, scenario: Scenario) -> None:
    history.trees = {"source": {}, "target": {}}
    assert run(history, scenario).verdict == "invalid"


def test_an_emptied_target_fails_with_a_short_detail(history: History, scenario: Scenario) -> None:
    history.trees["target"] = {}
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert check.detail.startswith("465 differences: ")
    assert check.detail.endswith("; and 460 more")


_ENTRIES = st.builds(
    TreeEntry,
    directory=st.booleans(),
    size=st.integers(0, 2),
    digest=st.sampled_from(["", "d", "e"]),
    attributes=st.integers(0, 1),
    security=st.sampled_from(["", "x"]),
    mtime_ns=st.just(0),
)
_TREES = st.dictionaries(st.sampled_from("abcd"), _ENTRIES, max_size=4)


@given(_TREES, _TREES)
def test_no_difference_exactly_when_the_trees_are_equal(one: Tree, other: Tree) -> None:
    comparable = [_comparable(tree) for tree in (one, other)]
    assert (not list(convergence.differences(one, other))) == (comparable[0] == comparable[1])


def _comparable(tree: Tree) -> dict[str, tuple[object, ...]]:
    return {path: (e.directory, e.size, e.digest, e.attributes, e.security) for path, e in tree.items()}
