"""From a text to its syntax tree. Pure: one grammar, LALR, read once in a process."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from bodydouble.dtcl.errors import StatementError
from bodydouble.dtcl.syntax import (
    NOWHERE,
    All,
    Any,
    Assignment,
    Block,
    Command,
    Comparison,
    Condition,
    If,
    Not,
    Option,
    Place,
    Secret,
    Statement,
    Substitution,
    Succeeds,
    Text,
    Truth,
    Value,
    Variable,
    While,
)
from bodydouble.dtcl.words import BY_NAME, CHOICES, EXCLUSIVE, REPEATABLE, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lark.tree import Meta

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 32
"""Blocks, parentheses and brackets inside each other."""

_KINDS = {
    "WORD": "a name",
    "TOPIC": "a command",
    "STRING": "a text in quotes",
    "VARIABLE": "a variable",
    "LSQB": "a command in [ ]",
    "FIELD": "a field",
    "COMPARISON": "a comparison",
    "$END": "the end",
}
_SECRET = re.compile(r'(\btoken\s+)(?!(?:file|env)\s)((?:"[^"\r\n]*"?|[^;"])+)', re.IGNORECASE)
"""What follows ``token``, to the end of the statement: even a slip of the pen in it may be half of a secret."""
_NESTING = re.compile(r'"[^"\r\n]*"?|#[^\r\n]*|[{}()\[\]]')


class _MeaningError(Exception):
    """The grammar allows it, and it makes no sense."""

    def __init__(self, place: Place, reason: str, expected: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.place, self.reason, self.expected = place, reason, expected


@cache
def _lark() -> Lark:
    grammar = (files("bodydouble.dtcl") / "dtcl.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse(text: str, file: str = "<text>") -> Block:
    """The statements of a text.

    Args:
        text: the whole of it.
        file: what its errors call it.

    Raises:
        StatementError: it is no DTCL.
    """
    try:
        _check_bounds(text)
        tree = _lark().parse(text)
        return cast("Block", _Builder().transform(tree))
    except _MeaningError as error:
        raise _located(text, file, error.place, error.reason, expected=error.expected) from None
    except VisitError as error:
        if isinstance(error.orig_exc, _MeaningError):
            cause = error.orig_exc
            raise _located(text, file, cause.place, cause.reason, expected=cause.expected) from None
        raise
    except UnexpectedInput as error:
        raise _explained(text, file, error) from None


def following(text: str) -> tuple[str, ...]:
    """What may come after ``text``, as key words and signs; nothing where it is no DTCL. For completion."""
    try:
        parser = _lark().parse_interactive(text)
        parser.exhaust_lexer()
    except UnexpectedInput:
        return ()
    accepted: set[str] = parser.accepts()  # type: ignore[no-untyped-call]  # lark says of this one nothing
    return tuple(sorted(word for name in accepted if (word := _key_word(name))))


def key_words() -> tuple[str, ...]:
    """Every key word of the grammar."""
    return tuple(sorted(word for each in _lark().terminals if (word := _key_word(each.name))))


def blanked(text: str) -> str:
    """The text without the tokens in it, as long as before."""
    return _SECRET.sub(lambda found: found[1] + re.sub(r"\S", "*", found[2]), text)


def _check_bounds(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise _MeaningError(Place(1, 1), f"the text has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    depth = 0
    for found in _NESTING.finditer(text):
        sign = found[0]
        depth += (sign in "{([") - (sign in "})]")
        if depth > MAX_DEPTH:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            raise _MeaningError(Place(line, column), f"more than {MAX_DEPTH} blocks and brackets inside each other")


# --- errors -----------------------------------------------------------------------------------------------------------


def _explained(text: str, file: str, error: UnexpectedInput) -> StatementError:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return _located(text, file, _end(text), "the text ends too early", expected=_expected(error.accepts),
                        incomplete=True)  # fmt: skip
    place = Place(error.line, error.column)
    hidden = _is_blank(text, place)
    if isinstance(error, UnexpectedToken):
        what = "this" if hidden else repr(str(error.token))
        return _located(text, file, place, f"{what} does not fit here", expected=_expected(error.accepts))
    assert isinstance(error, UnexpectedCharacters), "there are no other kinds"
    char = text[error.pos_in_stream] if error.pos_in_stream is not None else ""
    if char == '"':
        return _located(text, file, place, "a text in quotes has to end on its own line")
    return _located(text, file, place, f"{char!r} does not fit here", expected=_expected(error.allowed))


def _is_blank(text: str, place: Place) -> bool:
    lines = text.split("\n")
    return blanked(text).split("\n")[place.line - 1][place.column - 1 :] != lines[place.line - 1][place.column - 1 :]


def _end(text: str) -> Place:
    """Behind the last character that is no blank."""
    stripped = text.rstrip()
    return Place(stripped.count("\n") + 1, len(stripped) - stripped.rfind("\n"))


def _located(
    text: str, file: str, place: Place, reason: str, *, expected: tuple[str, ...] = (), incomplete: bool = False
) -> StatementError:
    line = [*blanked(text).split("\n"), ""][place.line - 1].rstrip("\r")
    before = "".join(char if char == "\t" else " " for char in line[: place.column - 1])
    excerpt = f"  {line}\n  {before}^"
    return StatementError(file, place, reason, expected=expected, excerpt=excerpt, incomplete=incomplete)


def _expected(names: set[str] | frozenset[str] | None) -> tuple[str, ...]:
    """What could have stood there, the key words first; where a statement could begin, they are too many to list."""
    words = sorted({_in_words(name) for name in names or ()}, key=lambda word: (not word.startswith("'"), word))
    if {"'if'", "'while'"} <= set(words):
        words = ["a command ('help;' lists them)", *(word for word in words if not word[1:-1].isalpha())]
    return tuple(words)


def _in_words(name: str) -> str:
    if name in _KINDS:
        return _KINDS[name]
    pattern = _lark().get_terminal(name).pattern
    return f"'{pattern.value}'"


def _key_word(name: str) -> str:
    """The terminal as it is typed; empty for those that stand for many."""
    if name in _KINDS and name != "LSQB":
        return ""
    value = _lark().get_terminal(name).pattern.value
    return value if value.isalpha() else ""


# --- building ---------------------------------------------------------------------------------------------------------


class _Builder(Transformer[Token, object]):
    """Makes each node of lark's tree one of ours."""

    def __default__(self, data: str, children: list[object], meta: Meta) -> object:
        """A command or an option."""
        name, place = str(data), _place(meta)
        if name in BY_NAME:
            return _command(name, children, place)
        values = tuple(cast("list[Value]", children))
        return Option(name, tuple(_hidden(each) for each in values) if name == "token" else values, place)

    def start(self, children: list[Statement]) -> Block:
        """All of it."""
        return tuple(children)

    def block(self, children: list[Statement]) -> Block:
        """What stands in braces."""
        return tuple(children)

    def value(self, children: list[Token | Substitution]) -> Value:
        """A word, a text, a variable or a command in brackets."""
        (item,) = children
        if isinstance(item, Substitution):
            return item
        if item.type == "VARIABLE":
            name, *fields = item[1:].split(".")
            return Variable(name.lower(), tuple(fields), _at(item))
        return Text(item[1:-1].replace('""', '"') if item.type == "STRING" else str(item), _at(item))

    @v_args(meta=True)
    def substitution(self, meta: Meta, children: list[Command | Token]) -> Substitution:
        """A command in brackets."""
        command = cast("Command", children[0])
        fields = str(children[1])[1:].split(".") if len(children) > 1 else ()
        return Substitution(command, tuple(fields), _place(meta))

    @v_args(meta=True)
    def assignment(self, meta: Meta, children: list[Token | Value]) -> Assignment:
        """A variable is set; a field of one cannot be."""
        name, *fields = str(children[0])[1:].split(".")
        if fields:
            raise _MeaningError(_place(meta), "a field of a variable cannot be set", ("a variable",))
        return Assignment(name.lower(), cast("Value", children[1]), _place(meta))

    def any_(self, children: list[Condition]) -> Condition:
        """``or``."""
        return children[0] if len(children) == 1 else Any(tuple(children))

    def all_(self, children: list[Condition]) -> Condition:
        """``and``."""
        return children[0] if len(children) == 1 else All(tuple(children))

    def not_(self, children: list[Condition]) -> Condition:
        """``not``."""
        return Not(children[0])

    @v_args(meta=True)
    def comparison(self, meta: Meta, children: list[Value | Token]) -> Condition:
        """Two values and a sign."""
        left, sign, right = children
        return Comparison(cast("Value", left), str(sign), cast("Value", right), _place(meta))

    def truth(self, children: list[Value]) -> Condition:
        """A value by itself."""
        return Truth(children[0])

    def succeeds(self, children: list[Command]) -> Condition:
        """``ok [command]``."""
        return Succeeds(children[0])

    @v_args(meta=True)
    def if_(self, meta: Meta, children: list[Condition | Block | Option]) -> If:
        """Branches, and what is done otherwise."""
        otherwise = cast("Option", children.pop()) if len(children) % 2 else None
        pairs = cast("Iterator[tuple[Condition, Block]]", zip(children[::2], children[1::2], strict=True))
        return If(tuple(pairs), None if otherwise is None else cast("Block", otherwise.values[0]), _place(meta))

    @v_args(meta=True)
    def while_(self, meta: Meta, children: list[Condition | Block | Option]) -> While:
        """A loop, perhaps with a limit."""
        condition, *limit, block = children
        within = cast("Option", limit[0]).values[0] if limit else None
        return While(cast("Condition", condition), cast("Block", block), within, _place(meta))


def _place(meta: Meta) -> Place:
    return NOWHERE if meta.empty else Place(meta.line, meta.column)


def _at(token: Token) -> Place:
    return Place(token.line or 0, token.column or 0)


def _hidden(value: Value) -> Value:
    return Secret(value.text, value.place) if isinstance(value, Text) else value


def _command(name: str, children: Sequence[object], place: Place) -> Command:
    said = (Text(str(each), _at(each)) if isinstance(each, Token) else each for each in children)  # help's topic
    values = tuple(each for each in said if not isinstance(each, Option))
    options = tuple(each for each in children if isinstance(each, Option))
    command = Command(name, cast("tuple[Value, ...]", values), options, place)
    _check_options(command)
    _check_choices(command)
    return command


def _check_options(command: Command) -> None:
    """Nothing is said twice or contradicts itself."""
    seen: list[str] = []
    for option in command.options:
        if option.name in seen and option.name not in REPEATABLE:
            raise _MeaningError(option.place, f"'{spelled(option.name)}' is said twice")
        for pair in EXCLUSIVE:
            other = next((each for each in pair if each != option.name), "") if option.name in pair else ""
            if other in seen:
                words = f"'{spelled(option.name)}' and '{spelled(other)}'"
                raise _MeaningError(option.place, f"{words} contradict each other")
        seen.append(option.name)


def _check_choices(command: Command) -> None:
    """A word of which the possible ones are known is one of them; a variable is looked at when its turn comes."""
    places = [("", command.values[:1]), *((option.name, option.values[:1]) for option in command.options)]
    for option, values in places:
        known = CHOICES.get((command.name, option))
        if known is not None and values and isinstance(values[0], Text) and values[0].text.lower() not in known:
            expected = tuple(f"'{word}'" for word in known)
            raise _MeaningError(values[0].place, f"{values[0].text!r} does not fit here", expected)
