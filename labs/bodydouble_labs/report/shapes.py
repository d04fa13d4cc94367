"""The few shapes that a drawing is made of, in pixels; the template turns each into an SVG element."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; ``css`` is its class, ``title`` what hovering shows."""

    x: float
    y: float
    width: float
    height: float
    css: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text at a baseline; ``anchor`` is SVG's start, middle or end."""

    x: float
    y: float
    text: str
    css: str = "label"
    anchor: str = "start"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    css: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A curve or an area, as SVG path data made of numbers only."""

    data: str
    css: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """A numbered pill: ``x`` is its left edge, ``y`` its middle."""

    x: float
    y: float
    width: float
    text: str
    css: str
    title: str


@dataclass(slots=True)
class Drawing:
    """All shapes, lowest layer first in each list; bars lie under paths, paths under lines, lines under text."""

    width: float
    plot_left: float
    plot_width: float
    end: float
    height: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    badges: list[Badge] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def x(self, at: float) -> float:
        """The place of an instant on the time axis."""
        return round(self.plot_left + min(max(at / self.end, 0.0), 1.0) * self.plot_width, 2)
