"""Events by number within a bound: each once and in order, unless it was dropped, and then one knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.integrations.web.event_log import EventLog
from deepseek_async.integrations.web.heartbeat import Heartbeat

FRAMES = st.lists(st.binary(min_size=1, max_size=9), max_size=9)


@given(st.integers(1, 60), st.lists(FRAMES, max_size=9), st.data())
def test_a_reader_gets_every_event_once_in_order_or_is_told_that_some_are_gone(
    most: int, added: list[list[bytes]], data: st.DataObject
):
    log, everything, number, got = EventLog(most), [], 0, []
    for frames in added:
        log.add(frames)
        everything += frames
        assert log.last == len(everything)
        assert log.held_bytes <= max(most, len(everything[-1]) if everything else 0)
        assert log.added_bytes == sum(map(len, everything))
        if not log.has(number):
            number = log.dropped
            got = everything[:number]
        if data.draw(st.booleans()):
            came = log.after(number, data.draw(st.integers(1, 30)))
            got += came
            number += len(came)
            assert came or number == log.last
    if log.has(number):
        assert got == everything[:number]
        assert log.bytes_after(number) == sum(map(len, everything[number:]))


def test_what_was_read_can_be_forgotten():
    log = EventLog(100)
    log.add([b"a", b"b", b"c"])
    log.forget(2)
    assert (log.after(2), log.has(1), log.held_bytes) == ([b"c"], False, 1)


@pytest.mark.parametrize("name", ["interval", "headers_after"])
def test_a_heartbeat_needs_seconds(name: str):
    with pytest.raises(ValueError, match=f"{name} must be a number of seconds above 0, got 0"):
        Heartbeat(**{name: 0})


def test_the_headers_wait_no_longer_than_a_heartbeat():
    assert Heartbeat(interval=1, headers_after=9).due(begun=False) == 1
    assert Heartbeat(interval=9, headers_after=1).due(begun=True) == 9
