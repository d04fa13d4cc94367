r"""What findstr looks for: ``.``, ``*``, ``^``, ``$``, ``[class]``, ``\<`` and ``\>``; everything else is itself.

Followed state by state, not by Python's ``re``, whose time grows with a power of the number of stars: a pattern in an
operator's script must not stop the world.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PIECE = re.compile(r"\\[<>]|\\(.)|(\[\^?[^\]]+\])|[.^$]|(?<!^)\*(?<!\*\*)")
_BORDER = re.compile(r"\b")


class _Step(NamedTuple):
    """One character (``fits``), as often as there are (``star``), or a place in the line (``where``)."""

    fits: re.Pattern[str] | None
    where: str
    star: bool = False


class Pattern:
    """One string of a findstr command.

    Args:
        text: as it was given.
        ignore_case: ``/i``.
        literal: every character is itself.
        begins: it stands at the beginning of the line (``/b``, ``/x``).
        ends: it stands at the end (``/e``, ``/x``).
    """

    def __init__(self, text: str, *, ignore_case: bool, literal: bool, begins: bool, ends: bool) -> None:
        self._flags = re.IGNORECASE if ignore_case else 0
        steps = None if literal else self._parsed(text)
        steps = [self._character(character) for character in text] if steps is None else steps
        self._steps = [_Step(None, "^")] * begins + steps + [_Step(None, "$")] * ends

    def _character(self, character: str) -> _Step:
        return _Step(re.compile(re.escape(character), self._flags), "")

    def _parsed(self, text: str) -> list[_Step] | None:
        """The steps; None when a star stands behind nothing that repeats: then the text is meant literally."""
        steps: list[_Step] = []
        at = 0
        while at < len(text):
            found = _PIECE.match(text, at)
            piece = found[0] if found is not None else text[at]
            at += len(piece)
            if found is not None and piece == "*":
                if not steps or steps[-1].fits is None:
                    return None
                steps[-1] = steps[-1]._replace(star=True)
            else:
                steps.append(self._step(piece, special=found is not None))
        return steps

    def _step(self, piece: str, *, special: bool) -> _Step:
        if not special:
            return self._character(piece)
        if piece in ("^", "$", "\\<", "\\>"):
            return _Step(None, piece)
        if piece == ".":
            return _Step(re.compile(".", self._flags), "")
        if piece.startswith("\\"):
            return self._character(piece[1])
        inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        try:
            return _Step(re.compile(f"[{inside}]", self._flags), "")
        except re.error:
            return self._character(piece[1])

    def search(self, line: str) -> bool:
        """Whether it is somewhere in the line."""
        steps, end = self._steps, len(self._steps)
        states: set[int] = set()
        for at in range(len(line) + 1):
            states = self._reached(states | {0}, line, at)
            if end in states:
                return True
            if at < len(line):
                states = {state + (not steps[state].star) for state in states if self._fits(steps[state], line[at])}
        return False

    @staticmethod
    def _fits(step: _Step, character: str) -> bool:
        return step.fits is not None and step.fits.fullmatch(character) is not None

    def _reached(self, states: set[int], line: str, at: int) -> set[int]:
        """The states, and those behind them that take no character."""
        reached = set(states)
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state < len(self._steps) and state + 1 not in reached and self._passes(self._steps[state], line, at):
                reached.add(state + 1)
                waiting.append(state + 1)
        return reached

    @staticmethod
    def _passes(step: _Step, line: str, at: int) -> bool:
        if step.fits is not None:
            return step.star
        if step.where in ("^", "$"):
            return at == (0 if step.where == "^" else len(line))
        return _BORDER.match(line, at) is not None
