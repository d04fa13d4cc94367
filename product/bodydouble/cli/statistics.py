"""``statistics``: what is generated, sent and acknowledged, second by second, as Double-Take's DTStat showed it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bodydouble.cli import output
from bodydouble.cli.session import Command, Session, examples, pass_session
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.statistics import Figures, ReplicaFigures, RestorationFigures

POLL = 1.0
"""Seconds between two looks; samples are taken as often."""
HEAD_EVERY = 40
_HEAD = (
    f"{'time':<19}  {'connection':<32}  {'generated/s':>11}  {'sent/s':>9}  {'acked/s':>9}  {'queued':>9}  "
    f"{'memory':>9}  {'disk':>9}  {'bytes/s':>9}  {'on wire/s':>9}  {'mirror/s':>9}  {'lag s':>8}"
)


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble statistics",
        "bodydouble statistics --count 1 --json",
        "bodydouble statistics --connection 1 --count 60",
        "bodydouble statistics --file /var/lib/bodydouble/statistics.jsonl",
    ),
)
@click.option("--count", type=click.IntRange(1), help="Stop after so many samples; without it, when interrupted.")
@click.option("--connection", type=int, help="Only the connection with this number.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="Show a statistics log of this machine; see [statistics]."
)
@pass_session
def statistics(session: Session, count: int | None, connection: int | None, file: Path | None) -> None:
    """Show the figures of each second: a line for each connection, for all together, and for each replica here."""
    printer = SamplePrinter(session, connection)
    if file is not None:
        for number, sample in enumerate(_read(file)):
            if count is None or number < count:
                printer.show(sample)
        return
    try:
        session.talk(lambda client: _follow(client, printer, count))
    except KeyboardInterrupt:
        if count is not None:  # following has no other end
            raise


async def _follow(client: ControlClient, printer: SamplePrinter, count: int | None) -> None:
    await printer.check(client)
    shown, after = 0, -1.0
    while count is None or shown < count:
        for sample in await client.statistics(after, limit=None if shown else 1):
            if count is None or shown < count:
                printer.show(sample)
            shown, after = shown + 1, sample.at
        if count is None or shown < count:
            await asyncio.sleep(POLL)


def _read(file: Path) -> Iterator[Sample]:
    """The samples of a log; what is none of it is passed over and counted.

    Raises:
        InputError: the file cannot be read, or holds no sample at all.
    """
    found = lost = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    sample = msgspec.json.decode(line, type=Sample) if line.strip() else None
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    lost += 1
                    continue
                if sample is not None:
                    found += 1
                    yield sample
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}; check the name") from error
    if not found:
        raise InputError(f"{file}: holds no statistics of this version; expected a sample in JSON on each line")
    if lost:
        click.echo(f"bodydouble: {file}: {lost} lines are no samples, torn by a power cut perhaps", err=True)


class SamplePrinter:
    """Prints samples.

    Args:
        session: whether JSON is wanted.
        connection: the only one to show.
    """

    def __init__(self, session: Session, connection: int | None) -> None:
        self._session = session
        self._connection = connection
        self._lines = 0

    async def check(self, client: ControlClient) -> None:
        """Look whether there is the connection that is to be shown.

        Raises:
            ConnectionStateError: there is not.
        """
        there = [status.id for status in await client.connections()]
        if self._connection is not None and self._connection not in there:
            known = ", ".join(str(each) for each in there) or "none"
            raise ConnectionStateError(f"no connection {self._connection}; there are: {known}")

    def show(self, sample: Sample) -> None:
        """Print one."""
        if self._connection is not None:
            wanted = tuple(each for each in sample.connections if each.id == self._connection)
            sample = msgspec.structs.replace(sample, connections=wanted)
        if self._session.json:
            click.echo(msgspec.json.encode(sample).decode())
            return
        for name, figures in self._rows(sample):
            self._line(_figures(sample, name, figures))
        for replica in sample.replicas if self._connection is None else ():
            self._line(_replica(sample, replica))
        for restoration in sample.restorations if self._connection is None else ():
            self._line(_restoration(sample, restoration))

    def _rows(self, sample: Sample) -> Iterable[tuple[str, Figures]]:
        rows: list[tuple[str, Figures]] = [
            (f"{each.id} {each.replication_set}: {each.state}", each) for each in sample.connections
        ]
        return rows if self._connection is not None else [*rows, ("all", sample.total)]

    def _line(self, text: str) -> None:
        if self._lines % HEAD_EVERY == 0:
            click.echo(_HEAD)
        self._lines += 1
        click.echo(output.plain(text))


def _figures(sample: Sample, name: str, figures: Figures) -> str:
    rates = figures.rates
    counts = (rates.generated, rates.sent, rates.acknowledged)
    return (
        f"{sample.time:%Y-%m-%d %H:%M:%S}  {name:<32.32}  {counts[0]:>11,.0f}  {counts[1]:>9,.0f}  {counts[2]:>9,.0f}  "
        f"{figures.operations_queued:>9,}  {_size(figures.queue_memory_bytes):>9}  "
        f"{_size(figures.queue_disk_bytes):>9}  {_size(rates.generated_bytes):>9}  {_size(rates.sent_bytes):>9}  "
        f"{_size(rates.mirror_bytes):>9}  {figures.lag_s:>8.2f}"
    )


def _replica(sample: Sample, replica: ReplicaFigures) -> str:
    name = f"of {replica.source}: {replica.state}"
    return (
        f"{sample.time:%Y-%m-%d %H:%M:%S}  {name:<32}  applied {replica.applied:,}, "
        f"{replica.operations_queued:,} operations ({_size(replica.queue_bytes)}) wait to be applied"
    )


def _restoration(sample: Sample, restoration: RestorationFigures) -> str:
    name = f"restoration {restoration.id} to {restoration.target}"
    left = "" if restoration.remaining is None else f", {restoration.remaining:,.0f} s left"
    files = f"{restoration.files_done:,} of {restoration.files_total:,} files"
    size = f"{_size(restoration.bytes_done)} of {_size(restoration.bytes_total)}"
    sent = f"{_size(restoration.sent_bytes)} on the wire"
    return f"{sample.time:%Y-%m-%d %H:%M:%S}  {name:<32}  {files}, {size}, {sent}{left}"


def _size(size: float) -> str:
    """Bytes in the largest unit that leaves a number of at least 1."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - a thousand of one is one of the next
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
