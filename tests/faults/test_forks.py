"""A process that forks and its child never use the same thing, and both work: real processes, the simulator's money."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.forking import outcome_of
from support.redis_server import RedisServer
from support.servers import ANSWER, SILENCE, Serve, begun, said

from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(answer_tokens=300)) as running:
        yield running


SPENDING = """
    from deepseek_async import BudgetExceededError

    client = made(budget=budget_of(0.01))

    async def spend():
        calls = 0
        async with client:
            while True:
                try:
                    await ask(client, max_tokens=400, user=f"{os.getpid()}")
                    calls += 1
                except BudgetExceededError:
                    return calls

    for _ in range(given["used"]):
        asyncio.run(ask(client, max_tokens=400))
    if given["generations"] == 2:
        # Each child uses what it has inherited, and forks again. Nobody uses up the money before all have begun.
        gate = Gate(3)

        def follow():
            gate.wait()
            return asyncio.run(spend())

        def lead():
            asyncio.run(ask(client, max_tokens=400))
            gate.arrive()
            calls = sum(end() for end in [in_child(follow) for _ in range(2)]) + 1
            asyncio.run(client.aclose())
            return calls

        ends = [in_child(lead) for _ in range(3)]
        gate.open(6)
    else:
        ends = [in_child(lambda: asyncio.run(spend())) for _ in range(8)]
    calls = sum(end() for end in ends) + given["used"]
    asyncio.run(client.aclose())
    say(calls)
"""


@pytest.mark.parametrize(("used", "generations"), [(0, 1), (1, 1), (3, 1), (2, 2)])
async def test_workers_forked_after_their_client_was_made_spend_one_budget_together(
    simulator: Simulator,
    tmp_path: Path,
    used: int,
    generations: int,
):
    path = tmp_path / "budget.sqlite"
    calls = await outcome_of(
        SPENDING,
        url=simulator.base_url,
        budget=str(path),
        used=used,
        generations=generations,
    )
    ledger = simulator.ledger
    assert calls == len(ledger)
    assert 0.009 < ledger.dollars <= 0.01
    connection = sqlite3.connect(path)
    (counted,) = connection.execute("SELECT sum(spent) FROM holders").fetchone()
    by_calls = connection.execute("SELECT sum(calls), sum(spent) FROM spending").fetchone()
    connection.close()
    assert (counted, by_calls) == (ledger.nano_dollars, (calls, ledger.nano_dollars))


BUFFERED = """
    import sqlite3
    from deepseek_async.observe.audit import AuditLog

    client = made(
        budget=budget_of(10.0), cache=given["cache"], listeners=[AuditLog(given["audit"])],
    )

    async def childs_life():
        for number in range(4):
            await asyncio.wait_for(ask(client, user=f"child {number}"), 120)
        await asyncio.wait_for(client.aclose(), 120)
        return 4

    async def main():
        calls = 0
        for number in range(3):
            await ask(client, user=f"before {number}")
        # Forked by code that runs on the loop, while lines, answers and money wait to be written.
        calls += in_child(lambda: asyncio.run(childs_life()))()
        for number in range(3):
            await ask(client, user=f"after {number}")
        await client.aclose()
        return calls + 6

    say(asyncio.run(main()))
"""


async def test_what_waits_to_be_written_at_a_fork_is_written_once_and_what_the_child_writes_is_not_lost(
    simulator: Simulator,
    tmp_path: Path,
):
    cache, audit, budget = tmp_path / "cache.sqlite", tmp_path / "audit", tmp_path / "budget.sqlite"
    calls = await outcome_of(
        BUFFERED,
        url=simulator.base_url,
        cache=str(cache),
        audit=str(audit),
        budget=str(budget),
    )
    assert calls == 10 == len(simulator.ledger)
    lines = [json.loads(line) for file in audit.iterdir() for line in file.read_text().splitlines()]
    assert sorted(line["response_id"] for line in lines) == sorted(bill.id for bill in simulator.ledger)
    for path, question, expected in (
        (cache, "SELECT count(*) FROM entries", (10,)),
        (budget, "SELECT sum(calls), sum(spent) FROM spending", (10, simulator.ledger.nano_dollars)),
        (budget, "SELECT count(*), sum(spent) FROM holders", (2, simulator.ledger.nano_dollars)),
    ):
        connection = sqlite3.connect(path)
        assert connection.execute(question).fetchone() == expected
        connection.close()


SOCKETS = """
    async def child():
        await ask(client)
        await client.aclose()

    async def main():
        await ask(client)
        end = in_child(lambda: asyncio.run(child()))
        end()
        await ask(client)
        await client.aclose()

    client = made()
    if given["uvloop"]:
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
    say("done")
"""


@pytest.mark.parametrize("uvloop", [False, True])
async def test_the_connection_of_the_parent_serves_it_further_and_the_child_has_its_own(serve: Serve, uvloop: bool):
    server = await serve([ANSWER])
    await outcome_of(SOCKETS, url=server.url, uvloop=uvloop)
    assert [request.connection for request in server.requests] == [1, 2, 1]


STREAM = """
    async def main():
        stream = await ask(client, stream=True)
        first = await anext(stream)

        async def read_on():
            async for _ in stream:
                pass

        def child():
            try:
                asyncio.run(asyncio.wait_for(read_on(), 120))
            except Exception as error:
                return [type(error).__name__, getattr(error, "reason", None), str(error)]

        refused = in_child(child)()
        await stream.aclose()
        await client.aclose()
        say([refused, first.choices[0].delta.content])

    client = made()
    asyncio.run(main())
"""


async def test_a_stream_that_the_parent_reads_is_refused_in_the_child_at_once(serve: Serve):
    server = await serve([begun(said("one")), SILENCE])
    refused, first = await outcome_of(STREAM, url=server.url)
    assert first == "one"
    assert "repeat the call in this process" in refused[2]


LOOPS = """
    def told(work):
        try:
            work()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    client = made()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask(client))
    idle = in_child(lambda: told(lambda: loop.run_until_complete(ask(client))))()

    async def main():
        await ask(client)
        coroutine = ask(client)
        running = in_child(lambda: told(lambda: coroutine.send(None)))()
        coroutine.close()
        await client.aclose()
        return running

    loop.run_until_complete(client.aclose())
    loop.close()
    client = made()
    say([idle, asyncio.run(main())])
"""


async def test_a_call_on_a_loop_of_the_parent_is_refused_and_says_what_to_do(serve: Serve):
    server = await serve([ANSWER])
    for told in await outcome_of(LOOPS, url=server.url):
        assert told.startswith("ConfigurationError")
        assert "asyncio.run" in told
    assert len(server.requests) == 2


def damaged(folder: Path) -> list[Path]:
    """Files that were set aside."""
    return list(folder.glob("*.damaged*"))


BUSY = """
    import threading
    from pathlib import Path
    from deepseek_async.admission.budget.store_file import FileStore
    from deepseek_async.cache.disk import DiskTier
    from deepseek_async.cache.entry import Entry
    from deepseek_async.observe.audit import AuditLog

    tier = DiskTier(Path(given["cache"]), max_bytes=2**30, keep_seconds=1e9)
    store = FileStore(Path(given["budget"]))
    over, at_work = False, threading.Event()

    def use_cache():
        while at_work.wait() and not over:
            tier.put(b"parent", Entry(b"{}", 1.0))
            tier.get(b"parent")

    def use_budget():
        while at_work.wait() and not over:
            store.allot("2026-01-01", cap=10**9, allotted=0, least=1, wanted=1)
            store.report("2026-01-01", allotted=0, spent=0, spending={})

    def child():
        tier.put(b"child", Entry(b"{}", 1.0))
        tier.flush()
        tier.get(b"child")
        store.allot("2026-01-01", cap=10**9, allotted=0, least=1, wanted=1)
        store.close()
        tier.close()
        return "worked"

    def fork():
        at_work.set()
        outcome = in_child(child)
        at_work.clear()
        return outcome()

    threads = [threading.Thread(target=use_cache), threading.Thread(target=use_budget)]
    for thread in threads:
        thread.start()
    outcomes = [fork() for _ in range(20)]
    over = True
    at_work.set()
    for thread in threads:
        thread.join()
    tier.close()
    store.close()
    say(outcomes)
"""


async def test_a_fork_amid_transactions_of_other_threads_leaves_no_lock_and_no_damage(tmp_path: Path):
    cache, budget = tmp_path / "cache.sqlite", tmp_path / "budget.sqlite"
    assert await outcome_of(BUSY, cache=str(cache), budget=str(budget)) == ["worked"] * 20
    for path in (cache, budget):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert damaged(tmp_path) == []


METRICS = """
    import urllib.request
    from deepseek_async.observe.metrics import ServedMetrics

    def served(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return answer.read().decode()

    def calls(text):
        return [line.split()[-1] for line in text.splitlines() if line.startswith("deepseek_async_requests_total")]

    metrics = ServedMetrics(0)
    client = made(listeners=[metrics])

    async def child():
        await ask(client)
        shown = metrics.exposition().decode()
        await client.aclose()
        return calls(shown)

    async def main():
        for _ in range(3):
            await ask(client)
        childs = in_child(lambda: asyncio.run(child()))()
        mine = calls(served(metrics.port))
        await client.aclose()
        return [mine, childs]

    say(asyncio.run(main()))
"""


async def test_a_child_counts_its_own_calls_and_its_parent_goes_on_serving(serve: Serve):
    pytest.importorskip("prometheus_client")
    server = await serve([ANSWER])
    assert await outcome_of(METRICS, url=server.url) == [["3.0"], ["1.0"]]


OUTPUT = """
    from pathlib import Path
    from deepseek_async.batch.journal.writer import Journal
    from deepseek_async.batch.line_encoder import encode_line
    from deepseek_async.batch.result import BatchResult
    from deepseek_async.errors import APIConnectionError

    def line(name):
        return encode_line(BatchResult(index=0, error=APIConnectionError("lost")), name, 1)

    output = Path(given["output"])
    reading, writing = os.pipe()

    async def main():
        async with Journal(output, lambda written: None, allow_network=True) as journal:
            journal.append_nowait(line("1"), None)
            end = in_child(lambda: os.read(reading, 1).decode())
        # The child still lives.
        async with Journal(output, lambda written: None, allow_network=True) as journal:
            journal.append_nowait(line("2"), None)
        os.write(writing, b"x")
        return end()

    say([asyncio.run(main()), output.read_text().splitlines()])
"""


async def test_a_child_neither_holds_the_output_of_its_parents_job_nor_writes_to_it(tmp_path: Path):
    output = tmp_path / "output.jsonl"
    ended, lines = await outcome_of(OUTPUT, output=str(output))
    assert ended == "x"
    assert [json.loads(line)["custom_id"] for line in lines] == ["1", "2"]


REDIS = """
    from deepseek_async import Cache

    client = made(cache=Cache(redis=given["redis"]))

    async def child():
        await ask(client, user="child")
        await client.aclose()

    async def main():
        await ask(client, user="parent")
        in_child(lambda: asyncio.run(child()))()
        await ask(client, user="parent again")
        await client.aclose()

    asyncio.run(main())
    say("done")
"""


async def test_a_child_has_connections_of_its_own_to_redis(serve: Serve, tmp_path: Path):
    server = await serve([ANSWER])
    async with RedisServer(tmp_path) as redis:
        assert await outcome_of(REDIS, url=server.url, redis=redis.url) == "done"
    assert len(server.requests) == 3


CHANCE = """
    import random
    from deepseek_async.admission.budget import Budget

    def drawn():
        return random.random()

    say([end() for end in [in_child(drawn) for _ in range(4)]])
"""


async def test_children_draw_different_back_offs():
    assert len(set(await outcome_of(CHANCE))) == 4


PREPARING = """
    import logging
    from deepseek_async.process import forks

    logging.disable()
    told = []

    class Failing(forks.AtFork):
        def before_fork(self):
            raise RuntimeError("not ready")

    class Willing(forks.AtFork):
        def before_fork(self):
            told.append("before")

        def after_fork_in_parent(self):
            told.append("parent")

        def after_fork_in_child(self):
            told.append("child")

    things = [Failing(), Willing(), Failing()]
    for thing in things:
        forks.register(thing)
    childs = in_child(lambda: told)()
    say([told, childs])
"""


async def test_one_that_fails_to_prepare_for_a_fork_keeps_nobody_else_from_it():
    assert await outcome_of(PREPARING) == [["before", "parent"], ["before", "child"]]
