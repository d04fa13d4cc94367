from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.errors import ConnectionStateError, InputError, ProtocolError
from bodydouble.replication import states
from bodydouble.replication.protocol import MAX_FRAME, MirrorStart, RemoveTree, decode, encode, frame_head
from bodydouble.replication.queue import SequenceCheck, SourceQueue, weigh
from bodydouble.replication.rules import Selection, check_set
from bodydouble.replication.touches import FileWatch, Touches
from bodydouble.replication.translate import handled_by, translate
from bodydouble.vocabulary.operations import CreateFile, Metadata, RemoveFile, Rename, SetMetadata, Write
from bodydouble.vocabulary.records import ReplicationSet, Rule, SourceState


def select(*rules: Rule, case_sensitive: bool = True, protected: tuple[str, ...] = ()) -> Selection:
    replication_set = ReplicationSet(name="web", rules=list(rules))
    check_set(replication_set)
    return Selection(replication_set, case_sensitive=case_sensitive, protected=list(protected))


WEB = Rule(path="C:/InetPub")
NO_LOGS = Rule(path="C:/InetPub/logs", include=False)
ONE_LOG = Rule(path="C:/InetPub/logs/keep.log")
NO_TMP = Rule(path="C:/InetPub/*.tmp", include=False)


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("C:/InetPub", True),
        ("C:/InetPubs", False),
        ("C:/InetPub/a/b", True),
        ("C:/InetPub/logs", False),
        ("C:/InetPub/logs/x.log", False),
        ("C:/InetPub/logs/keep.log", True),
        ("C:/InetPub/x.tmp", False),
        ("C:/InetPub/x.tmp/inside", False),
        ("C:/InetPub/a/x.tmp", True),
        ("D:/InetPub", False),
    ],
)
def test_most_specific_rule_wins(path: str, selected: bool) -> None:
    assert select(WEB, NO_LOGS, ONE_LOG, NO_TMP).selects(path) is selected


def test_exclude_wins_at_a_tie() -> None:
    assert not select(WEB, Rule(path="C:/InetPub", include=False)).selects("C:/InetPub/a")


def test_non_recursive_rule_covers_what_lies_directly_inside() -> None:
    selection = select(Rule(path="/web", recursive=False))
    assert selection.selects("/web")
    assert selection.selects("/web/a")
    assert not selection.selects("/web/a/b")


def test_case_matters_only_where_the_file_system_says_so() -> None:
    assert select(WEB, case_sensitive=False).selects("c:/INETPUB/A")
    assert not select(WEB).selects("C:/INETPUB/A")


def test_daemons_own_state_is_never_selected() -> None:
    selection = select(Rule(path="/"), protected=("/var/state",))
    assert selection.selects("/var/x")
    assert not selection.selects("/var/state/x")
    assert selection.protects("/var/state/x")
    assert not selection.replicates("/var/state/x")


@pytest.mark.parametrize("name", ["line\nbreak", "\udcff", "x" * 5000])
def test_names_that_cannot_be_sent_are_left_out(name: str) -> None:
    assert not select(WEB).replicates(f"C:/InetPub/{name}")
    assert select(WEB).replicates_nothing(f"C:/InetPub/{name}/inside")
    assert translate(Rename("C:/InetPub/a", f"C:/InetPub/{name}"), select(WEB)).bodies == [RemoveTree("C:/InetPub/a")]


def test_text_that_is_not_utf_8_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decode(b"\xdc\x00\x01\xd9\x02\x00\x80")


def test_roots_are_the_topmost_directories_of_include_rules() -> None:
    assert select(WEB, ONE_LOG, Rule(path="D:/data/*.mdb"), NO_LOGS).roots == ["D:/data", "C:/InetPub"]


@pytest.mark.parametrize("path", ["relative", "/a/../b", "*:/b", "/a/\x01"])
def test_malformed_rules_are_refused(path: str) -> None:
    with pytest.raises(InputError):
        check_set(ReplicationSet(name="x", rules=[Rule(path=path)]))
    with pytest.raises(InputError):
        check_set(ReplicationSet(name="x", rules=[]))


NAMES = st.lists(st.sampled_from(["a", "b", "x.tmp", "*"]), min_size=1, max_size=3)
RULES = st.lists(
    st.builds(
        lambda parts, include, recursive: Rule(
            path="/" + "/".join("a" if p == "*" else p for p in parts[:-1]) + ("/" if parts[:-1] else "") + parts[-1],
            include=include,
            recursive=recursive,
        ),
        NAMES,
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@given(RULES, NAMES)
def test_what_replicates_nothing_selects_nothing_beneath(rules: list[Rule], parts: list[str]) -> None:
    selection = Selection(ReplicationSet(name="x", rules=rules), case_sensitive=True, protected=[])
    path = "/" + "/".join(parts)
    if selection.replicates_nothing(path):
        for below in ("a", "a/b", "x.tmp", "b/x.tmp"):
            assert not selection.selects(f"{path}/{below}") or selection.selects(path)
            assert not selection.selects(f"{path}/{below}")


def test_rename_out_of_the_set_removes_and_into_it_mirrors() -> None:
    selection = select(WEB, NO_TMP)
    out = translate(Rename("C:/InetPub/a", "C:/old/a"), selection)
    assert out.bodies == [RemoveTree("C:/InetPub/a")]
    into = translate(Rename("C:/InetPub/a.tmp", "C:/InetPub/a.htm"), selection)
    assert (into.bodies, into.appeared) == ([MirrorStart(), RemoveTree("C:/InetPub/a.htm")], ["C:/InetPub/a.htm"])
    inside = Rename("C:/InetPub/a", "C:/InetPub/b")
    assert translate(inside, selection).bodies == [inside]
    assert translate(RemoveFile("C:/InetPub/x.tmp"), selection).bodies == []


def test_rename_from_root_to_root_is_taken_once() -> None:
    selection = select(Rule(path="/a"), Rule(path="/b"))
    rename = Rename("/a/x", "/b/x")
    assert [handled_by(rename, root, selection.roots, selection) for root in selection.roots] == [True, False]


# --- queue ---


def write(size: int) -> Write:
    return Write("/web/a", 0, b"x" * size, 0)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "ack", "rewind"]), st.integers(0, 400)), max_size=60))
def test_queue_keeps_everything_unacknowledged_in_order(steps: list[tuple[str, int]]) -> None:
    queue = SourceQueue(2000)
    sent: list[int] = []
    for what, number in steps:
        if what == "put":
            before = len(queue)
            assert (queue.put(write(number)) is None) == (len(queue) == before)
        elif what == "take":
            sent += [queued.sequence for queued in queue.take(number, 3)]
        elif what == "ack" and sent:
            queue.acknowledge(max(queue.acknowledged, sent[-1] - number % 3))
        elif what == "rewind" and queue.rewind(queue.acknowledged):
            sent = list(range(1, queue.acknowledged + 1))
        assert sent == list(range(1, len(sent) + 1))
        assert len(queue) == queue.generated - queue.acknowledged
        assert queue.bytes == sum(weigh(body) for body in queue.unacknowledged()) <= 2000


def test_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    queue = SourceQueue(2000)
    queue.put(write(1))
    with pytest.raises(ProtocolError):
        queue.acknowledge(1)
    queue.take(100, 1)
    queue.acknowledge(1)
    with pytest.raises(ProtocolError):
        queue.acknowledge(0)
    assert not queue.rewind(0)


@pytest.mark.parametrize("sequence", [0, 5, 7, 100])
def test_gap_repetition_and_step_back_are_refused(sequence: int) -> None:
    check = SequenceCheck(5)
    with pytest.raises(ProtocolError):
        check.accept(sequence)
    check.accept(6)


# --- states ---


@given(st.lists(st.sampled_from([*states._WAITING, "complete"]), max_size=30))
def test_states_replicate_only_after_a_mirror_or_a_resumption(stimuli: list[states.Stimulus]) -> None:
    state: SourceState = "connecting"
    for stimulus in stimuli:
        before = state
        try:
            state = states.after(state, stimulus)
        except ConnectionStateError:
            continue
        assert before != "stopped" or state == "stopped"
        if state == "replicating":
            assert (before, stimulus) == ("mirroring", "complete") or stimulus == "resume"
        if before == "restore-required" and stimulus in ("unreachable", "broken"):
            assert state == "restore-required"


# --- frames ---


def test_frame_length_is_checked_before_anything_is_read() -> None:
    for length in (0, MAX_FRAME + 1, 2**32 - 1):
        with pytest.raises(ProtocolError):
            frame_head(length.to_bytes(4, "big"))


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_a_message(content: bytes) -> None:
    try:
        message = decode(content)
    except ProtocolError:
        return
    assert decode(encode(message)[4:]) == message


# --- touches ---


@given(st.lists(st.tuples(st.integers(0, 90), st.binary(min_size=1, max_size=30)), max_size=8), st.data())
def test_patched_chunk_is_what_the_file_holds_whenever_it_was_read(
    writes: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    limit, content = 64, bytearray(b"0123456789" * 4)
    read_at = data.draw(st.integers(0, len(writes)))
    watch = FileWatch("/f", str)
    chunk = bytes(content[:limit])
    for number, (offset, piece) in enumerate(writes):
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(piece)] = piece
        watch.note(Write("/f", offset, piece, number))
        if number < read_at:
            chunk = bytes(content[:limit])
    assert watch.patch(chunk, 0, limit) == bytes(content[:limit])
    assert watch.length(40) == len(content)


def test_touches_know_moved_directories_and_forget_only_towards_caution() -> None:
    touches = Touches(str, limit=3)
    touches.note(Rename("/a", "/b"))
    assert touches.since("/b/deep/file", 0)
    assert not touches.since("/c", 0)
    mark = touches.now
    assert not touches.since("/b/deep/file", mark)
    for name in "defgh":
        touches.note(CreateFile(f"/{name}", Metadata(), 0))
    assert touches.since("/anything", mark)


def test_extended_attributes_count_in_the_queue() -> None:
    plain, heavy = (SetMetadata("/web/a", Metadata(0, b"0:0:644", each)) for each in ((), (("user.a", bytes(1000)),)))
    assert weigh(heavy) - weigh(plain) == 1006
