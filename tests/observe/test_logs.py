"""Calls in the program's log: what happened, and no prompt, answer or key."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ended import ended

from deepseek_async import ConfigurationError, RateLimitError
from deepseek_async.events import Rated, Retried, tell, word_for
from deepseek_async.labels import Labels
from deepseek_async.observe.logs import LOGGER, CallLog, RedactingFilter, prepare, write_to_stderr


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    level, handlers, filters = LOGGER.level, list(LOGGER.handlers), list(LOGGER.filters)
    yield
    LOGGER.setLevel(level)
    LOGGER.handlers[:] = handlers
    LOGGER.filters[:] = filters


def test_a_call_is_logged_with_its_facts_as_extras(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "deepseek_async")
    CallLog()(ended(labels=Labels("capitals", "v3")))
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == "chat deepseek-flash: ok in 1.500 s, attempts 1"
    facts = vars(record)
    assert facts["deepseek_prompt_tokens"] == 100
    assert facts["deepseek_cost"] == 0.00002
    assert facts["deepseek_tag"] == "capitals"
    shown = json.dumps({name: str(value) for name, value in facts.items()})
    assert "Norway" not in shown
    assert "Oslo" not in shown


def test_an_error_is_a_warning_and_its_message_is_not_logged(caplog: pytest.LogCaptureFixture):
    error = RateLimitError("quotes jane@example.com", status_code=429)
    CallLog()(ended(error=error, outcome=word_for(error), usage=None, cost=None))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "chat deepseek-flash: rate_limit in 1.500 s, attempts 1, RateLimitError 429"


def test_what_a_server_or_user_named_stays_on_one_line(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "deepseek_async")
    CallLog()(ended({"model": "evil\n2026 FAKE LINE\x1b[31m" + "x" * 5000}))
    message = caplog.records[0].getMessage()
    assert message.isprintable()
    assert len(message) < 2200


def test_retries_and_ratings_are_logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "deepseek_async")
    CallLog()(Retried("deepseek-flash", "server_overloaded", 1.25))
    CallLog()(Rated("r", 0.5, 0.0))
    assert [record.getMessage() for record in caplog.records] == [
        "deepseek-flash: server_overloaded, retry in 1.25 s",
        "r: rated 0.5",
    ]


def test_a_key_in_a_record_is_masked():
    record = logging.LogRecord("deepseek_async", logging.INFO, "f", 1, "got %s", ("Bearer sk-0123456789abcdef",), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "got Bearer sk-…"


def test_preparing_twice_adds_nothing():
    prepare()
    handlers, filters = len(LOGGER.handlers), len(LOGGER.filters)
    prepare()
    assert (len(LOGGER.handlers), len(LOGGER.filters)) == (handlers, filters)


def test_stderr_is_written_to_once_at_the_level_asked_for():
    script = (
        "from deepseek_async.observe.logs import *\n"
        "prepare(); LOGGER.warning('unheard')\n"
        "write_to_stderr('info'); write_to_stderr('info')\n"
        "LOGGER.info('heard'); LOGGER.debug('unheard')"
    )
    ended_ = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert ended_.stderr.splitlines()[0].endswith("INFO deepseek_async: heard")
    assert ended_.stderr.count("\n") == 1


def test_asking_for_less_on_stderr_takes_nothing_from_the_programs_own_handlers(caplog: pytest.LogCaptureFixture):
    write_to_stderr("error")
    LOGGER.warning("heard elsewhere")
    assert "heard elsewhere" in caplog.text


def test_an_unknown_level_is_named():
    with pytest.raises(ConfigurationError, match="loud"):
        write_to_stderr("loud")


def test_a_listener_that_fails_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture):
    told: list[object] = []

    def fails(_: object) -> None:
        raise ValueError("no")

    tell([fails, told.append], Rated("r", 1.0, 0.0))
    assert len(told) == 1
    assert "listener raised on Rated" in caplog.text


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (RateLimitError("x"), "rate_limit"),
        (type("APITimeoutError", (Exception,), {})(), "timeout"),
        (type("APIStatusError", (Exception,), {})(), "status"),
        (type("CircuitOpenError", (Exception,), {})(), "circuit_open"),
        (type("InsufficientBalanceError", (Exception,), {})(), "insufficient_balance"),
    ],
)
def test_an_error_becomes_a_word(error: Exception, word: str):
    assert word_for(error) == word
