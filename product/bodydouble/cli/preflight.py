"""``preflight``: whether two machines would fail over, asked of both daemons.

Exit status: 0 no requirement fails (what is not known is listed); 1 one does; 2 the command line is wrong.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bodydouble.cli import output
from bodydouble.cli.session import FAILURE_STATUS, Command, Session, examples, pass_session
from bodydouble.errors import ControlError, InputError
from bodydouble.preflight.catalog import preflight as judge
from bodydouble.preflight.findings import Situation
from bodydouble.profiles.catalog import PROFILES, find_profile

if TYPE_CHECKING:
    from bodydouble.preflight.catalog import PreflightReport
    from bodydouble.preflight.findings import Finding
    from bodydouble.vocabulary.inventory import HostInventory

_WORDS = {"pass": "pass", "warn": "WARNING", "fail": "FAIL", "unknown": "not known"}
_PORTS = 65536


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble --token-file token preflight iis5 --source web1 --target standby",
        "bodydouble --config /etc/bodydouble/daemon.toml preflight nginx --target 10.77.0.20 --target-token-file t",
        "bodydouble preflight iis4 --source web1 --source-token-file s --target standby --target-token-file t --json",
    ),
)
@click.argument("profile", type=click.Choice(list(PROFILES)))
@click.option("--source", metavar="HOST[:PORT]", help="The source's daemon; without it, the one of the global options.")
@click.option("--target", metavar="HOST[:PORT]", help="The target's daemon; without it, the one of the global options.")
@click.option("--source-token-file", type=click.Path(path_type=Path), help="Its token; without it, --token-file.")
@click.option("--target-token-file", type=click.Path(path_type=Path), help="Its token; without it, --token-file.")
@click.option("--source-pin", metavar="FINGERPRINT", help="Of its certificate; without it, it has to be trusted.")
@click.option("--target-pin", metavar="FINGERPRINT", help="Of its certificate; without it, it has to be trusted.")
@click.option("--all", "everything", is_flag=True, help="Show what passed, too.")
@pass_session
def preflight(
    session: Session,
    *,
    profile: str,
    source: str | None,
    target: str | None,
    source_token_file: Path | None,
    target_token_file: Path | None,
    source_pin: str | None,
    target_pin: str | None,
    everything: bool,
) -> None:
    """Check whether the target would stand in for the source as PROFILE asks, each requirement by itself.

    Nothing is changed. docs/preflight.md lists the checks.
    """
    if source is None and target is None:
        raise InputError("preflight: expected --source or --target, or both: the other is the daemon of the options")
    ours, our_trouble = _asked(_place(session, source, source_token_file, source_pin))
    theirs, their_trouble = _asked(_place(session, target, target_token_file, target_pin))
    report = judge(Situation(find_profile(profile), ours, theirs, our_trouble, their_trouble))
    if session.json:
        output.print_json(report)
    else:
        _show(report, everything=everything)
    if report.verdict == "fail":
        raise click.exceptions.Exit(FAILURE_STATUS)


def _place(session: Session, place: str | None, token_file: Path | None, pin: str | None) -> Session:
    """The session with one of the two daemons."""
    chosen = dataclasses.replace(session, token_file=token_file or session.token_file)
    if place is None:
        return dataclasses.replace(chosen, pin=pin or session.pin)
    host, separator, port = place.rpartition(":")
    if separator and not (port.isascii() and port.isdigit() and 0 < int(port) < _PORTS):
        raise InputError(f"{place!r}: expected a host, or HOST:PORT")
    number = int(port) if separator else session.port
    return dataclasses.replace(chosen, host=host if separator else place, port=number, config=None, pin=pin)


def _asked(session: Session) -> tuple[HostInventory | None, str]:
    """What a daemon says of its machine, or why it says nothing."""
    try:
        return session.talk(lambda client: client.inventory()), ""
    except ControlError as error:
        return None, str(error)


def _show(report: PreflightReport, *, everything: bool) -> None:
    shown = [each for each in report.findings if everything or each.verdict != "pass"]
    if shown:
        table = Table("Result", "Check", "What is so", "What to do", box=SIMPLE_HEAD)
        for each in shown:
            row = (_WORDS[each.verdict], each.check, each.detail, _remedy(each))
            table.add_row(*(output.plain(cell) for cell in row))
        output.print_tables(table)
    verdicts: list[str] = [each.verdict for each in report.findings]
    counts = [f"{number} {words}" for verdict, words in _WORDS.items() if (number := verdicts.count(verdict))]
    click.echo(f"{find_profile(report.profile).title}: {', '.join(counts)}")


def _remedy(finding: Finding) -> str:
    return f"{finding.remedy} ({finding.section})" if finding.remedy else ""
