"""How figures and instants read, in the terminal and on the page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_labs.result import Result

VERDICT_SIGNS = {"pass": "✓", "fail": "✗", "invalid": "!", "skipped": "-"}
"""Signs beside the verdict's word, so that colour is never the only difference."""
TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)


def clock(seconds: float, *, tenths: bool = True) -> str:
    """An instant of the run: ``5:00.4``, ``1:02:00.0``; without tenths ``5:00``."""
    units = round(seconds * 10) if tenths else round(seconds) * 10
    minutes, rest = divmod(units, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}" if tenths else f"{head}:{rest // 10:02d}"


def ticks(end: float, most: int) -> list[float]:
    """Round instants from 0 to ``end``, at most ``most`` steps apart."""
    step = next(
        (step for step in TICK_STEPS if end / step <= most), TICK_STEPS[-1] * (1 + int(end / TICK_STEPS[-1] / most))
    )
    return [float(at) for at in range(0, int(end) + 1, step)]


def size(amount: float) -> str:
    """Bytes as they are read: ``2.2 KiB``."""
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:  # noqa: PLR2004 - binary multiples
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def headline(text: str) -> str:
    """The first line of a text that may be of many lines, as an event with a script's output is."""
    return split(text)[0]


def split(text: str) -> tuple[str, str]:
    """The first line of a text, and the others without blank ones."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines[0].removesuffix(":"), "\n".join(lines[1:])
    return "".join(lines), ""


def seconds(value: float | None) -> str:
    """A measured duration, or that there was none."""
    return "none" if value is None else f"{value:.2f} s"


def figures(result: Result) -> list[tuple[str, str]]:
    """What a header shows, as pairs of name and value."""
    lost = "" if result.rpo_operations is None else f" ({result.rpo_operations} lost)"
    return [
        ("RPO", seconds(result.rpo_s) + lost),
        ("RTO", seconds(result.rto_s)),
        ("Planned outage", seconds(result.planned_outage_s)),
        ("Provider", result.provider),
        ("Seed", str(result.seed)),
        ("Length of the run", f"{result.virtual_s:,.1f} s"),
        ("Wall time", f"{result.wall_s:,.2f} s"),
        ("Ratio", f"{result.ratio:,.0f}x" if result.ratio else "none"),
        ("Trace hash", result.trace_hash or "none"),
    ]
