"""A gateway as a process: what it sets for itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from deepseek_async.cli.gateway_process import _collect_garbage_seldom


@pytest.fixture
def collector() -> Iterator[None]:
    """The garbage collector, as it was after the test."""
    usual = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*usual)


class Node:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("collector")
def test_a_gateway_collects_garbage_seldom_and_never_what_it_began_with_but_it_collects():
    usual = gc.get_threshold()[0]

    _collect_garbage_seldom()

    seldom = gc.get_threshold()[0]
    assert gc.get_freeze_count() > 0
    assert seldom > 10 * usual
    gone = weakref.ref(Node())
    assert gone() is not None
    assert len([[] for _ in range(seldom + 100)]) > seldom
    assert gone() is None
