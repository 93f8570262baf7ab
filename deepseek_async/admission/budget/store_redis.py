"""Redis store of the budget, shared by processes on many machines. Methods are single blocking scripts.

Keys of an account, all in one slot of a cluster:

- ``ground``: when this Redis state was created (``born``, ``since``), by which Redis process (``run``), its latest
  ``day``;
- per day ``holders``: a row per holder (number, allotted, spent), and the sums of all rows under "";
- ``changes``: the version at which each row was written;
- ``spending`` and ``alerts``, as in the file store.

Rows contain absolute amounts, and a later row of a holder replaces the earlier one, so repeated messages are counted
once. Redis may lose data: after a flush, a restart without its data, or a failover to a replica that was not up to
date. So every process keeps the rows of the others, and a process that finds rows missing in Redis writes them back.
Until every holder of money of that day has had time to report, which they do every second, nothing is allotted. Only
what no live process had received is lost with Redis.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any, Final

import msgspec

from deepseek_async.admission.budget.store import DayTotals, Spending, UnansweredError, add_up, new_holder
from deepseek_async.configuration.redis_url import place_of, reason_of_redis
from deepseek_async.errors import ConfigurationError
from deepseek_async.process.forks import AtFork, leave, register

QUIET: Final = 3000
"""Milliseconds without allotments after a loss. Holders report every second; a report may take another second to
fail."""
MOST: Final = 1_000_000 * 10**9
"""Nano-dollars. Redis uses 53-bit numbers, and money held across a loss may be counted above the cap."""

_PREFIX: Final = "deepseek-async:budget:1:"
_PATIENCE: Final = 1.0
"""Seconds for Redis to answer."""
_ROWS: Final = 64
"""Rows of other holders per answer; a new process gets the rest with its next reports."""
_ROWS_BACK: Final = 500
"""Rows written back per script, so that no script blocks Redis."""
_TURNS: Final = 3
"""Attempts to restore a Redis that keeps losing data before it counts as unavailable."""
_DAY: Final = 86_400
_KEPT: Final = 31 * _DAY
_KEPT_SPENDING: Final = 400 * _DAY


def _script(name: str) -> str:
    return files("deepseek_async.admission.budget").joinpath(name).read_text("utf-8")


HOLD: Final = _script("hold.lua")
REMEMBER: Final = _script("remember.lua")
ALERT: Final = _script("alert.lua")


class HolderReport(msgspec.Struct, frozen=True):
    """Report of a holder. Sending it again has no further effect."""

    day: str
    number: int
    allotted: int
    spent: int
    cap: int = 0
    least: int = 0
    wanted: int = 0
    spending: dict[tuple[str, str], Spending] = msgspec.field(default_factory=dict)


class _Reply(msgspec.Struct, frozen=True):
    """Answer of Redis."""

    added: int = 0
    refused: bool = False
    """Whether money is available but not allotted yet."""
    wait: float = 0.0
    """Seconds until it may be."""
    estranged: bool = False
    """Whether Redis had less data than this process, which has now written it back."""
    others: DayTotals = DayTotals()


class _View(msgspec.Struct):
    """What this process knows of one day."""

    day: str
    birth: str = ""
    version: int = 0
    reached: int = 0
    """Version up to which the rows of other holders are known."""
    spent: int = 0
    rows: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)


class RedisStore(AtFork):
    """Implements ``Store``. Raises UnansweredError if Redis does not answer or may have lost data, ConfigurationError
    if retries cannot help."""

    hears_of_holders = True

    def __init__(self, url: str, account: str) -> None:
        """``account`` is any identifier of the account; Redis receives its hash."""
        self.where = place_of(url)
        self._url = url
        self._ground = _PREFIX + f"{{{account_key(account)}}}"
        self._redis: Any = None
        self._begin()
        register(self)

    def _begin(self) -> None:
        self._holder, self._number = new_holder(), 0
        self._view = _View("")
        self._owed: dict[tuple[str, str], Spending] = {}
        self._unsure: HolderReport | None = None
        """A report of which it is unknown whether Redis received it."""

    def standing(self, day: str) -> DayTotals:
        """Return the totals of ``day`` over all processes."""
        _, held, spent, _ = _numbers(self._asked(lambda redis: redis.hget(self._key(day, "holders"), "")), 4)
        return DayTotals(held, spent)

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, DayTotals]:
        """Allot at least ``least`` more, or nothing."""
        self._say_again()
        told, turns = _Reply(refused=True, estranged=True), 0
        while told.refused and told.estranged and turns < _TURNS:
            said = HolderReport(day, self._next(), allotted, self._on(day).spent, cap=cap, least=least, wanted=wanted)
            told, turns = self._tell(said), turns + 1
        if told.refused:
            raise UnansweredError(
                f"budget in {self.where} allots nothing for {told.wait:.1f} s: Redis is new, was restarted or has lost "
                "data, and waits for every process to report what it holds",
                retry_in=max(0.05, told.wait),
            )
        return told.added, told.others

    def report(
        self,
        day: str,
        *,
        allotted: int,
        spent: int,
        spending: Mapping[tuple[str, str], Spending],
    ) -> DayTotals:
        """Store what this process has spent and may still spend."""
        add_up(self._owed, spending)
        self._say_again()
        owed, self._owed = self._owed, {}
        said = HolderReport(day, self._next(), allotted, spent, spending=owed)
        self._unsure = said if owed else None
        told = self._tell(said)
        self._unsure = None
        self._on(day).spent = spent
        return told.others

    def first_to_alert(self, day: str, shares: Iterable[float]) -> list[float]:
        """Return those of ``shares`` whose alert no process has raised on ``day``, and mark them as raised."""
        asked = {repr(share): share for share in shares}
        keys = (self._key(day, "alerts"),)
        mine = self._asked(lambda redis: redis.eval(ALERT, 1, *keys, _KEPT, self._holder, *asked))
        return [asked[share.decode()] for share in mine]

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """Return the spending of ``day`` by model and tag."""
        found: dict[tuple[str, str], Spending] = {}
        for field, amount in self._asked(lambda redis: redis.hgetall(self._key(day, "spending"))).items():
            kind, _, name = field.decode().partition(" ")
            model, tag = json.loads(name)
            setattr(found.setdefault((model, tag), Spending()), kind, int(amount))
        return dict(sorted(found.items(), key=lambda item: -item[1].spent))

    def close(self) -> None:
        """Close the connection."""
        redis, self._redis = self._redis, None
        if redis is not None:
            with suppress(Exception):  # a lost connection cannot be closed
                redis.close()

    def after_fork_in_child(self) -> None:
        """Become another holder with a new connection."""
        if self._redis is not None:
            leave(self._redis)
            self._redis = None
        self._begin()

    def _key(self, day: str, name: str) -> str:
        return f"{self._ground}:{day}:{name}"

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _on(self, day: str) -> _View:
        if self._view.day != day:
            self._view = _View(day)
        return self._view

    def _say_again(self) -> None:
        """Repeat a report whose answer was lost, unchanged, before anything else: it is counted once."""
        if (said := self._unsure) is not None:
            self._asked(lambda redis: redis.eval(HOLD, *self._arguments(said, _View(said.day))))
            self._unsure = None

    def _tell(self, said: HolderReport) -> _Reply:
        view = self._on(said.day)
        answer = self._asked(lambda redis: redis.eval(HOLD, *self._arguments(said, view)))
        born, version, reached, added, refused, wait, estranged, held, spent, rows = answer
        if estranged:
            self._write_back(view)
            view.version = view.reached = 0
        else:
            view.version, view.reached = version, reached
        view.birth = born.decode()
        for holder, row in zip(rows[::2], rows[1::2], strict=True):
            number, has, used = _numbers(row, 3)
            view.rows[holder.decode()] = (number, has, used)
        return _Reply(added, bool(refused), wait / 1000, bool(estranged), DayTotals(held, spent))

    def _write_back(self, view: _View) -> None:
        keys = (self._key(view.day, "holders"), self._key(view.day, "changes"))
        rows = [(holder, *row) for holder, row in view.rows.items()]
        for start in range(0, len(rows), _ROWS_BACK):
            told = [value for row in rows[start : start + _ROWS_BACK] for value in row]
            self._asked(partial(_written_back, keys=keys, told=told))

    def _arguments(self, said: HolderReport, view: _View) -> Iterator[Any]:
        yield 4
        yield self._ground
        for name in ("holders", "changes", "spending"):
            yield self._key(said.day, name)
        yield from (said.day, self._holder, said.number, said.allotted, said.spent)
        yield from (view.birth, view.version, view.reached, secrets.token_hex(8), QUIET, _ROWS, _KEPT, _KEPT_SPENDING)
        yield from (said.cap, said.least, said.wanted)
        for key, item in said.spending.items():
            yield from (json.dumps(key), item.calls, item.spent)

    def _asked(self, request: Callable[[Any], Any]) -> Any:
        """Return the answer to one request. No retries here: the caller numbers its messages and repeats them."""
        from redis.exceptions import MovedError  # noqa: PLC0415  optional

        try:
            if self._redis is None:
                self._redis = _connected(self._url)
            try:
                return request(self._redis)
            except MovedError:
                # One node of a cluster was given, and another one holds these keys.
                self.close()
                self._redis = _clustered(self._url)
                return request(self._redis)
        except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
            failure = _failure(error, self.where)
        self.close()
        raise failure


def looked_up(url: str, account: str, day: str) -> tuple[dict[tuple[str, str], Spending], DayTotals]:
    """Return the spending of ``account`` on ``day`` by model and tag, and its totals. Writes nothing.

    Raises ConfigurationError if Redis does not answer.
    """
    store = RedisStore(url, account)
    try:
        return store.spending(day), store.standing(day)
    finally:
        store.close()


def account_key(account: str) -> str:
    """Return the one-way key of an account in Redis. Independent of the server address, because accounts are billed."""
    return hashlib.sha256(account.encode()).hexdigest()[:32]


def _written_back(redis: Any, *, keys: tuple[str, str], told: list[Any]) -> Any:
    return redis.eval(REMEMBER, len(keys), *keys, _KEPT, *told)


def _numbers(text: bytes | None, count: int) -> list[int]:
    return [int(each) for each in text.split()] if text else [0] * count


def _failure(error: Exception, where: str) -> ConfigurationError:
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError  # noqa: PLC0415  optional

    reason = f"no answer in {_PATIENCE:g} s" if _is_timeout(error) else reason_of_redis(error)
    message = (
        f"cannot use the budget in {where}: {reason.rstrip('.')}. Calls are not sent while their cost cannot be "
        "counted; Budget(path=…) keeps the budget in a local file instead"
    )
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return ConfigurationError(message)
    return UnansweredError(message)


def _is_timeout(error: Exception) -> bool:
    from redis.exceptions import TimeoutError as NoAnswerError  # noqa: PLC0415  optional

    return isinstance(error, NoAnswerError | TimeoutError)


def _connected(url: str) -> Any:
    from redis import Redis  # noqa: PLC0415  optional
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0))


def _clustered(url: str) -> Any:
    from redis.cluster import RedisCluster  # noqa: PLC0415

    return RedisCluster.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
