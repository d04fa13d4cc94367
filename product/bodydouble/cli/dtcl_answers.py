"""What DTCL's commands answer: the tables of the other commands, or a line of JSON each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from bodydouble.cli import output
from bodydouble.cli.observation import print_status
from bodydouble.cli.statistics import SamplePrinter
from bodydouble.vocabulary.options import DaemonOption
from bodydouble.vocabulary.records import (
    ConnectionStatus,
    DaemonStatus,
    Event,
    MonitorStatus,
    ReplicationSet,
    RestorationStatus,
    Sample,
    ServiceStatus,
    TargetConnectionStatus,
)
from bodydouble.vocabulary.sets import SetSize
from bodydouble.vocabulary.verification import VerificationDetails, VerificationReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rich.table import Table

    from bodydouble.cli.session import Session
    from bodydouble.dtcl.syntax import Command

_TABLES: tuple[tuple[type, Callable[[Any], Table]], ...] = (
    (ConnectionStatus, output.connections_table),
    (MonitorStatus, output.monitors_table),
    (ReplicationSet, output.sets_table),
    (RestorationStatus, output.restorations_table),
    (TargetConnectionStatus, output.target_table),
    (VerificationReport, output.verifications_table),
    (DaemonOption, output.options_table),
)


def show_answer(session: Session, command: Command, result: object) -> None:
    """Print what a command answered."""
    if session.json:
        from bodydouble.dtcl.printing import words_of  # noqa: PLC0415 - brings the parser, which takes its time

        line = {"line": command.place.line, "command": words_of(command), "result": result}
        click.echo(msgspec.json.encode(line).decode())
        return
    items = result if isinstance(result, list) else [result]
    for type_, table in _TABLES:
        if items and isinstance(items[0], type_):
            output.print_tables(table(items))
            return
    for item in items:
        _show_one(session, item)


def _show_one(session: Session, item: object) -> None:
    if isinstance(item, DaemonStatus):
        print_status(item)
    elif isinstance(item, Event):
        output.print_event(session, item)
    elif isinstance(item, Sample):
        SamplePrinter(session, None).show(item)
    elif isinstance(item, SetSize):
        output.print_tables(output.size_table(item))
    elif isinstance(item, ServiceStatus):
        output.print_tables(output.service_table(item))
    elif isinstance(item, VerificationDetails):
        output.print_tables(output.verifications_table([item.report]), output.differences_table(item))
    else:
        output.print_json(item)
