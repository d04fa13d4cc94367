"""Commands and routes of existing connections, and schedules as people write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.product.control.test_cli import Console

from bodydouble.cli import orphans as orphan_commands
from bodydouble.cli import replication as replication_commands
from bodydouble.cli import schedules
from bodydouble.errors import InputError
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.orphans import OrphanRequest
from bodydouble.vocabulary.records import MirrorScripts
from bodydouble.vocabulary.tasks import TaskRequest
from bodydouble.vocabulary.transmission import Moment, TransmissionSchedule, Window

if TYPE_CHECKING:
    from pathlib import Path

    from tests.product.control.fakes import Served


@pytest.fixture
def console(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr(replication_commands, "POLL", 0.01)
    token_file = tmp_path / "token"
    token_file.write_text("correct horse\n")
    made = Console(served, token_file)
    made.ok("repset", "save", "IIS", "--include", r"C:\InetPub")
    made.ok("connect", "IIS", "10.0.0.20")
    return made


# --- connect --------------------------------------------------------------------------------------------------------


def test_connect_takes_mapping_route_and_transmission(console: Console) -> None:
    console.ok(
        "connect", "IIS", "target", "--map", r"C:\InetPub=D:\Backup", "--base", "/replicas", "--route", "10.1.0.20",
        "--no-auto-reconnect", "--bandwidth", "2MB", "--compression", "1",
        "--schedule", "start at 10MB; stop when empty",
    )  # fmt: skip
    request = console.served.replication.asked[-1]
    assert request.mapping == [PathMapping("C:/InetPub", "D:/Backup")]
    assert (request.base, request.route, request.auto_reconnect) == ("/replicas", "10.1.0.20", False)
    assert (request.transmission.bandwidth, request.transmission.compression) == (2_000_000, 1)
    assert request.transmission.schedule == TransmissionSchedule(start_bytes=10_000_000, stop_empty=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--map", "C:/InetPub"], "no mapping"),
        (["--map", "InetPub=D:/x"], "absolute"),
        (["--bandwidth", "fast"], "no size"),
        (["--bandwidth", "10"], ">= 1024"),
        (["--schedule", "now and then"], "is not understood"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_expected(console: Console, arguments: list[str], words: str) -> None:
    result = console.run("connect", "IIS", "target", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_connect_takes_what_follows_by_itself(console: Console) -> None:
    console.ok(
        "connect",
        "IIS",
        "target",
        "--remirror",
        "checksum",
        "--compatibility",
        "4.1",
        "--mirror-script",
        "start=a.sh",
        "--mirror-script",
        "complete=b.sh",
        "--bandwidth",
        "50% of 10Mbit",
    )
    request = console.served.replication.asked[-1]
    assert (request.remirror, request.remirror_after_reconnect, request.recognise_restore) == ("checksum", True, False)
    assert request.scripts == MirrorScripts(start="a.sh", complete="b.sh")
    assert request.transmission.bandwidth == 625_000
    console.ok("connect", "IIS", "target", "--remirror", "none")
    request = console.served.replication.asked[-1]
    assert (request.remirror, request.remirror_after_reconnect, request.recognise_restore) == (None, False, True)
    for wrong in ("begin=a.sh", "start", "start="):
        refused = console.run("connect", "IIS", "target", "--mirror-script", wrong)
        assert (refused.exit_code, "expected one of start, stop, complete" in refused.stderr) == (2, True)
    assert console.run("connect", "IIS", "target", "--bandwidth", "150% of 10Mbit").exit_code == 2


def test_replication_is_stopped_and_started(console: Console) -> None:
    stopped = json.loads(console.ok("replication", "stop", "1", "--json"))
    assert stopped[0]["replication_stopped"]
    console.ok("replication", "start", "1")
    assert console.served.replication.orders.heard == [("replication", 1, False), ("replication", 1, True)]
    assert console.run("replication", "stop", "7").exit_code == 1


def test_disconnect_drains_when_asked_to(console: Console) -> None:
    console.ok("disconnect", "1", "--drain", "--wait")
    assert console.served.replication.drained == [1]
    assert console.served.replication.connected == {}


# --- mirrors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (["1"], MirrorOrder()),
        (["start", "1"], MirrorOrder()),
        (["start", "1", "--kind", "checksum", "--newer-only"], MirrorOrder(kind="checksum", newer_only=True)),
        (["1", "--not-only-newer", "--orphans", "log"], MirrorOrder(newer_only=False, orphans="log")),
    ],
)
def test_mirror_is_ordered_as_said_and_leaves_open_what_is_not(
    console: Console, arguments: list[str], order: MirrorOrder
) -> None:
    console.ok("mirror", *arguments)
    assert console.served.replication.orders.heard == [order]


def test_mirror_is_paused_and_stopped(console: Console) -> None:
    assert "paused," in console.ok("mirror", "pause", "1")
    assert "stopped," in console.ok("mirror", "stop", "1")
    assert console.served.replication.orders.heard == [("pause", 1), ("stop", 1)]
    result = console.run("mirror", "resume", "1")
    assert result.exit_code == 1
    assert "no mirror is paused" in result.stderr


def test_newer_only_may_be_the_rule_of_a_connection_or_a_restoration(console: Console) -> None:
    console.ok("connect", "IIS", "target", "--newer-only")
    assert console.served.replication.asked[-1].newer_only


# --- orphans --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["list", "1"], OrphanRequest("log")),
        (["move", "1", "--older-than", "30d"], OrphanRequest("move", 30 * 86_400.0)),
        (["delete", "1", "--older-than", "90s"], OrphanRequest("delete", 90.0)),
    ],
)
def test_orphans_are_sought_and_shown(
    console: Console, arguments: list[str], asked: OrphanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan_commands, "POLL", 0.01)
    shown = console.ok("orphans", *arguments)
    assert console.served.replication.orders.heard == [asked]
    assert "C:/InetPub/old.htm" in shown
    assert "too young: stays" in shown
    assert json.loads(console.ok("orphans", "show", "1", "--json"))["totals"]["bytes"] == 7


def test_orphans_that_cannot_be_shown_or_sought_end_with_a_reason(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan_commands, "POLL", 0.01)
    assert "nobody has looked" in console.run("orphans", "show", "1").stderr
    assert "no search for orphans" in console.run("orphans", "stop", "1").stderr
    assert "no age" in console.run("orphans", "delete", "1", "--older-than", "long").stderr
    console.served.replication.orphans.end_state = "interrupted"
    assert "was interrupted" in console.run("orphans", "list", "1").stderr


def test_orphans_and_their_age_may_be_the_rule_of_a_connection(console: Console) -> None:
    console.ok("connect", "IIS", "target", "--orphans", "move", "--orphan-age", "7d", "--calculate")
    asked = console.served.replication.asked[-1]
    assert (asked.orphans, asked.orphan_age, asked.calculate) == ("move", 7 * 86_400.0, True)
    console.ok("mirror", "start", "1", "--orphans", "delete", "--orphan-age", "12h")
    assert console.served.replication.orders.heard == [MirrorOrder(orphans="delete", orphan_age=43_200.0)]


# --- orders ---------------------------------------------------------------------------------------------------------


def test_route_changes_the_route(console: Console) -> None:
    assert "10.0.0.20:6320 by 10.1.0.20" in console.ok("connection", "route", "1", "10.1.0.20")
    assert console.served.replication.orders.heard == [("route", 1, "10.1.0.20")]


@pytest.mark.parametrize("order", ["start", "stop", "pause"])
def test_transmission_is_ordered_by_hand(console: Console, order: str) -> None:
    assert "paused" in console.ok("transmission", order, "1")
    assert console.served.replication.orders.heard == [(order, 1)]


def test_an_order_that_does_not_fit_or_exist_is_refused(console: Console) -> None:
    result = console.run("transmission", "resume", "1")
    assert (result.exit_code, "is not possible" in result.stderr) == (1, True)
    assert "no connection 7" in console.run("transmission", "pause", "7").stderr


def test_limit_compression_and_schedule_change_one_thing_each(console: Console) -> None:
    console.ok("transmission", "limit", "1", "500kB")
    console.ok("transmission", "compression", "1", "3")
    console.ok("transmission", "schedule", "1", "window sat,sun 00:00-00:00 limit 1MiB")
    shown = console.ok("transmission", "schedule", "1")
    assert shown == ("connection 1: window sat,sun 00:00-00:00 limit 1MiB; 500kB/s; compressed (zstd 3)\n")
    console.ok("transmission", "limit", "1", "off")
    console.ok("transmission", "schedule", "1", "--off")
    options = json.loads(console.ok("transmission", "schedule", "1", "--json"))
    assert options == {"bandwidth": None, "compression": 3, "schedule": None}


@pytest.mark.parametrize("window", ["25:00-06:00", "22:60-06:00", "22:00-24:00"])
def test_a_time_of_day_that_there_is_not_is_refused_in_plain_words(console: Console, window: str) -> None:
    result = console.run("transmission", "schedule", "1", f"window {window}")
    assert result.exit_code == 2
    assert f"'window {window}' is not understood; expected " in result.stderr
    assert "regex" not in result.stderr


@pytest.mark.parametrize(
    ("number", "text"), [(10_000_000, "10MB"), (65_536, "64KiB"), (1_500, "1500B"), (0, "0B"), (2_000, "2kB")]
)
def test_sizes_are_told_in_the_largest_unit_that_loses_nothing(number: int, text: str) -> None:
    assert schedules.sized(number) == text
    assert schedules.size(text) == number


def test_a_schedule_may_lie_in_a_file(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "nightly.txt"
    file.write_text("# at night only\nwindow 22:00-05:00\n\nstart every 30m; stop after 10m\n")
    console.ok("transmission", "schedule", "1", str(file))
    assert console.served.replication.orders.options.schedule == TransmissionSchedule(
        start_every=1800, stop_after=600, windows=[Window(begin="22:00", end="05:00")]
    )


def test_target_pauses_and_resumes_a_replica(console: Console) -> None:
    assert "Paused" in console.ok("target", "pause", "WEB1", "IIS")
    assert "OK" in console.ok("target", "resume", "WEB1", "IIS")
    assert console.served.replication.orders.heard == [("WEB1", "IIS", True), ("WEB1", "IIS", False)]
    assert json.loads(console.ok("target", "list", "--json"))[0]["source"] == "WEB1"


def test_a_task_is_queued_with_its_arguments_as_they_are(console: Console) -> None:
    told = console.ok("queue-task", "1", "--on", "execute", "--timeout", "5", "--", "snap.sh", "--flag", "a b", "$X")
    assert "task stream-1/task-1 queued, runs on execute" in told
    assert console.served.replication.orders.heard == [TaskRequest("execute", "snap.sh", ["--flag", "a b", "$X"], 5.0)]
    assert json.loads(console.ok("queue-task", "1", "--on", "queue", "--json", "--", "x"))["on"] == "queue"


# --- schedules ------------------------------------------------------------------------------------------------------

DAY = st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
DAYS: Any = st.lists(DAY, max_size=3, unique=True)
TIME = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
AMOUNT = st.none() | st.integers(1, 10**12)
SPAN = st.none() | st.integers(1, 10**5).map(float)
SCHEDULES = st.builds(
    TransmissionSchedule,
    start_bytes=AMOUNT,
    start_percent=st.none() | st.integers(1, 100),
    start_operations=AMOUNT,
    start_every=SPAN,
    start_at=st.lists(st.builds(Moment, at=TIME, days=DAYS), max_size=3),
    stop_empty=st.booleans(),
    stop_after=SPAN,
    stop_bytes=AMOUNT,
    windows=st.lists(
        st.builds(Window, begin=TIME, end=TIME, days=DAYS, bandwidth=st.none() | st.integers(1024, 10**9)), max_size=3
    ),
)


@given(SCHEDULES)
def test_a_schedule_in_words_can_be_given_again(schedule: TransmissionSchedule) -> None:
    assert schedules.parse(schedules.words(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "days"),
    [("mon-fri", ["mon", "tue", "wed", "thu", "fri"]), ("sat-mon", ["sat", "sun", "mon"]), ("tue,sun", ["tue", "sun"])],
)
def test_weekdays_may_be_spans(text: str, days: list[str]) -> None:
    assert schedules.parse(f"Start at {text} 22:00").start_at[0].days == days


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("2kB", 2000), ("1.5 MB", 1_500_000), ("1KiB", 1024), ("3g", None)]
)
def test_sizes_have_units(text: str, size: int | None) -> None:
    if size is None:
        with pytest.raises(InputError, match="no size"):
            schedules.size(text)
    else:
        assert schedules.size(text) == size


@pytest.mark.parametrize(
    "text", ["start at 25:00", "window mon 8:00-9:00", "window funday 08:00-09:00", "start at 0 B", "start at 101%"]
)
def test_a_schedule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        schedules.parse(text)
