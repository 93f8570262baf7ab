"""The group that a Ray actor keeps, without Ray: what the actor is told, and what becomes of heartbeats."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, ConfigurationError
from deepseek_async.admission.sharing.group_ray import TERMS, GroupActor, RayGroup
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply


class Ray(ModuleType):
    """As much of Ray as a group asks for: one actor, which answers at once, or fails, or stays silent."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.hall = GroupActor(clock=lambda: 100.0)
        self.initialized = True
        self.failure: Exception | None = None
        self.silent = False
        self.made = 0

    def is_initialized(self) -> bool:
        return self.initialized

    def remote(self, cls: type) -> Any:
        assert cls is GroupActor
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._make))

    def _make(self) -> Any:
        self.made += 1
        methods = {name: SimpleNamespace(remote=self._method(name)) for name in ("exchange", "leave")}
        return SimpleNamespace(**methods)

    def _method(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            future: Future[Any] = Future()
            if self.failure is not None:
                future.set_exception(self.failure)
            elif not self.silent:
                future.set_result(getattr(self.hall, name)(*arguments))
            return SimpleNamespace(future=lambda: future)

        return call


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    made = Ray()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


async def told(group: RayGroup, **beat: Any) -> Reply | None:
    answered = asyncio.get_running_loop().create_future()
    group.exchange("deepseek-flash", Heartbeat(**beat), answered.set_result)
    return await answered


async def found(group: RayGroup) -> None:
    """Returns when the group has its actor; the first heartbeat finds none and is not waited for."""
    assert await told(group, member="first") is None
    await asyncio.to_thread(group._search.join)


async def test_members_in_several_processes_divide_one_window(ray: Ray):
    one, two = RayGroup("account"), RayGroup("account")
    await found(one)
    await found(two)
    await told(one, member="a", bulk=100, window=60)
    first = await told(two, member="b", bulk=100, window=60)
    assert first is not None
    assert first.members == 2
    assert first.window == 60
    one.leave("deepseek-flash", "a")
    alone = await told(two, member="b", bulk=100, window=60)
    assert alone is not None
    assert alone.members == 1


async def test_an_actor_that_died_is_said_once_and_made_anew(
    ray: Ray, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("deepseek_async.admission.sharing.group_ray._PAUSE", 0)
    group = RayGroup("account")
    await found(group)
    for _ in range(2):
        ray.failure = RuntimeError("the actor died\nwith a long story")
        assert await told(group, member="a") is None
        ray.failure = None
        await found(group)
    assert await told(group, member="a") is not None
    assert ray.made == 3
    assert [record.message for record in caplog.records] == [
        "Ray actor for shared limits does not answer, reconnecting: the actor died"
    ]


async def test_an_actor_that_is_silent_is_not_waited_for(ray: Ray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepseek_async.admission.sharing.group_ray._PATIENCE", 0.01)
    group = RayGroup("account")
    await found(group)
    ray.silent = True
    assert await told(group, member="a") is None


def test_a_process_of_no_cluster_is_told_what_to_do(ray: Ray):
    ray.initialized = False
    with pytest.raises(ConfigurationError, match=r"call ray\.init\(\) first"):
        RayGroup("account")


async def test_without_ray_a_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"deepseek-async\[ray\]"):
        async with AsyncDeepSeek(api_key="sk-canary0123456789abcdefTAIL", shared="ray"):
            pass


def test_a_lease_outlasts_several_heartbeats_that_are_lost():
    assert TERMS.lease >= 1000 + 2 * 500
