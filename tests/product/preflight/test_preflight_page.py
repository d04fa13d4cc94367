"""The page on preflight lists exactly the checks that there are."""

from __future__ import annotations

from pathlib import Path

from bodydouble.preflight.catalog import CHECKS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "preflight.md").read_text()
NOTE = ("Requirements", "Install Software on the Source", "Install and Configure Software on the Target",
        "Configure and Begin Mirroring and Replication", "Configure Failover and Begin Failure Monitoring")  # fmt: skip


def table(page: str) -> list[list[str]]:
    """The rows of the page's last table, without its head."""
    rows = [line for line in page.partition("## The checks")[2].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_page_says_of_every_check_what_the_check_says() -> None:
    assert table(PAGE) == [[each.name, each.section, each.reason, each.remedy] for each in CHECKS]


def test_a_row_that_differs_is_seen() -> None:
    assert table(PAGE.replace("| desktop |", "| desk |")) != table(PAGE)


def test_every_check_names_a_section_of_the_note() -> None:
    assert [each.section for each in CHECKS if not each.section.startswith(NOTE)] == []
    assert len({each.name for each in CHECKS}) == len(CHECKS)
