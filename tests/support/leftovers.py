"""What a test leaves behind fails that test, and not one that comes after it.

Looked at after the last fixture is gone: files and sockets, threads, child processes, tasks that a closing loop had to
cancel, objects that complain when they are collected, and what the whole process shares (environment, folder, signals,
logging). A test that has failed already is not told off twice.
"""

from __future__ import annotations

import asyncio.runners
import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

THREAD_SECONDS = 30.0
"""For a thread that was told to end; reached only by one that was not."""

NOTHING = "/dev/null"


@dataclass(frozen=True)
class Held:
    """What this process holds at a moment."""

    descriptors: dict[str, str]
    threads: frozenset[threading.Thread]
    children: frozenset[int]

    @classmethod
    def now(cls) -> Held:
        return cls(_descriptors(), frozenset(threading.enumerate()), frozenset(_children()))

    def more_than(self, before: Held) -> list[str]:
        """What is there and was not ``before``, in words."""
        found = [
            f"descriptor {number} ({target})"
            for number, target in self.descriptors.items()
            if before.descriptors.get(number) != target
        ]
        found += [f"thread {thread.name}" for thread in self.threads - before.threads]
        return found + [f"child process {child}" for child in self.children - before.children]


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  a Path for each would cost more than the rest
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            found[number] = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
    return found


def _children() -> Iterator[int]:
    """Running or not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return
    for tasks in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            yield from map(int, (tasks / "children").read_text("ascii").split())


def _shared() -> dict[str, Any]:
    """What one test can change for all others."""
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]
    return {
        "folder": os.getcwd(),  # noqa: PTH109
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "hook of exceptions": sys.excepthook,
        "path of imports": list(sys.path),
        "recursion limit": sys.getrecursionlimit(),
        **{f"environment variable {name}": value for name, value in os.environ.items() if name != _PYTESTS_OWN},
        **{f"signal {number.name}": signal.getsignal(number) for number in signal.Signals},
        **{f"logger {logger.name}": _state(logger) for logger in loggers},
    }


_PYTESTS_OWN = "PYTEST_CURRENT_TEST"


def _state(logger: logging.Logger) -> tuple[object, ...]:
    return logger.level, list(logger.handlers), list(logger.filters), logger.propagate, logger.disabled


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Leftovers())


class Leftovers:
    """Compares before and after."""

    def __init__(self) -> None:
        self._before = Held.now()
        self._shared = _shared()
        self._failed = False
        self._cancelled: list[str] = []

    def pytest_sessionstart(self) -> None:
        cancel_all = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

        def cancel_and_note(loop: asyncio.AbstractEventLoop) -> None:
            self._cancelled += [f"task {task.get_coro()!r}" for task in asyncio.all_tasks(loop)]
            cancel_all(loop)

        # A runner cancels without a word what is left when it closes its loop.
        asyncio.runners._cancel_all_tasks = cancel_and_note  # type: ignore[attr-defined]

    def pytest_collection_finish(self) -> None:
        _set_aside()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._failed:
            _forget_the_failure()
        self._failed = False
        self._cancelled.clear()
        self._before, self._shared = Held.now(), _shared()
        random.seed(zlib.crc32(item.nodeid.encode()))
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._failed = self._failed or report.failed
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        with _complaints() as complaints:
            try:
                result = yield
            except BaseException:
                self._failed = True
                raise
            finally:
                # pytest lets go of them only later; set aside while it holds them, they would never be collected.
                item.funcargs.clear()  # type: ignore[attr-defined]
                gc.collect()
        if not self._failed:
            left = [*complaints, *self._cancelled, *self._left_open(), *self._changed()]
            if left:
                pytest.fail("\n  ".join(["the test left behind:", *left]), pytrace=False)
        _set_aside()
        return result

    def _left_open(self) -> list[str]:
        for thread in frozenset(threading.enumerate()) - self._before.threads:
            thread.join(THREAD_SECONDS)
        return Held.now().more_than(self._before)

    def _changed(self) -> list[str]:
        now = _shared()
        return [
            f"{name}: {self._shared.get(name)!r} became {now.get(name)!r}"
            for name in {**self._shared, **now}
            if self._shared.get(name) != now.get(name)
            # A logger that is new came with a module.
            and (name in self._shared or not name.startswith("logger "))
        ]


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What objects say that were dropped without being closed; pytest would tell whichever test comes next."""
    found: list[str] = []
    hook = sys.unraisablehook

    def note(said: Any) -> None:
        found.append(f"{said.err_msg or 'Exception ignored in'} {said.object!r}: {said.exc_value!r}")

    sys.unraisablehook = note
    try:
        yield found
    finally:
        sys.unraisablehook = hook


def _set_aside() -> None:
    """What is there now is looked at by no later collection, which so takes a millisecond and not a hundred."""
    gc.freeze()


def _forget_the_failure() -> None:
    """A failed test's frames hold what it had open, until the next failure."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        with suppress(AttributeError):
            delattr(sys, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
