"""What the audit log keeps, for how long, and that it never stands in a call's way."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ended import AT, REQUEST, ended
from support.clock import Clock
from support.foreign_files import KINDS, Snapshot

from deepseek_async import ConfigurationError, RateLimitError
from deepseek_async.events import BudgetAlert, Rated, Retried
from deepseek_async.labels import Labels
from deepseek_async.observe.audit import AuditLog, config_id
from deepseek_async.observe.audit.query import Query, lines, totals
from deepseek_async.observe.audit.record import call_line

DAY = 86_400.0
Make = Callable[..., AuditLog]


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Make]:
    logs: list[AuditLog] = []

    def make_log(**options: Any) -> AuditLog:
        logs.append(AuditLog(**{"folder": tmp_path / "audit", "clock": clock, **options}))
        return logs[-1]

    yield make_log
    for log in logs:
        log.close()


def written(log: AuditLog) -> list[dict[str, Any]]:
    assert log.flush()
    return [json.loads(line) for file in sorted(log.folder.iterdir()) for line in file.read_text().splitlines()]


def test_a_call_is_one_line_with_everything_that_decided_about_it(make: Make):
    log = make()
    log(ended(labels=Labels("capitals", "v3", "talk-1")))
    (line,) = written(log)
    assert line == {
        "event": "call",
        "at": "2026-11-25T12:00:00.000Z",
        "config_id": config_id(REQUEST, "v3"),
        "operation": "chat",
        "origin": "https://api.deepseek.com",
        "model": "deepseek-flash",
        "served_model": "deepseek-flash",
        "parameters": {"model": "deepseek-flash", "temperature": 0.2, "max_tokens": 50},
        "streamed": False,
        "tag": "capitals",
        "prompt_version": "v3",
        "conversation": "talk-1",
        "outcome": "ok",
        "content": "passed",
        "finish_reason": "stop",
        "attempts": 1,
        "duration": 1.5,
        "trace_id": "trace-1",
        "response_id": "resp-1",
        "usage": {"prompt_tokens": 100, "cached_tokens": 64, "completion_tokens": 30, "reasoning_tokens": 10},
        "cost": 0.00002,
        "prompt_hash": line["prompt_hash"],
    }
    assert len(line["prompt_hash"]) == 64


def test_prompt_and_answer_are_kept_only_if_asked_for(make: Make, tmp_path: Path):
    silent, telling = make(), make(folder=tmp_path / "telling", content=True)
    for log in (silent, telling):
        log(ended())
    assert "Norway" not in json.dumps(written(silent))
    assert "Oslo" not in json.dumps(written(silent))
    (line,) = written(telling)
    assert line["prompt"] == {"messages": REQUEST["messages"]}
    assert line["answer"] == "Oslo"


def test_an_error_is_its_class_and_status_not_its_message(make: Make):
    log = make()
    log(ended(outcome="rate_limit", error=RateLimitError("slow down, jane@example.com", status_code=429), usage=None))
    (line,) = written(log)
    assert line["error"] == {"type": "RateLimitError", "status": 429}
    assert "jane" not in json.dumps(line)


def test_a_key_that_got_into_a_prompt_does_not_get_into_the_file(make: Make):
    log = make(content=True)
    key = "sk-0123456789abcdef0123456789abcdef"
    log(ended({"messages": [{"role": "user", "content": f"Bearer {key}"}], "user_id": key}))
    written(log)
    assert key not in next(log.folder.iterdir()).read_text()


def test_the_same_settings_have_the_same_name_whatever_is_asked():
    one = config_id({**REQUEST, "messages": [], "user_id": "a", "stream": True})
    assert one == config_id(dict(reversed(REQUEST.items())))
    assert len(one) == 12
    assert one != config_id({**REQUEST, "temperature": 0.3})
    assert one != config_id(REQUEST, "v2")
    assert one == "bdeac964da8f", "a name that is kept in files must not change between versions"


def test_files_are_for_their_owner_only(make: Make):
    log = make()
    log(ended())
    written(log)
    (file,) = log.folder.iterdir()
    assert file.name == "audit-2026-11-25.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700


def test_a_day_that_is_too_old_is_deleted_whole(make: Make, clock: Clock):
    log = make(days=3)
    for _ in range(5):
        log(ended())
        assert log.flush()
        clock.now += DAY
    assert sorted(file.name for file in log.folder.iterdir()) == [f"audit-2026-11-{day}.jsonl" for day in (27, 28, 29)]


def test_old_files_are_deleted_at_the_first_line_of_a_new_run(make: Make):
    log = make(days=2)
    log.folder.mkdir(parents=True)
    for name in ("audit-2026-01-01.jsonl", "audit-2026-11-23.2.jsonl", "audit-2026-11-24.jsonl", "notes.txt"):
        (log.folder / name).write_bytes(call_line(ended(), content=False))
    log(ended())
    assert log.flush()
    assert sorted(file.name for file in log.folder.iterdir()) == [
        "audit-2026-11-24.jsonl",
        "audit-2026-11-25.jsonl",
        "notes.txt",
    ]


def test_a_full_file_is_followed_by_another_of_the_day(make: Make, tmp_path: Path):
    log = make(max_bytes=1000)
    for _ in range(4):
        log(ended())
        assert log.flush()
    log.close()
    again = make(max_bytes=1000)
    again(ended())
    assert len(written(again)) == 5
    names = sorted(file.name for file in (tmp_path / "audit").iterdir())
    assert names[0] == "audit-2026-11-25.2.jsonl"
    assert len(names) == 3


def test_two_writers_share_a_file_without_torn_lines(make: Make):
    one, other = make(), make()
    for number in range(300):
        (one if number % 2 else other)(ended(response_id=f"r{number}"))
    assert one.flush()
    assert len({line["response_id"] for line in written(other)}) == 300


def test_it_does_not_wait_for_a_disk_that_stands_still(make: Make, monkeypatch: pytest.MonkeyPatch):
    log = make()
    moves = threading.Event()
    append = log._file.append

    def append_at_last(*arguments: Any) -> bool:
        assert moves.wait(120)
        return append(*arguments)

    monkeypatch.setattr(log._file, "append", append_at_last)
    for _ in range(200):
        log(ended())
    moves.set()
    assert len(written(log)) == 200


def test_it_drops_what_the_disk_does_not_take(make: Make, tmp_path: Path, caplog):
    (tmp_path / "file").write_text("in the way")
    log = make(folder=tmp_path / "file" / "audit")
    for _ in range(200):
        log(ended())
    assert log.flush()
    assert log.dropped == 200
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 1


async def test_it_goes_on_when_the_disk_does(make: Make, tmp_path: Path):
    way = tmp_path / "way"
    way.write_text("in the way")
    log = make(folder=way / "audit")
    log(ended())
    assert log.flush()
    way.unlink()
    log(ended())
    assert len(written(log)) == 1
    assert log.dropped == 1


def test_it_writes_again_after_it_was_closed(make: Make):
    log = make()
    for _ in range(3):
        log(ended())
        log.close()
    assert len(written(log)) == 3


def test_events_that_are_no_calls_are_not_written(make: Make):
    log = make()
    log(Retried("m", "rate_limit", 1.0))
    log(BudgetAlert(0.5, 1.0, 2.0, "2026-11-25", "UTC"))
    assert log.flush()
    assert not log.folder.exists()


def test_a_request_that_cannot_be_read_does_not_end_the_log(make: Make):
    log = make()
    log(ended())
    log(msgspec.structs.replace(ended(), request=b"{"))
    log(ended())
    assert len(written(log)) == 2
    assert log.dropped == 1


@pytest.fixture
def several(make: Make, clock: Clock) -> AuditLog:
    log = make()
    log(ended(response_id="a", labels=Labels("news", "v1")))
    log(ended({"temperature": 1.0}, response_id="b", labels=Labels("news", "v2"), cost=0.00005))
    log(ended(response_id="c", labels=Labels("mail"), tier="memory", outcome="cached"))
    assert log.flush()
    clock.now += DAY
    log(Rated("b", 0.0, clock.now))
    log(Rated("b", 1.0, clock.now))
    log(
        ended({"model": "deepseek-v4-pro"}, response_id="d", outcome="rate_limit", error=RateLimitError("x"), cost=None)
    )
    assert log.flush()
    return log


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), "abcd"),
        (Query(tag="news"), "ab"),
        (Query(prompt_version="v2"), "b"),
        (Query(model="deepseek-v4-pro"), "d"),
        (Query(outcome="cached"), "c"),
        (Query(response_id="a"), "a"),
        (Query(since=date(2026, 11, 26)), "d"),
        (Query(until=date(2026, 11, 25)), "abc"),
        (Query(config_id=config_id({**REQUEST, "temperature": 1.0}, "v2")), "b"),
        (Query(trace_id="nothing"), ""),
    ],
)
def test_calls_are_found_by_what_is_known_of_them(several: AuditLog, query: Query, expected: str):
    assert "".join(line["response_id"] for line in lines(several.folder, query)) == expected


def test_which_settings_gave_an_answer_is_one_look_up(several: AuditLog):
    (line,) = lines(several.folder, Query(response_id="b"))
    assert line["parameters"] == {"model": "deepseek-flash", "temperature": 1.0, "max_tokens": 50}
    assert line["score"] == 1.0, "the last rating counts"


def test_calls_are_added_up(several: AuditLog):
    sums = totals(lines(several.folder, Query()), "tag")
    assert next(iter(sums)) == "news"
    assert (sums["news"].calls, sums["news"].prompt_tokens, sums["news"].ratings) == (2, 200, 1)
    assert sums["news"].cost == pytest.approx(0.00007)
    assert (sums["mail"].calls, sums["mail"].cost) == (1, 0.0)
    assert sums["-"].errors == 1


def test_a_torn_last_line_is_passed_over(several: AuditLog):
    file = several.folder / "audit-2026-11-25.jsonl"
    file.write_text(file.read_text() + '{"event": "call", "resp')
    assert len(list(lines(several.folder, Query()))) == 4


@pytest.mark.parametrize("days", [0, -1, True, 1.5])
def test_a_wrong_number_of_days_is_named(days: Any):
    with pytest.raises(ConfigurationError, match=r"audit\.days"):
        AuditLog(days=days)


async def test_a_burst_from_a_busy_loop_is_written_whole(make: Make):
    log = make()
    for number in range(3000):
        log(ended(response_id=f"r{number}"))
        if number % 100 == 0:
            await asyncio.sleep(0)
    assert len(written(log)) == 3000


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_of_that_name_that_the_log_has_not_written_is_neither_written_nor_deleted(
    make: Make, tmp_path: Path, clock: Clock, kind: str
):
    folder = tmp_path / "audit"
    folder.mkdir()
    names = ["audit-2026-11-25.jsonl", "audit-2020-01-01.jsonl"]
    for name in names:
        place = tmp_path / name
        place.mkdir()
        KINDS[kind](place / name)
        for file in place.iterdir():
            file.rename(folder / file.name)
    mine = Snapshot(folder)
    log = make()
    log(ended())
    assert log.flush()
    clock.now += DAY
    log(ended())
    assert log.flush()
    assert log.dropped == 0
    assert mine.differences() == ["audit-2026-11-25.2.jsonl", "audit-2026-11-26.jsonl"]
    assert len(list(lines(folder, Query()))) == 2


def test_old_files_of_the_log_are_deleted_though_there_are_others(make: Make, tmp_path: Path, clock: Clock):
    log = make(days=2)
    log(ended())
    assert log.flush()
    (tmp_path / "audit" / "audit-2026-11-25.7.jsonl").write_text('{"event": "somebody logged in"}\n')
    clock.now += 3 * DAY
    log(ended())
    assert log.flush()
    names = sorted(file.name for file in (tmp_path / "audit").iterdir())
    assert names == ["audit-2026-11-25.7.jsonl", "audit-2026-11-28.jsonl"]


@pytest.mark.parametrize("field", ["response_id", "request_id"])
def test_what_a_simulator_made_up_is_marked_and_costs_nothing(make: Make, field: str):
    log = make()
    log(ended(cost=0.25))
    log(ended(cost=0.25, **{field: "51a1a7ed51a1a7ed0000000000000001"}))
    real, made_up = written(log)
    assert ("simulated" in real, made_up["simulated"]) == (False, True)
    (total,) = totals([real, made_up], "model").values()
    assert (total.calls, total.cost) == (2, 0.25)


def test_a_file_that_is_called_after_no_day_is_passed_over(make: Make, tmp_path: Path):
    foreign = tmp_path / "audit" / "audit-2026-13-45.jsonl"
    foreign.parent.mkdir()
    foreign.write_text("mine\n")
    log = make()
    log(ended())

    assert log.flush()
    assert len(list(lines(log.folder, Query()))) == 1
    assert foreign.read_text() == "mine\n"
