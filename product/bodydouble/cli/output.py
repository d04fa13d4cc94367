"""Answers on standard output: tables for people, JSON for programs."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.measure import Measurement
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Column, Table

from bodydouble.failover.countdown import counter_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bodydouble.cli.session import Session
    from bodydouble.vocabulary.applications import Uncovered
    from bodydouble.vocabulary.guard import GuardStatus
    from bodydouble.vocabulary.options import DaemonOption
    from bodydouble.vocabulary.orphans import OrphanReport
    from bodydouble.vocabulary.records import (
        ConnectionStatus,
        Event,
        MonitorStatus,
        Peer,
        ReplicationSet,
        RestorationStatus,
        Rule,
        ServiceStatus,
        TargetConnectionStatus,
        TargetState,
    )
    from bodydouble.vocabulary.records import Progress as Done
    from bodydouble.vocabulary.restoration import Restorable
    from bodydouble.vocabulary.sets import Explanation, SetSize
    from bodydouble.vocabulary.tokens import Token
    from bodydouble.vocabulary.verification import VerificationDetails, VerificationReport

PIPE_WIDTH = 240
"""Columns of a table that does not go to a terminal: programs must not meet cut cells."""
_SHARES_SHOWN = 5

MOST_LINES = 4
"""Into how many lines a cell is broken, before a table's cells are better read one beneath the other."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """``text`` without control characters: names and script output must not drive the reader's terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def print_json(value: Any) -> None:
    """One indented JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show(session: Session, value: Any, table: Callable[[Any], Table]) -> None:
    """Print ``value`` as the session asks."""
    if session.json:
        print_json(value)
    else:
        print_tables(table(value))


def print_tables(*tables: Table) -> None:
    """Print tables, each under its title."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)
    for table in tables:
        console.print(fitting(console, table))


def fitting(console: Console, table: Table) -> Table:
    """The table with no cell cut: where the console is too narrow for it, its cells stand one beneath the other."""
    endless = console.options.update(width=1 << 20)  # rich says of nothing that it is wider than its console
    least, most = Measurement.get(console, endless, table)
    if most <= console.width:
        return table
    spare = console.width - least
    for column in sorted(table.columns, key=_most_wide):
        word = _widest_word(column)
        column.width = word + max(0, min(spare, _most_wide(column) - word))
        spare -= column.width - word
        if spare < 0 or _most_wide(column) > MOST_LINES * column.width:
            return _upright(table)
    return table


def _widest_word(column: Column) -> int:
    return max(cell_len(word) for text in _texts(column) for word in (text.split() or [""]))


def _most_wide(column: Column) -> int:
    return max(cell_len(line) for text in _texts(column) for line in (text.splitlines() or [""]))


def _texts(column: Column) -> list[str]:
    return [str(column.header), *(str(cell) for cell in column.cells)]


def _upright(table: Table) -> Table:
    upright = Table("", "", title=table.title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 2))
    upright.columns[1].overflow = "fold"
    for row in zip(*(column.cells for column in table.columns), strict=True):
        for column, cell in zip(table.columns, row, strict=True):
            if cell:
                upright.add_row(column.header, cell)
        upright.add_row("", "")
    return upright


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD)


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(plain(str(cell)) for cell in cells))


def sets_table(sets: Sequence[ReplicationSet]) -> Table:
    """Replication sets, a rule a line, in the guides' form ``path inc, rec``."""
    table = _table("Replication sets", "Name", "Rules")
    for item in sets:
        _row(table, item.name, "\n".join(rule_words(rule) for rule in item.rules))
    return table


def rule_words(rule: Rule) -> str:
    """A rule in the guides' form."""
    return f"{rule.path} {'inc' if rule.include else 'exc'}{', rec' if rule.recursive else ''}"


def explanations_table(explanations: Sequence[Explanation]) -> Table:
    """Which rule decides about each path."""
    table = _table("Decisions", "Path", "In the set", "Rule", "Why", "Less specific")
    for item in explanations:
        on_the_way = " (a directory of that name is kept: something beneath may be in the set)" * item.on_the_way
        rule = "none" if item.rule is None else rule_words(item.rule)
        others = "\n".join(rule_words(each) for each in item.others)
        _row(table, item.path, "yes" if item.selected else "no", rule, item.reason + on_the_way, others)
    return table


def size_table(size: SetSize) -> Table:
    """How large a set is, an include rule a line."""
    table = _table(
        f"Size of {plain(size.replication_set)}: {size.state}", "Rule", "Files", "Directories", "Bytes", "Detail"
    )
    for item in size.rules:
        _row(table, rule_words(item.rule), item.files, item.directories, item.bytes, "")
    unreadable = f"{size.unreadable} directories cannot be read" if size.unreadable else ""
    detail = "; ".join(part for part in (unreadable, size.detail) if part)
    _row(table, "together", size.files, size.directories, size.bytes, detail)
    return table


def warn(found: Sequence[Uncovered]) -> None:
    """Say on standard error what applications need and no set holds."""
    for item in found:
        click.echo(plain(f"bodydouble: warning: {item.words}"), err=True)


def uncovered_table(found: Sequence[Uncovered]) -> Table:
    """What applications need and no set holds."""
    table = _table("Not in the replication sets", "Application", "What", "Directory", "Detail")
    for item in found:
        _row(table, item.directory.application, item.directory.what, item.directory.path, item.reason)
    return table


def connections_table(connections: Sequence[ConnectionStatus]) -> Table:
    """The source's connections, with the states of both sides and of transmission."""
    table = _table(
        "Connections", "ID", "Replication set", "Target", "State", "Target state", "Transmission", "Mirror", "Queue",
        "Acknowledged", "Detail",
    )  # fmt: skip
    for item in connections:
        queue = f"{item.queue_operations} ops, {item.queue_bytes} bytes"
        acknowledged = f"{item.acknowledged} of {item.generated}, {item.applied} applied"
        next_ = item.transmission_next if item.transmission == "scheduled" else None
        transmission = item.transmission + (f", next {next_:%a %H:%M} UTC" if next_ is not None else "")
        detail = "; ".join(
            part
            for part in (
                _placed(item),
                "disconnects" if item.draining else "",
                "the set was changed: mirror to use it" if item.set_changed else "",
                item.detail,
            )
            if part
        )
        _row(
            table, item.id, item.replication_set, _reached(item), item.state, _side(item.target_state), transmission,
            _mirror(item), queue, acknowledged, detail,
        )  # fmt: skip
    return table


def _mirror(item: ConnectionStatus) -> str:
    if item.mirror_state == "none" and not item.mirror.files_total:
        return "none"
    state = "" if item.mirror_state == "none" else f"{item.mirror_state}, "
    newer = f", {item.newer_on_target} newer on the target" if item.newer_on_target else ""
    end = "" if item.mirror_end is None else f", until {item.mirror_end:%H:%M:%S} UTC"
    runs = item.mirror_state in ("none", "running")
    return f"{state}{_progress(item.mirror, runs=runs)}{newer}{end}"


def _reached(item: ConnectionStatus) -> str:
    by = f" by {item.route}" if item.route not in ("", item.target) else ""
    return f"{item.target}:{item.port}{by}"


def _placed(item: ConnectionStatus) -> str:
    """The mapping, unless it is One To One."""
    pairs = [f"{each.source}={each.target}" for each in item.mapping]
    return ", ".join([*pairs, *([f"base {item.base}"] if item.base else [])])


def target_table(connections: Sequence[TargetConnectionStatus]) -> Table:
    """The target's side of connections."""
    table = _table(
        "Sources replicated here", "Source", "Replication set", "State", "Source is", "Queue", "Applied", "Kept in",
        "Detail",
    )  # fmt: skip
    for item in connections:
        connected = "connected" if item.connected else "not connected"
        queue = f"{item.queue_operations} ops, {item.queue_bytes} bytes"
        _row(
            table, item.source, item.replication_set, _side(item.state), connected, queue, item.applied,
            "\n".join(item.places), "\n".join([item.detail, *_not_kept(item)]).strip(),
        )  # fmt: skip
    return table


def _not_kept(item: TargetConnectionStatus) -> list[str]:
    """What the volumes could not keep, one line."""
    counts = ", ".join(f"{what} ({count}x)" for what, count in sorted(item.not_kept.items()))
    return [f"not kept: {counts}"] if counts else []


def _side(state: TargetState) -> str:
    """A target's state in the guides' spelling."""
    return "OK" if state == "ok" else state.replace("-", " ").capitalize()


def verifications_table(reports: Sequence[VerificationReport]) -> Table:
    """Verifications and their totals."""
    table = _table(
        "Verifications", "Number", "Replication set", "Target", "State", "Compared", "Missing", "Different", "Orphans",
        "Not comparable", "Detail",
    )  # fmt: skip
    for item in reports:
        totals = item.totals
        state = f"{item.state}, repaired" if item.repaired else item.state
        compared = f"{totals.files} files, {totals.directories} directories, {totals.bytes} bytes"
        unknown = totals.unsettled + totals.unreadable
        _row(
            table, item.number, item.replication_set, item.target, state, compared, totals.missing, totals.different,
            totals.orphans, unknown, item.detail,
        )  # fmt: skip
    return table


def orphans_tables(report: OrphanReport) -> list[Table]:
    """A report on orphans: the totals, and the first of them."""
    totals = report.totals
    table = _table(
        "Orphans", "Connection", "Replication set", "Target", "During", "State", "Action", "Files", "Directories",
        "Bytes", "Too young", "Detail",
    )  # fmt: skip
    _row(
        table, report.connection, report.replication_set, report.target, report.during, report.state, report.action,
        totals.files, totals.directories, totals.bytes, totals.young, report.detail,
    )  # fmt: skip
    listed = _table("Only on the target", "Kind", "Path", "Bytes", "Last write", "")
    for item in report.orphans:
        written = "" if item.last_write is None else f"{item.last_write:%Y-%m-%d %H:%M:%S}"
        _row(listed, item.kind, item.path, item.size, written, "too young: stays" if item.young else "")
    return [table, listed]


def differences_table(details: VerificationDetails) -> Table:
    """The first differences of a verification."""
    table = _table("Differences", "Kind", "Path", "Detail")
    for item in details.differences:
        _row(table, item.kind, item.path, item.detail)
    return table


def monitors_table(monitors: Sequence[MonitorStatus]) -> Table:
    """What the Failover Control Center shows."""
    table = _table("Monitors", "", "Source", "Addresses", "Time to Fail", "State", "Status")
    for item in monitors:
        addresses = "\n".join(
            address.address + (" answers" if address.address.partition("/")[0] in item.addresses_answering else "")
            for address in item.request.addresses
        )
        addresses += _shares(item)
        counter = counter_words(item.state, item.time_to_fail)
        status = f"{item.status_line}\n{item.reboot}" if item.reboot else item.status_line
        _row(table, item.bullet, item.request.source, addresses, counter, item.state, status)
    return table


def _shares(status: MonitorStatus) -> str:
    """A line with the first few shares that go with the addresses; empty without any."""
    names = [each.name for each in status.shares[:_SHARES_SHOWN]]
    more = len(status.shares) - len(names)
    if not names:
        return ""
    return f"\nshares {', '.join(names)}" + (f" and {more} more" if more else "")


def guard_table(status: GuardStatus) -> Table:
    """Guarded addresses, and who answers that this machine is not cut off."""
    heard = f"; witnesses that answer: {', '.join(status.witnesses) or 'none'}" if status.silent is not None else ""
    table = _table(f"Guarded addresses{heard}", "Interface", "Address", "State", "Detail")
    for each in status.addresses:
        _row(table, each.address.interface, each.address.address, each.state, each.detail)
    return table


def peers_table(peers: Sequence[Peer]) -> Table:
    """Paired machines."""
    table = _table("Paired machines", "Name", "May be", "State", "Since", "Certificate (SHA-256)")
    for item in peers:
        roles = " and ".join(f"{role} of ours" for role in item.roles)
        _row(table, item.name, roles, item.state, f"{item.since:%Y-%m-%d %H:%M:%S}", item.fingerprint)
    return table


def tokens_table(tokens: Sequence[Token]) -> Table:
    """Who may ask the daemon."""
    table = _table("Tokens", "Name", "Role", "Made")
    for item in tokens:
        made = "in the configuration" if item.created is None else f"{item.created:%Y-%m-%d %H:%M} UTC"
        _row(table, item.name, item.role, made)
    return table


def known_table(known: Mapping[str, str]) -> Table:
    """Daemons that the console trusts."""
    table = _table("Trusted daemons", "Daemon", "Certificate (SHA-256)")
    for place, fingerprint in known.items():
        _row(table, place, fingerprint)
    return table


def restorable_table(found: Sequence[Restorable]) -> Table:
    """What may be restored."""
    table = _table("Restorable from here", "Original source", "Replication set", "Restore", "Rules")
    for item in found:
        state = "required" if item.required else "possible" if item.complete else "not yet: no mirror completed"
        rules = "\n".join(rule_words(rule) for rule in item.replication_set.rules)
        _row(table, item.original_source, item.replication_set.name, state, rules)
    return table


def restorations_table(restorations: Sequence[RestorationStatus]) -> Table:
    """Restorations."""
    table = _table(
        "Restorations", "ID", "Original source", "Replication set", "Restore to", "State", "Progress", "Detail"
    )
    for item in restorations:
        request = item.request
        _row(
            table,
            item.id,
            request.original_source,
            request.replication_set,
            f"{request.restore_to}:{request.port}",
            item.state,
            _progress(item.progress, runs=item.state == "running") + _ending(item),
            item.detail,
        )
    return table


def _ending(item: RestorationStatus) -> str:
    """What is left to do, by an estimate, or was left undone on purpose."""
    left = f", {item.left_alone} left alone" if item.left_alone else ""
    remaining = item.progress.remaining if item.state == "running" else None
    return left if remaining is None else f", about {remaining:.0f} s left{left}"


def options_table(options: Sequence[DaemonOption]) -> Table:
    """A daemon's options."""
    table = _table("Options", "Name", "Value", "While it runs")
    for item in options:
        value = "none" if item.value is None else item.value
        _row(table, item.name, value, "can be changed" if item.changeable else "")
    return table


def service_table(service: ServiceStatus) -> Table:
    """One service."""
    table = _table("Service", "Name", "Display name", "State", "Startup")
    _row(table, service.name, service.display_name, service.state, service.startup)
    return table


def _progress(done: Done, *, runs: bool) -> str:
    """What was done of how much; how fast only while it runs, because an average of what is over misleads."""
    skipped = f" ({done.bytes_skipped} not sent)" if done.bytes_skipped else ""
    rate = f", {done.rate:.0f} bytes/s" if done.rate and runs else ""
    return f"{done.files_done}/{done.files_total} files, {done.bytes_done}/{done.bytes_total} bytes{skipped}{rate}"


def print_event(session: Session, event: Event) -> None:
    """One event a line; JSON lines when asked."""
    if session.json:
        click.echo(msgspec.json.encode(event).decode())
    else:
        click.echo(f"{event.number:>6}  {event.time:%Y-%m-%d %H:%M:%S}  {event.code}  {plain(event.text)}")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[Done], None]]:
    """A bar on standard error while something long runs; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    left = TextColumn("{task.fields[left]}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), left)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None, left="")

        def update(done: Done) -> None:
            end = "" if done.remaining is None else f", about {done.remaining:.0f} s left"
            files = f"{done.files_done}/{done.files_total} files{end}"
            progress.update(task, completed=done.bytes_done, total=done.bytes_total or None, left=files)

        yield update


@contextmanager
def tally_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """The same for what is only counted while it runs, files and bytes, because its end is known to nobody."""
    with count_bar(what) as update:
        yield lambda files, size: update(Counted(files, size))


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted so far, and by directories how much that is of what is known.

    Attributes:
        looked: directories listed.
        known: directories found; 0: not known.
    """

    files: int
    bytes: int
    looked: int = 0
    known: int = 0


@contextmanager
def count_bar(what: str) -> Iterator[Callable[[Counted | SetSize], None]]:
    """The same for a calculation, whose end is known by directories: those listed of those found so far."""
    if not sys.stderr.isatty():
        yield lambda _counted: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[found]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None, found="")

        def update(counted: Counted | SetSize) -> None:
            found = f"{counted.files:,} files, {decimal(counted.bytes)}"
            progress.update(task, completed=counted.looked, total=counted.known or None, found=found)

        yield update
