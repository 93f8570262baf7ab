"""The day's money in Redis, shared by the processes of many machines. Every method is one script, and blocks.

Of an account there are, all in one slot of a cluster:

- ``ground``: when this Redis was begun (``born``, ``since``), by which process of Redis (``run``), its latest ``day``;
- of each day ``holders``: a row of each holder (number, allotted, spent), and the sums of all rows under "";
- ``changes``: which row was written when, by the version of the whole;
- ``spending`` and ``alerts``, as in a file.

Rows are absolute, and of each its later one counts, so nothing is counted twice, whatever is sent again. Redis may
forget: it was emptied, began again without its data, or is a replica that had not heard all. So every process keeps the
rows of the others as it hears of them, and whoever finds that Redis knows less writes them back. Until everybody who
held money that day had time to speak, which he does every second, nothing is given. Only what no living process had
heard of is lost with Redis.
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

from deepseek_async.admission.budget.store import Spending, Standing, UnansweredError, add_up, new_holder
from deepseek_async.configuration.redis_url import place_of, reason_of_redis
from deepseek_async.errors import ConfigurationError
from deepseek_async.process.forks import AtFork, leave, register

QUIET: Final = 3000
"""Milliseconds after a loss in which nothing is given. Everybody reports every second; a report may take another one
to fail."""
MOST: Final = 1_000_000 * 10**9
"""Nano-dollars: Redis counts in numbers of 53 bits, and what some hold after a loss may be counted beyond the cap."""

_PREFIX: Final = "deepseek-async:budget:1:"
_PATIENCE: Final = 1.0
"""Seconds for Redis to answer."""
_ROWS: Final = 64
"""Rows of others in one answer; a process that begins hears of the rest with its next reports."""
_ROWS_BACK: Final = 500
"""Rows written back at a time, so that no script holds Redis up."""
_TURNS: Final = 3
"""How often what is known is written back to a Redis that keeps forgetting, before it counts as silent."""
_DAY: Final = 86_400
_KEPT: Final = 31 * _DAY
_KEPT_SPENDING: Final = 400 * _DAY


def _script(name: str) -> str:
    return files("deepseek_async.admission.budget").joinpath(name).read_text("utf-8")


HOLD: Final = _script("hold.lua")
REMEMBER: Final = _script("remember.lua")
ALERT: Final = _script("alert.lua")


class Telling(msgspec.Struct, frozen=True):
    """What a holder says of itself. Said again, it is the same telling, and counts once."""

    day: str
    number: int
    allotted: int
    spent: int
    cap: int = 0
    least: int = 0
    wanted: int = 0
    spending: dict[tuple[str, str], Spending] = msgspec.field(default_factory=dict)


class _Told(msgspec.Struct, frozen=True):
    """What Redis answers."""

    added: int = 0
    refused: bool = False
    """Whether there is money that is not given yet."""
    wait: float = 0.0
    """Seconds until it may be."""
    estranged: bool = False
    """Whether this Redis had been told less than this process, which has written it back now."""
    others: Standing = Standing()


class _View(msgspec.Struct):
    """What this process knows of one day."""

    day: str
    birth: str = ""
    version: int = 0
    reached: int = 0
    """Up to which version the rows of the others are known."""
    spent: int = 0
    rows: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)


class RedisStore(AtFork):
    """See ``Store``. Raises UnansweredError when Redis does not answer or may have lost something, ConfigurationError
    when it will not answer however often it is asked."""

    hears_of_holders = True

    def __init__(self, url: str, account: str) -> None:
        """``account`` is whatever tells accounts apart; Redis gets its hash."""
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
        self._unsure: Telling | None = None
        """A report that Redis may have taken or not."""

    def standing(self, day: str) -> Standing:
        """Where ``day`` stands, over all processes."""
        _, held, spent, _ = _numbers(self._asked(lambda redis: redis.hget(self._key(day, "holders"), "")), 4)
        return Standing(held, spent)

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, Standing]:
        """Take at least ``least`` more, or nothing."""
        self._say_again()
        told, turns = _Told(refused=True, estranged=True), 0
        while told.refused and told.estranged and turns < _TURNS:
            said = Telling(day, self._next(), allotted, self._on(day).spent, cap=cap, least=least, wanted=wanted)
            told, turns = self._tell(said), turns + 1
        if told.refused:
            raise UnansweredError(
                f"the budget in {self.where} gives nothing for {told.wait:.1f} s: this Redis is new to it, was "
                "restarted or has lost data, and every process has to say first what it holds",
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
    ) -> Standing:
        """Write down what this process has spent and may still spend."""
        add_up(self._owed, spending)
        self._say_again()
        owed, self._owed = self._owed, {}
        said = Telling(day, self._next(), allotted, spent, spending=owed)
        self._unsure = said if owed else None
        told = self._tell(said)
        self._unsure = None
        self._on(day).spent = spent
        return told.others

    def first_to_alert(self, day: str, shares: Iterable[float]) -> list[float]:
        """Those of ``shares`` for which no process has raised its alert on ``day``; they count as raised now."""
        asked = {repr(share): share for share in shares}
        keys = (self._key(day, "alerts"),)
        mine = self._asked(lambda redis: redis.eval(ALERT, 1, *keys, _KEPT, self._holder, *asked))
        return [asked[share.decode()] for share in mine]

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """What ``day`` was spent on, by model and tag."""
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
            with suppress(Exception):  # what is not connected any more cannot be closed
                redis.close()

    def after_fork_in_child(self) -> None:
        """Be another holder, with a connection of its own."""
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
        """A report whose answer was lost is sent again before anything else, as it was: it counts once."""
        if (said := self._unsure) is not None:
            self._asked(lambda redis: redis.eval(HOLD, *self._arguments(said, _View(said.day))))
            self._unsure = None

    def _tell(self, said: Telling) -> _Told:
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
        return _Told(added, bool(refused), wait / 1000, bool(estranged), Standing(held, spent))

    def _write_back(self, view: _View) -> None:
        keys = (self._key(view.day, "holders"), self._key(view.day, "changes"))
        rows = [(holder, *row) for holder, row in view.rows.items()]
        for start in range(0, len(rows), _ROWS_BACK):
            told = [value for row in rows[start : start + _ROWS_BACK] for value in row]
            self._asked(partial(_written_back, keys=keys, told=told))

    def _arguments(self, said: Telling, view: _View) -> Iterator[Any]:
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
        """The answer to one request. Nothing is sent twice here: what it says is numbered by who says it."""
        from redis.exceptions import MovedError  # noqa: PLC0415  optional

        try:
            if self._redis is None:
                self._redis = _connected(self._url)
            try:
                return request(self._redis)
            except MovedError:
                # One node of a cluster was named, and another one has these keys.
                self.close()
                self._redis = _clustered(self._url)
                return request(self._redis)
        except Exception as error:  # noqa: BLE001  redis-py lets errors of sockets and of its own parser through
            failure = _failure(error, self.where)
        self.close()
        raise failure


def looked_up(url: str, account: str, day: str) -> tuple[dict[tuple[str, str], Spending], Standing]:
    """What ``account`` spent on ``day``, by model and tag, and where it stands. Nothing is written.

    Raises ConfigurationError when Redis cannot be asked.
    """
    store = RedisStore(url, account)
    try:
        return store.spending(day), store.standing(day)
    finally:
        store.close()


def account_key(account: str) -> str:
    """The name of an account in Redis, from which nothing can be found. Money is an account's at whichever address."""
    return hashlib.sha256(account.encode()).hexdigest()[:32]


def _written_back(redis: Any, *, keys: tuple[str, str], told: list[Any]) -> Any:
    return redis.eval(REMEMBER, len(keys), *keys, _KEPT, *told)


def _numbers(text: bytes | None, count: int) -> list[int]:
    return [int(each) for each in text.split()] if text else [0] * count


def _failure(error: Exception, where: str) -> ConfigurationError:
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError  # noqa: PLC0415  optional

    reason = f"no answer in {_PATIENCE:g} s" if _is_timeout(error) else reason_of_redis(error)
    message = (
        f"the budget in {where} cannot be used: {reason.rstrip('.')}. Nothing is sent whose cost cannot be counted; "
        "Budget(path=…) keeps the money in a file of this machine instead"
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
