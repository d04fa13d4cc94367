"""Tables on consoles that are wide enough, and on those that are not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from bodydouble.cli.output import fitting

CELLS = ("web", "10.77.0.20:6320", "20006/20006 files", "")


def drawn(width: int) -> str:
    table = Table("Replication set", "Target", "Mirror", "Detail", title="Connections", title_justify="left")
    table.add_row(*CELLS)
    console = Console(file=io.StringIO(), width=width)
    console.print(fitting(console, table))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_wide_console_has_a_row_a_line() -> None:
    assert any(all(cell in line for cell in CELLS) for line in drawn(100).splitlines())


@pytest.mark.parametrize("width", [100, 60, 50, 40])
def test_no_console_is_so_narrow_that_cells_are_cut(width: int) -> None:
    text = drawn(width)
    assert "…" not in text
    assert all(word in text for word in ("web", "10.77.0.20:6320", "20006/20006", "Connections"))


def test_on_a_narrow_console_each_cell_stands_beside_its_column_name_and_empty_ones_are_left_out() -> None:
    lines = [line.split() for line in drawn(40).splitlines()]
    assert ["Replication", "set", "web"] in lines
    assert ["Target", "10.77.0.20:6320"] in lines
    assert not any(line[:1] == ["Detail"] for line in lines)
