from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodydouble.dtcl import interpreter, printing, shipped
from bodydouble.dtcl.conversation import Conversation, memorable
from bodydouble.dtcl.errors import StatementError
from bodydouble.dtcl.parsing import MAX_DEPTH, following, key_words, parse
from bodydouble.dtcl.printing import printed, words_of
from bodydouble.dtcl.session import HANDLERS
from bodydouble.dtcl.syntax import (
    All,
    Assignment,
    Command,
    Comparison,
    If,
    Not,
    Option,
    Place,
    Secret,
    Substitution,
    Succeeds,
    Text,
    Truth,
    Variable,
    While,
)
from bodydouble.dtcl.syntax import (
    Any as AnyOf,
)
from bodydouble.dtcl.words import BY_NAME, CHOICES, COMMANDS, EXCLUSIVE, REPEATABLE

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "dtcl.md").read_text()

# --- what is printed is what was read -------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12).map(Text)
WORDS = st.sampled_from([*key_words(), "web", "C:\\InetPub\\*", "10.0.0.20/24", "a=b", '"', "", "x;", "$a"]).map(Text)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
FIELDS = st.lists(st.from_regex(r"[a-z0-9_]{1,6}", fullmatch=True), max_size=3).map(tuple)
VARIABLES = st.builds(Variable, NAMES, FIELDS)

OPTIONS = {  # of some commands, with how many values each has
    "connect": {"port": 1, "map": 2, "map_base": 1, "newer": 0, "orphans": 1, "older": 1, "bandwidth": 1},
    "mirror_start": {"by": 1, "newer": 0, "calculate": 0, "orphans": 1},
    "repset_rule_add": {"include": 0, "exclude": 0, "recursive": 0, "nonrecursive": 0, "to": 1},
    "restore": {"from": 1, "missing": 0, "newer": 0, "map": 2, "map_exact": 0, "by": 1},
    "repset_save": {"as": 1, "without_remirror": 0},
    "monitor_option": {"interval": 1, "missed": 1, "manual": 1, "timeout": 1},
    "login": {"port": 1, "token": 1, "token_file": 1, "token_env": 1, "pin": 1},
    "queuetask": {"timeout": 1, "for": 1},
    "print": {},
    "disconnect": {"drain": 0},
    "failback_continue": {},
    "schedule_window": {"days": 1, "bandwidth": 1},
}
OWN = {  # values, then options that the grammar requires
    "connect": (1, ["to"]), "mirror_start": (0, []), "repset_rule_add": (1, []), "restore": (1, ["of", "to"]),
    "repset_save": (0, []), "monitor_option": (0, []), "login": (1, []), "queuetask": (3, ["onexecute"]),
    "print": (4, []), "disconnect": (1, []), "failback_continue": (0, []), "schedule_window": (2, []),
}  # fmt: skip
NO_VALUE = ("onexecute",)


@st.composite
def commands(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Command:
    name = draw(st.sampled_from(sorted(OPTIONS)))
    count, required = OWN[name]
    known = OPTIONS[name]
    chosen = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=4)) if known else []
    for pair in EXCLUSIVE:
        chosen = [each for each in chosen if each != pair[1] or pair[0] not in chosen]
    if name == "monitor_option" and not chosen:
        chosen = ["missed"]
    chosen += [each for each in chosen if each in REPEATABLE and draw(st.booleans())]

    def option(word: str, amount: int) -> Option:
        given_ = [draw(values) for _ in range(amount)]
        if (choices := CHOICES.get((name, word))) is not None:
            given_ = [Text(draw(st.sampled_from(choices)))]
        return Option(word, tuple(Secret(each.text) if word == "token" and isinstance(each, Text) else each
                                  for each in given_))  # fmt: skip

    options = [option(word, 0 if word in NO_VALUE else 1) for word in required]
    options += [option(word, known[word]) for word in chosen]
    return Command(name, tuple(draw(values) for _ in range(count)), tuple(options))


SIMPLE = st.one_of(TEXTS, WORDS, VARIABLES)
VALUES = st.one_of(SIMPLE, st.builds(Substitution, commands(SIMPLE), FIELDS))
COMMANDS_ = commands(VALUES)
ATOMS = st.one_of(
    st.builds(Comparison, VALUES, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), VALUES),
    st.builds(Truth, VALUES),
    st.builds(Succeeds, COMMANDS_),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
STATEMENTS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(COMMANDS_, st.builds(Assignment, NAMES, VALUES)),
    lambda inner: st.one_of(
        st.builds(
            If,
            st.lists(st.tuples(CONDITIONS, st.lists(inner, max_size=2).map(tuple)), min_size=1, max_size=3).map(tuple),
            st.one_of(st.none(), st.lists(inner, max_size=2).map(tuple)),
        ),
        st.builds(While, CONDITIONS, st.lists(inner, max_size=2).map(tuple), st.one_of(st.none(), VALUES)),
    ),
    max_leaves=4,
)
BLOCKS = st.lists(STATEMENTS, max_size=3).map(tuple)


@given(BLOCKS)
@settings(deadline=None, max_examples=60)
def test_what_is_printed_reads_as_the_same_tree(block: Any) -> None:
    assert parse(printed(block, secrets=True)) == block


def test_a_printer_that_forgets_the_quotes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect."""
    monkeypatch.setattr(printing, "_quoted", lambda text: text)
    with pytest.raises(StatementError):
        parse(printed((Command("print", (Text("a;b"),)),)))


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except StatementError as error:
        refused = error
    else:
        return
    lines = text.split("\n")
    assert 1 <= refused.line <= len(lines)
    assert 1 <= refused.column <= len(lines[refused.line - 1]) + 1


@given(st.lists(st.sampled_from([*key_words(), ";", "{", "}", "[", "]", "(", ")", "x", '"y"', "$z", "==", "="])))
@settings(deadline=None)
def test_any_row_of_words_is_read_or_refused(words: list[str]) -> None:
    try:
        block = parse(" ".join(words))
    except StatementError:
        return
    assert parse(printed(block)) == block


# --- commands, handlers and the page belong together ----------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=lambda each: each.name)
def test_each_command_has_an_example_a_handler_and_its_place_on_the_page(words: Any) -> None:
    (command,) = parse(words.example)
    assert isinstance(command, Command)
    assert command.name == words.name
    assert words.name in HANDLERS or words.name in ("print", "quit")
    for text in (f"#### `{words.line}`\n", words.help, f"```dtcl\n{words.example}\n```"):
        assert text in PAGE


def test_the_grammar_has_no_command_without_words() -> None:
    grammar = (Path(interpreter.__file__).parent / "dtcl.lark").read_text()
    section = grammar.partition("// --- commands")[2].partition("// --- options")[0]
    assert set(re.findall(r"-> (\w+)", section)) == set(BY_NAME)
    assert set(HANDLERS) == set(BY_NAME) - {"print", "quit"}


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_example_on_a_page_is_dtcl(page: Path) -> None:
    for text in re.findall(r"```dtcl\n(.*?)```", page.read_text(), re.DOTALL):
        assert parse(text, page.name)


def test_an_example_that_is_no_dtcl_is_seen() -> None:
    with pytest.raises(StatementError):
        parse("mirror begin 1;")


@pytest.mark.parametrize("name", shipped.names())
def test_every_script_that_ships_is_dtcl(name: str) -> None:
    assert parse(shipped.example(name), name)


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "reason", "expected"),
    [
        ("conect a;", 1, 1, "'conect' does not fit here", "a command ('help;' lists them)"),
        ("connect IIS", 1, 12, "the text ends too early", "'to'"),
        ("connect IIS map exact;", 1, 13, "'map' does not fit here", "'to'"),
        ('source\n  "web', 2, 3, "a text in quotes has to end on its own line", ""),
        ("mirror start\tby fulll;", 1, 17, "'fulll' does not fit here", "'checksum'"),
        ("mirror start newer newer;", 1, 20, "'newer' is said twice", ""),
        ("repset rule add x include exclude;", 1, 27, "'exclude' and 'include' contradict each other", ""),
        ("$a.b = 3;", 1, 1, "a field of a variable cannot be set", "a variable"),
        ("if $a { status; ", 1, 16, "the text ends too early", "'}'"),
        ("while ok status { }", 1, 10, "'status' does not fit here", "a command in [ ]"),
        ("status;\n\n  }", 3, 3, "'}' does not fit here", "the end"),
        ("(" * 40, 1, MAX_DEPTH + 1, "more than 32 blocks and brackets inside each other", ""),
        ("monitor option;", 1, 15, "';' does not fit here", "'interval'"),
        ("script add sometimes x;", 1, 12, "'sometimes' does not fit here", "'mirrorstart'"),
    ],
)
def test_an_error_names_line_column_and_what_was_expected(
    text: str, line: int, column: int, reason: str, expected: str
) -> None:
    with pytest.raises(StatementError) as caught:
        parse(text, "a.dtcl")
    error = caught.value
    assert (error.line, error.column, error.reason) == (line, column, reason)
    assert expected in error.expected if expected else not error.expected
    assert str(error).startswith(f"a.dtcl:{line}:{column}: {reason}")
    shown, caret = error.excerpt.split("\n")
    assert shown == f"  {text.split(chr(10))[line - 1]}".rstrip("\r")
    assert caret.index("^") == column + 1


def test_places_are_those_of_the_text() -> None:
    block: Any = parse('status;\n  connect "a b" to c\n   orphans log;')
    command = block[1]
    assert command.place == Place(2, 3)
    assert [each.place for each in (*command.values, *command.options)] == [Place(2, 11), Place(2, 17), Place(3, 4)]


# --- tokens ---------------------------------------------------------------------------------------------------------

SECRET = "s3cr3t-horse"


@pytest.mark.parametrize(
    "text",
    [
        f"login web token {SECRET};",
        f'login web token "{SECRET}" pin x;',
        f'LOGIN web Token\n "{SECRET}";',
        f'$x = [login web token "{SECRET}"];',
    ],
)
def test_a_token_is_neither_represented_nor_printed_nor_remembered(text: str) -> None:
    block = parse(text)
    assert SECRET not in repr(block)
    assert SECRET not in printed(block)
    assert SECRET in printed(block, secrets=True)
    assert memorable(text) == ""
    if isinstance(block[0], Command):
        assert SECRET not in words_of(block[0])


@pytest.mark.parametrize(
    "text",
    [f"login web token {SECRET} {SECRET};", f'login web token "{SECRET}" "{SECRET}"', f'login a token "{SECRET}',
     f"login web port 3 token {SECRET} levitate;", f'login web token\n"{SECRET}" token "{SECRET}"'],
)  # fmt: skip
def test_no_error_shows_a_token(text: str) -> None:
    with pytest.raises(StatementError) as caught:
        parse(text)
    assert SECRET not in str(caught.value)


# --- typing ---------------------------------------------------------------------------------------------------------


def test_lines_are_collected_until_a_statement_ends() -> None:
    conversation = Conversation()
    assert conversation.say("connect IIS") is None
    assert conversation.waiting
    found = conversation.say("  to web2; status;")
    assert found is not None
    assert [each.name for each in found[0] if isinstance(each, Command)] == ["connect", "status"]
    assert found[1] == "connect IIS\n  to web2; status;"
    assert memorable(found[1]) == "connect IIS to web2; status;"
    assert not conversation.waiting


def test_what_is_wrong_is_forgotten_and_what_is_unfinished_can_be() -> None:
    conversation = Conversation()
    conversation.say("if $x {")
    with pytest.raises(StatementError):
        conversation.say("levitate;")
    assert not conversation.waiting
    conversation.say("if $x {")
    conversation.forget()
    assert conversation.say("status;") is not None


def test_the_next_word_is_suggested() -> None:
    conversation = Conversation()
    assert conversation.suggestions("mirror ", "", []) == ["pause", "resume", "start", "stop"]
    assert conversation.suggestions("mirror ", "S", []) == ["start", "stop"]
    assert conversation.suggestions("connect IIS to ", "$", ["source", "b"]) == ["$b", "$source"]
    assert following("levitate ") == ()
    conversation.say("connect IIS")
    assert conversation.suggestions("", "t", []) == ["to"]
