"""The query language of Index Server, as far as words, phrases and Boolean operators go.

Source: "The Index Server Query Language" (MSDN Library, April 2000) and Index Server's own page "Query Language": case
is ignored; consecutive words are a phrase; noise words stand for any word in a phrase; AND (&), OR (|), AND NOT (& !),
NEAR (~: within 50 words); ``comput*`` is a prefix; parentheses group; quotation marks take operators literally. NOT
only comes after AND. Not modelled: stems (``fly**``), properties, free text, ranks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Documents = Mapping[str, Sequence[str]]

NOISE = frozenset(
    [
        *("a", "about", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "for", "from", "have", "he"),
        *("i", "if", "in", "is", "it", "not", "of", "on", "or", "that", "the", "this", "to", "we", "with", "you"),
    ]
)
NEAR = 50
_DEPTH = 32
_LONGEST = 1000
_TOKEN = re.compile(r'"([^"]*)"|([()&|!~])|([^\s()&|!~"]+)')
_WORD = re.compile(r"[^\W_]+\*?", re.UNICODE)
_OPERATORS = {"and": "&", "or": "|", "not": "!", "near": "~"}


class QueryError(InputError):
    """A query that cannot be understood."""


def query(text: str, documents: Documents) -> list[str]:
    """The paths of the documents (path to words in lower case) that a query finds, sorted.

    Raises:
        QueryError: the query cannot be understood.
    """
    if len(text) > _LONGEST:
        raise QueryError(f"a query has at most {_LONGEST} characters")
    return sorted(_Parser(list(_tokens(text)), documents).whole())


def _tokens(text: str) -> Iterator[str | tuple[str, ...]]:
    """Operators and parentheses as text, words and quoted phrases as tuples of words."""
    for quoted, sign, plain in _TOKEN.findall(text):
        if sign:
            yield sign
        elif not quoted and plain.lower() in _OPERATORS:
            yield _OPERATORS[plain.lower()]
        elif words := tuple(_WORD.findall((quoted or plain).lower())):
            yield words


class _Parser:
    def __init__(self, tokens: list[str | tuple[str, ...]], documents: Documents) -> None:
        self._tokens = tokens
        self._documents = documents
        self._at = 0
        self._depth = 0

    def _next(self) -> str | tuple[str, ...] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, sign: str) -> bool:
        if self._next() != sign:
            return False
        self._at += 1
        return True

    def whole(self) -> set[str]:
        found = self._either()
        if self._next() is not None:
            raise QueryError(f"not understood: {self._next()}")
        return found

    def _either(self) -> set[str]:
        found = self._both()
        while self._take("|"):
            found = found | self._both()
        return found

    def _both(self) -> set[str]:
        found = self._near()
        while self._take("&"):
            found = found - self._near() if self._take("!") else found & self._near()
        return found

    def _near(self) -> set[str]:
        if self._take("("):
            return self._group()
        words = self._phrase()
        found = {path for path, text in self._documents.items() if _places(words, text)}
        while self._take("~"):
            other = self._phrase()
            found = {path for path in found if _close(words, other, self._documents[path])}
            words = other
        return found

    def _group(self) -> set[str]:
        self._depth += 1
        if self._depth > _DEPTH:
            raise QueryError("too many parentheses")
        found = self._either()
        if not self._take(")"):
            raise QueryError("a parenthesis is not closed")
        self._depth -= 1
        return found

    def _phrase(self) -> tuple[str, ...]:
        words: tuple[str, ...] = ()
        while isinstance(token := self._next(), tuple):
            words += token
            self._at += 1
        if not words or all(word in NOISE for word in words):
            raise QueryError("The query contained only ignored words" if words else "a word is missing")
        return words


def _places(words: tuple[str, ...], text: Sequence[str]) -> list[int]:
    """Where a phrase begins in a text."""
    first = next(at for at, word in enumerate(words) if word not in NOISE)
    return [
        at - first
        for at, word in enumerate(text)
        if _fits(words[first], word)
        and 0 <= at - first <= len(text) - len(words)
        and all(one in NOISE or _fits(one, text[at - first + offset]) for offset, one in enumerate(words))
    ]


def _fits(wanted: str, word: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _close(words: tuple[str, ...], other: tuple[str, ...], text: Sequence[str]) -> bool:
    there = _places(other, text)
    return any(abs(one - two) <= NEAR for one in _places(words, text) for two in there)
