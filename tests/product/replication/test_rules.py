"""The selection of a replication set against a reference that looks at every rule for every path."""

from __future__ import annotations

import itertools
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.replication.protocol import RemoveTree
from bodydouble.replication.rules import Selection, check_set, fold
from bodydouble.replication.translate import handled_by, translate
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

NAMES = ["a", "B", "ab", "x.log"]
PATTERNS = [*NAMES, "*", "a*", "?", "*.log", "*b", "A"]


def select(*rules: Rule, case_sensitive: bool = True, protected: tuple[str, ...] = ()) -> Selection:
    replication_set = ReplicationSet(name="web", rules=list(rules))
    check_set(replication_set)
    return Selection(replication_set, case_sensitive=case_sensitive, protected=list(protected))


def covers(rule: Rule, path: str, *, case_sensitive: bool) -> bool:
    """Whether a rule matches a path, said as slowly as possible."""
    wanted, given_ = (text.split("/") for text in (rule.path, path))
    if not case_sensitive:
        wanted, given_ = ([fold(part) for part in parts] for parts in (wanted, given_))
    if len(given_) < len(wanted) or not all(map(fnmatchcase, given_, wanted)):
        return False
    deeper = len(given_) - len(wanted)
    if rule.recursive or not deeper:
        return True
    return deeper == 1 and not set("*?") & set(wanted[-1])


def reference(rules: list[Rule], path: str, *, case_sensitive: bool) -> bool:
    def rank(rule: Rule) -> tuple[int, int, int, bool]:
        parts = rule.path.split("/")
        wild = sum(bool(set("*?") & set(part)) for part in parts)
        return len(parts), -wild, sum(each not in "*?" for each in rule.path), not rule.include

    matching = [rule for rule in rules if covers(rule, path, case_sensitive=case_sensitive)]
    return bool(matching) and max(matching, key=rank).include


def path_of(parts: list[str]) -> str:
    return "/" + "/".join(parts)


PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(path_of)
RULES = st.lists(
    st.builds(
        Rule,
        path=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4).map(path_of),
        include=st.booleans(),
        recursive=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
BENEATH = ["/".join(parts) for depth in (1, 2, 3) for parts in itertools.product(NAMES, repeat=depth)]


@given(RULES, PATHS, st.booleans())
def test_selection_is_what_looking_at_every_rule_says(rules: list[Rule], path: str, case_sensitive: bool) -> None:
    selection = Selection(ReplicationSet("x", rules), case_sensitive=case_sensitive, protected=[])
    assert selection.selects(path) == reference(rules, path, case_sensitive=case_sensitive)
    explained = selection.explain(path)
    assert explained.selected == selection.selects(path)
    assert explained.rule == selection.deciding(path)


@given(RULES, PATHS)
def test_what_is_on_the_way_is_kept_and_what_leads_nowhere_is_not_looked_into(rules: list[Rule], path: str) -> None:
    selection = Selection(ReplicationSet("x", rules), case_sensitive=True, protected=[])
    inside = [f"{path}/{rest}" for rest in BENEATH if selection.selects(f"{path}/{rest}")]
    if inside:
        assert not selection.replicates_nothing(path)
        assert selection.replicates(path) or not selection.within_roots(path)
    if selection.selects(path):
        assert selection.within_roots(path)


@given(RULES, PATHS, PATHS)
def test_a_rename_is_sent_as_one_only_if_the_rules_see_no_difference(rules: list[Rule], old: str, new: str) -> None:
    selection = Selection(ReplicationSet("x", rules), case_sensitive=True, protected=[])
    if selection.moves_whole(old, new):
        for rest in ("", *(f"/{each}" for each in BENEATH)):
            assert selection.selects(old + rest) == selection.selects(new + rest)
            assert selection.replicates(old + rest) == selection.replicates(new + rest)


LOGS = Rule(path="C:/inet*/*.log")


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("C:/INETPUB/ex1.LOG", True),
        ("C:/inetpub2/a.log", True),
        ("C:/inetpub/a.log/inside", True),
        ("C:/inetpub/a.txt", False),
        ("C:/inetpub/logs/a.log", False),
        ("C:/pub/a.log", False),
        ("D:/inetpub/a.log", False),
        ("C:/inetpub", False),
    ],
)
def test_wildcards_may_stand_in_every_component(path: str, selected: bool) -> None:
    selection = select(LOGS, case_sensitive=False)
    assert selection.selects(path) is selected
    assert selection.roots == ["C:"]


def test_more_components_win_then_fewer_wildcards_then_more_letters_then_exclude() -> None:
    deeper = select(Rule(path="/web/site"), Rule(path="/web/*/*", include=False))
    assert not deeper.selects("/web/site/a")
    literal = select(Rule(path="/web/site"), Rule(path="/web/s*", include=False))
    assert literal.selects("/web/site/a")
    letters = select(Rule(path="/web/sit*"), Rule(path="/web/s*", include=False))
    assert letters.selects("/web/site/a")
    assert not letters.selects("/web/s1/a")
    tie = select(Rule(path="/web/s*"), Rule(path="/web/s*", include=False))
    assert not tie.selects("/web/site")


def test_directories_on_the_way_to_a_match_are_made_and_files_there_are_not() -> None:
    selection = select(Rule(path="/web/*/images"))
    made = MakeDirectory("/web/site", Metadata())
    assert translate(made, selection).bodies == [made]
    removed = RemoveDirectory("/web/site")
    assert translate(removed, selection).bodies == [removed]
    for operation in (CreateFile("/web/x", Metadata(), 1), Write("/web/x", 0, b"x", 1), RemoveFile("/web/x")):
        assert translate(operation, selection).bodies == []
    assert len(translate(CreateFile("/web/site/images", Metadata(), 1), selection).bodies) == 2


def test_new_attributes_on_the_way_have_the_mirror_look_at_that_directory_alone() -> None:
    translation = translate(SetMetadata("/web/site", Metadata(1)), select(Rule(path="/web/*/images")))
    assert (translation.appeared, translation.shallow) == (["/web/site"], True)


def test_a_directory_above_roots_takes_them_away_and_brings_them() -> None:
    selection = select(Rule(path="/srv/a"), Rule(path="/srv/b/deep"), Rule(path="/other"))
    gone, back = Rename("/srv", "/old"), Rename("/new", "/srv")
    assert translate(gone, selection).bodies == [RemoveTree("/srv/a"), RemoveTree("/srv/b/deep")]
    assert translate(back, selection).appeared == ["/srv/a", "/srv/b/deep"]
    inside = Rename("/srv", "/other/srv")
    assert translate(inside, selection).appeared == ["/other/srv"]
    for rename in (gone, back, inside):
        assert [handled_by(rename, root, selection.roots, selection) for root in selection.roots].count(True) == 1


def test_the_deciding_rule_is_explained() -> None:
    web, images = Rule(path="C:/InetPub"), Rule(path="C:/InetPub/*/img", include=False)
    selection = select(web, images, Rule(path="C:/data/*.mdb"), case_sensitive=False, protected=("C:/Bodydouble",))
    assert selection.explain("c:/inetpub/a").rule == web
    assert selection.explain("c:/inetpub/a").reason == "the only rule that matches"
    assert selection.explain("C:/InetPub/site/IMG/x").rule == images
    assert selection.explain("C:/InetPub/site/IMG/x").reason == "the most specific rule that matches"
    assert selection.explain("C:/InetPub/site/IMG/x").others == (web,)
    assert selection.explain("D:/x").reason == "no rule matches"
    assert selection.explain("C:/data").on_the_way
    assert "never replicated" in selection.explain("C:/Bodydouble/state").reason
    assert "cannot be named" in selection.explain("C:/InetPub/nul.txt").reason


def test_the_daemons_directory_inside_keeps_a_directory_from_moving_whole() -> None:
    selection = select(Rule(path="/srv"), protected=("/srv/daemon/state",))
    assert not selection.moves_whole("/srv/daemon", "/srv/other")
    assert selection.moves_whole("/srv/one", "/srv/other")


def test_a_thousand_rules_are_matched_a_component_at_a_time() -> None:
    rules = [Rule(path=f"/web/{number}/*.log", include=number % 2 == 0) for number in range(1000)]
    selection = select(*rules)
    assert selection.selects("/web/998/a.log")
    assert not selection.selects("/web/999/a.log")
    deep = "/web/998/a.log" + "/d" * 1000
    assert selection.selects(deep)
