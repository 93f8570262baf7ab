"""The flags for order and hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from command_line import CommandLine, Serve

from deepseek_async.cli.schedule import moment
from deepseek_async.errors import ConfigurationError

ZONE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 24, 17, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("18:00", "2026-11-24T18:00:00+01:00"),
        ("08:00", "2026-11-25T08:00:00+01:00"),
        ("17:30", "2026-11-25T17:30:00+01:00"),
        ("90min", "2026-11-24T19:00:00+01:00"),
        ("36h", "2026-11-26T05:30:00+01:00"),
        ("+1.5d", "2026-11-26T05:30:00+01:00"),
        ("2027-01-31T08:00", "2027-01-31T08:00:00+01:00"),
        ("2027-01-31 08:00Z", "2027-01-31T08:00:00+00:00"),
        ("2020-01-01", "2020-01-01T00:00:00+01:00"),
    ],
)
def test_a_deadline_is_a_time_of_day_a_date_or_a_span(text: str, when: str):
    assert moment(text, NOW).isoformat() == when


@pytest.mark.parametrize("text", ["", "soon", "25:00", "18:60", "3 weeks", "h", "99999999999d", "2027-13-01"])
def test_anything_else_is_refused_with_examples(text: str):
    with pytest.raises(ConfigurationError, match="36h"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--window", "off-peak", "--deadline", "2020-01-01"], "must be in the future"),
        (["--deadline", "1h"], "off-peak"),
        (["--schedule", "prefix", "--ordered"], "ordered"),
        (["--param", "window=1"], "--window"),
    ],
)
def test_a_schedule_that_cannot_be_kept_ends_before_anything_is_sent(
    refused: Callable[..., str],
    flags: list[str],
    said: str,
):
    assert said in refused("batch", "run", "in.jsonl", "-o", "out.jsonl", *flags)


async def test_the_summary_says_what_order_has_saved(command: CommandLine, serve: Serve):
    await serve(latency=0.01)
    text = "word " * 2000
    command.write("in.jsonl", *(f'{{"prompt": "{text} Question {number}"}}' for number in range(30)))

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "off")

    assert ended.code == 0
    assert "saved by the prefix cache" in ended.err
    assert "predicted by the row order" in ended.err
