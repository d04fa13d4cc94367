"""Notes about which record an element was made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.replication.notebook import LEAST_WORDS, MOST_HEADING, ForgottenError, Notebook

COUNT = 4096
"""Elements that the smallest notebook holds."""


def new() -> Notebook:
    notebook = Notebook(memoryview(bytearray(8 * LEAST_WORDS)).cast("Q"))
    notebook.begin(b"heading")
    notebook.complete(complete=True)
    return notebook


def noted(count: int) -> Notebook:
    """Records of eight bytes, one an element; the times of everything are sent by the first."""
    notebook = new()
    for sequence in range(1, count + 1):
        notebook.note(sequence, 8 * sequence)
        if sequence == 1:
            notebook.note_times(1, 1)
    return notebook


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.data())
def test_every_element_leads_to_its_record_and_to_how_much_of_the_next_one_is_there(
    sizes: list[int], data: st.DataObject
) -> None:
    notebook, expected, sequence = new(), {0: (0, 0)}, 0
    for record, size in enumerate(sizes, 1):
        for part in range(1, size + 1):
            sequence += 1
            notebook.note(sequence, 8 * record, part=part < size)
            expected[sequence] = (8 * record, 0) if part == size else (8 * (record - 1), part)
        if record == 1:
            notebook.note_times(sequence, sequence)
    asked = data.draw(st.integers(sizes[0], sequence))
    place = notebook.find(asked)
    assert (place.position, place.part) == expected[asked]
    assert (place.sequence, place.since) == (asked, 8)


def test_the_latest_times_that_the_target_has_are_found() -> None:
    notebook = noted(30)
    for begun, ended in ((5, 7), (10, 12), (20, 25)):
        notebook.note_times(begun, ended)
    found = {asked: notebook.find(asked).since // 8 for asked in (1, 6, 7, 11, 12, 24, 25, 30)}
    assert found == {1: 1, 6: 1, 7: 5, 11: 5, 12: 10, 24: 10, 25: 20, 30: 20}


def test_what_changed_a_directory_without_a_record_must_have_had_its_times_sent() -> None:
    notebook = noted(30)
    notebook.note_apart(20)
    with pytest.raises(ForgottenError, match="times of directories"):
        notebook.find(30)
    notebook.note_times(20, 25)
    assert notebook.find(30).since == 8 * 20
    with pytest.raises(ForgottenError, match="times of directories"):
        notebook.find(24)


def test_what_was_noted_a_whole_notebook_ago_is_forgotten() -> None:
    notebook = noted(COUNT + 10)
    notebook.note_times(COUNT, COUNT)
    for asked in (1, 10, 11):
        with pytest.raises(ForgottenError):
            notebook.find(asked)
    assert notebook.find(COUNT + 10).position == 8 * (COUNT + 10)
    assert notebook._whole(12) == (8 * 12, 0)


def test_many_times_push_the_oldest_out() -> None:
    notebook = noted(3000)
    for sequence in range(2, 3000):
        notebook.note_times(sequence, sequence)
    with pytest.raises(ForgottenError, match="times of directories"):
        notebook.find(1500)
    assert notebook.find(2500).since == 8 * 2500


def test_going_back_forgets_what_came_after_and_keeps_what_was_before() -> None:
    notebook = noted(100)
    for sequence in range(2, 101):
        notebook.note_times(sequence, sequence)
    notebook.go_back(50)
    with pytest.raises(ForgottenError, match="only 50 were made"):
        notebook.find(51)
    assert notebook.find(50).since == 8 * 50
    for sequence in range(51, 61):
        notebook.note(sequence, 16 * sequence)
    assert (notebook.find(60).position, notebook.find(60).since) == (16 * 60, 8 * 50)


def test_nothing_is_told_of_a_replica_that_is_not_complete() -> None:
    notebook = noted(10)
    notebook.complete(complete=False)
    with pytest.raises(ForgottenError, match="not complete"):
        notebook.find(10)


def test_a_heading_lasts_until_it_is_forgotten() -> None:
    notebook = Notebook(memoryview(bytearray(8 * LEAST_WORDS)).cast("Q"))
    assert (notebook.heading, notebook.used) == (b"", False)
    notebook.begin(b"x" * MOST_HEADING)
    assert (notebook.heading, notebook.used) == (b"x" * MOST_HEADING, True)
    notebook.begin(b"another")
    assert notebook.heading == b"another"
    notebook.forget()
    assert (notebook.heading, notebook.used) == (b"", True)
