"""From text to commands: quotes, escapes, operators, redirections, blocks over several lines, ``if`` and ``for``.

Source: "How does the Windows Command Interpreter (CMD.EXE) parse scripts?" (Stack Overflow 4094699), phase 2: a caret
takes the meaning from the next character outside quotes and at the end of a line joins the next one; ``&`` binds
loosest, then ``||``, ``&&``, ``|``; ``rem`` swallows the line; ``if`` and ``for`` swallow everything to the line's end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from bodydouble_sim.windows.command_interpreter.limits import NESTING, SYNTAX_TEXT, BatchSyntaxError
from bodydouble_sim.windows.command_interpreter.syntax import (
    Block,
    Chain,
    Comparison,
    For,
    If,
    Quiet,
    Redirection,
    Simple,
    Test,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.command_interpreter.syntax import Node, Operator

_BLANK = " \t,;=\v\f\xa0"
_ENDS = " \t,;=\n"
_COMPARISONS = get_args(Comparison)
_WORD = re.compile(r"[A-Za-z]+(?=[\s,;=()/\"<>&|+:.\\]|$)")


def unexpected(text: str) -> BatchSyntaxError:
    """The error about a word or operator that cannot stand where it stands."""
    return BatchSyntaxError(f"{text} was unexpected at this time.")


def parse(line: str, more: Callable[[], str | None]) -> Node | None:
    """The commands of a line.

    Args:
        line: variables already expanded.
        more: the next line, expanded, when a block is still open; None at the end.

    Returns:
        None when there is nothing to run: an empty line, or a block that the file's end leaves open.

    Raises:
        BatchSyntaxError: cmd.exe would not understand it.
    """
    return _Parser(line, more).line()


class _OpenBlock(Exception):  # noqa: N818 - the end of the file inside a block is silent
    pass


class _Parser:
    def __init__(self, line: str, more: Callable[[], str | None]) -> None:
        self._text = line
        self._at = 0
        self._more = more
        self._depth = 0
        self._nesting = 0

    # --- characters -------------------------------------------------------------------------------------------------

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _skip(self, characters: str = _BLANK) -> None:
        while self._peek() and self._peek() in characters:
            self._at += 1

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        return match[0].lower() if match else ""

    def _next_line(self) -> None:
        """Go on with the next line of an open block."""
        line = self._more()
        if line is None:
            raise _OpenBlock
        self._text += "\n" + line

    # --- operators --------------------------------------------------------------------------------------------------

    def line(self) -> Node | None:
        try:
            return self._whole()
        except _OpenBlock:
            return None

    def _whole(self) -> Node | None:
        self._skip()
        if not self._peek() or self._peek() == ")":
            return None
        node = self._sequence()
        self._skip()
        if self._peek():
            raise unexpected(self._peek())
        return node

    def _sequence(self) -> Node:
        node = self._or()
        while self._operator("&"):
            self._skip()
            if not self._peek() or self._peek() in ")\n":
                break
            node = Chain("&", node, self._or())
        return node

    def _or(self) -> Node:
        return self._chain("||", self._and)

    def _and(self) -> Node:
        return self._chain("&&", self._pipe)

    def _pipe(self) -> Node:
        return self._chain("|", self._command)

    def _chain(self, operator: Operator, part: Callable[[], Node]) -> Node:
        node = part()
        while self._operator(operator):
            self._skip(_BLANK)
            if not self._peek() or self._peek() == "\n":
                raise BatchSyntaxError(SYNTAX_TEXT)
            node = Chain(operator, node, part())
        return node

    def _operator(self, operator: str) -> bool:
        self._skip()
        if self._peek(len(operator)) != operator or self._peek(len(operator) + 1) == operator + operator[0]:
            return False
        if len(operator) == 1 and self._peek(2) == operator * 2:
            return False
        self._at += len(operator)
        return True

    # --- one command ------------------------------------------------------------------------------------------------

    def _command(self) -> Node:
        self._nesting += 1
        if self._nesting > NESTING:
            raise BatchSyntaxError(f"Commands are nested more than {NESTING} deep.")
        try:
            return self._one_command()
        finally:
            self._nesting -= 1

    def _one_command(self) -> Node:
        quiet = False
        self._skip()
        while self._peek() == "@":
            quiet = True
            self._skip(_BLANK + "@")
        node = self._body()
        return Quiet(node) if quiet else node

    def _body(self) -> Node:
        early = self._leading_redirections()
        if self._peek() == "(":
            return self._block(early)
        word = self._word()
        if word == "rem" and self._text[self._at + 3 : self._at + 4] not in ("/", ".", ":", "\\", "("):
            return self._remark()
        if word == "if":
            return self._if()
        if word == "for":
            return self._for()
        return self._simple(early)

    def _leading_redirections(self) -> list[Redirection]:
        found: list[Redirection] = []
        self._skip()
        while (redirection := self._redirection()) is not None:
            found.append(redirection)
            self._skip()
        return found

    def _remark(self) -> Node:
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        text, self._at = self._text[self._at : end], end
        return Simple(text)

    def _block(self, early: list[Redirection]) -> Node:
        self._at += 1
        self._depth += 1
        body: list[Node] = []
        while not self._closed():
            body.append(self._sequence())
        self._depth -= 1
        if not body:
            raise unexpected(")")
        late = self._leading_redirections()
        return Block(tuple(body), (*early, *late))

    def _closed(self) -> bool:
        while True:
            self._skip(_BLANK + "\n")
            if self._peek() == ":":
                self._remark()
            elif not self._peek():
                self._next_line()
            elif self._peek() == ")":
                self._at += 1
                return True
            else:
                return False

    def _simple(self, early: list[Redirection]) -> Node:
        text, found = "", list(early)
        quoted = False
        while character := self._peek():
            if character == "\n" or (not quoted and (character in "&|" or (character == ")" and self._depth))):
                break
            if not quoted and (redirection := self._redirection(text)) is not None:
                found.append(redirection)
                continue
            if character == "^" and not quoted:
                text += self._escaped()
                continue
            quoted = quoted != (character == '"')
            text += character
            self._at += 1
        if not text.strip(_BLANK) and not found:
            raise self._nothing()
        return Simple(text.lstrip(_BLANK), tuple(found))

    def _nothing(self) -> BatchSyntaxError:
        if self._peek(2) in ("&&", "||"):
            return unexpected(self._peek(2))
        if self._peek() in ("&", "|", ")"):
            return unexpected(self._peek())
        return BatchSyntaxError(SYNTAX_TEXT)

    def _escaped(self) -> str:
        """What a caret leaves of the character after it; at the end of a line it joins the next line."""
        self._at += 1
        if self._peek() in ("", "\n"):
            if not self._peek():
                line = self._more()
                if line is None:
                    return ""
                self._text += "\n" + line
            self._at += 1
        character = self._peek()
        self._at += 1
        return character

    # --- redirections -----------------------------------------------------------------------------------------------

    def _redirection(self, before: str = "") -> Redirection | None:
        start = self._at
        handle = ""
        if self._peek() in set("0123456789") and self._text[self._at + 1 : self._at + 2] in ("<", ">"):
            if before and before[-1] not in _BLANK + '()"':
                return None
            handle = self._peek()
            self._at += 1
        if self._peek() not in ("<", ">"):
            self._at = start
            return None
        return self._target(handle)

    def _target(self, handle: str) -> Redirection:
        sign = self._peek()
        self._at += 1
        append = sign == ">" and self._peek() == ">"
        self._at += append
        number = int(handle) if handle else (0 if sign == "<" else 1)
        if self._peek() == "&":
            self._at += 1
            duplicate = self._peek()
            if not duplicate.isdigit():
                raise unexpected("&")
            self._at += 1
            return Redirection(number, "<" if sign == "<" else ">", "&" + duplicate)
        self._skip()
        target = self._operand("<>&|)" if self._depth else "<>&|")
        if not target:
            raise unexpected(self._peek()) if self._peek().strip() else BatchSyntaxError(SYNTAX_TEXT)
        return Redirection(number, "<" if sign == "<" else ">>" if append else ">", target.replace('"', ""))

    def _operand(self, ends: str, *, equals: bool = False) -> str:
        """A word up to white space or one of ``ends`` outside quotes; ``equals``: or up to ``==``."""
        text, quoted = "", False
        while (character := self._peek()) and character != "\n":
            single = character == "=" and equals and self._peek(2) != "=="
            if not quoted and (character in _ENDS or character in ends) and not single:
                break
            if character == "^" and not quoted:
                text += self._escaped()
                continue
            quoted = quoted != (character == '"')
            text += character
            self._at += 1
        return text

    # --- if ---------------------------------------------------------------------------------------------------------

    def _if(self) -> Node:
        self._at += 2
        test = self._test()
        self._skip()
        if not self._peek() or self._peek() == "\n":
            raise BatchSyntaxError(SYNTAX_TEXT)
        then = self._sequence()
        self._skip()
        otherwise = None
        if self._word() == "else":
            self._at += 4
            self._skip()
            if not self._peek() or self._peek() == "\n":
                raise BatchSyntaxError(SYNTAX_TEXT)
            otherwise = self._sequence()
        return If(test, then, otherwise)

    def _test(self) -> Test:
        negated = ignore_case = False
        while True:
            self._skip()
            if self._peek(2).lower() == "/i":
                ignore_case = True
                self._at += 2
            elif self._word() == "not":
                negated = not negated
                self._at += 3
            else:
                break
        word = self._word()
        if word in ("errorlevel", "exist", "defined", "cmdextversion") and not self._compared(len(word)):
            self._at += len(word)
            self._skip()
            operand = self._operand("&|<>()" if word != "exist" else "&|<>")
            if not operand:
                raise self._bad_operand()
            return Test(word, operand, negated=negated)
        return self._comparison(negated=negated, ignore_case=ignore_case)

    def _compared(self, length: int) -> bool:
        return self._text[self._at + length :].lstrip(" \t").startswith("==")

    def _comparison(self, *, negated: bool, ignore_case: bool) -> Test:
        left = self._operand("&|<>", equals=True)
        if not left:
            raise self._bad_operand()
        self._skip(" \t")
        kind = "==" if self._peek(2) == "==" else self._word()
        if kind not in _COMPARISONS:
            raise self._bad_operand()
        self._at += len(kind)
        self._skip(" \t,;")
        right = self._operand("&|<>")
        if not right:
            raise self._bad_operand()
        return Test(kind, left, right, negated=negated, ignore_case=ignore_case)

    def _bad_operand(self) -> BatchSyntaxError:
        match = re.compile(r"[^\s]+").match(self._text, self._at)
        return unexpected(match[0]) if match else BatchSyntaxError(SYNTAX_TEXT)

    # --- for --------------------------------------------------------------------------------------------------------

    def _for(self) -> Node:
        self._at += 3
        kind, option = self._loop_switch()
        match = re.compile(r"[\s,;=]*%([^\s%])(?=[\s,;=])[\s,;=]*in[\s,;=]*\(", re.IGNORECASE).match(
            self._text, self._at
        )
        if match is None:
            raise self._bad_operand()
        self._at = match.end()
        items = self._items()
        self._skip(_BLANK + "\n")
        if self._word() != "do":
            raise self._bad_operand()
        self._at += 2
        self._skip()
        if not self._peek() or self._peek() == "\n":
            raise BatchSyntaxError(SYNTAX_TEXT)
        start = self._at
        body = self._sequence()
        return For(kind, option, match[1], items, body, self._text[start : self._at].strip())

    def _loop_switch(self) -> tuple[str, str]:
        self._skip()
        match = re.compile(r"/([a-zA-Z])(?=[\s,;=])").match(self._text, self._at)
        if match is None:
            return "", ""
        kind = match[1].lower()
        if kind not in "drlf":
            raise unexpected(match[0])
        self._at = match.end()
        self._skip()
        if kind in "rf" and self._peek() not in ("%", ""):
            return kind, self._operand("")
        return kind, ""

    def _items(self) -> str:
        text, quoted = "", False
        while True:
            character = self._peek()
            if not character:
                self._next_line()
                continue
            if character == "^" and not quoted:
                text += self._escaped()
                continue
            self._at += 1
            if character == "\n":
                text, quoted = text + " ", False
                continue
            if character == ")" and not quoted:
                return text.strip()
            quoted = quoted != (character == '"')
            text += character
