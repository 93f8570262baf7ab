"""Whatever is done to an input between runs, killed ones included, every answer that is exported is its row's."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.thoroughness import often

from deepseek_async import AsyncDeepSeek, InputChangedError
from deepseek_async.batch import BatchReport
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.review.export import Format, export
from deepseek_async.batch.review.job_summary import account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput, SelectedRows
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.run_record import defaults_of
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Simulator

SPOKEN = {"thinking": {"type": "disabled"}, "max_tokens": 30}
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""No shrinking, which takes minutes here; the seed is printed."""
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")


class Record(NamedTuple):
    """A row of the input: an id, what is asked, and a column that has no part in the question."""

    key: int
    text: str
    tag: int


class Service(NamedTuple):
    runner: asyncio.Runner
    client: AsyncDeepSeek
    simulator: Simulator


@contextmanager
def serving() -> Iterator[Service]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Service:
            simulator = await stack.enter_async_context(Simulator())
            client = AsyncDeepSeek(api_key="sk-test-1234", base_url=simulator.base_url, max_concurrency=3)
            return Service(runner, await stack.enter_async_context(client), simulator)

        yield runner.run(start())
        runner.run(stack.aclose())


class Desk:
    """Somebody who edits an input, runs it, has runs killed, and looks at what came of it."""

    def __init__(self, service: Service, folder: Path, chance: random.Random, *, named: bool, table: bool) -> None:
        self.service = service
        self.chance = chance
        self.named = named
        self.source = folder / ("in.csv" if table else "in.jsonl")
        self.output = folder / "out.jsonl"
        self.rows: list[Record] = []
        self.keys = 0
        self.seen: list[list[Record]] = []
        """The inputs of the last run that came to its end, and of those that were killed since."""

    def add(self, place: int, text: str | None = None) -> None:
        self.keys += 1
        # Few texts, so that equal rows come and go.
        text = text or f"w{self.chance.randrange(12):03}"
        self.rows.insert(place, Record(self.keys, text, self.chance.randrange(100)))

    def edit(self) -> None:
        chance, rows = self.chance, self.rows
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(rows) + 1)
            if place == len(rows):
                self.add(place)
                continue
            what = chance.choice(["insert", "delete", "move", "sort", "shuffle", "change", "tag", "double"])
            if what == "insert":
                self.add(place)
            elif what == "delete":
                del rows[place]
            elif what == "move":
                rows.insert(chance.randrange(len(rows)), rows.pop(place))
            elif what == "sort":
                rows.sort(key=lambda row: row.text, reverse=chance.random() < 0.5)
            elif what == "shuffle":
                chance.shuffle(rows)
            elif what == "change":
                rows[place] = rows[place]._replace(text=f"w{chance.randrange(12):03}")
            elif what == "tag":
                rows[place] = rows[place]._replace(tag=chance.randrange(100))
            else:
                self.add(place, rows[place].text)

    def write(self) -> None:
        records = [row._asdict() for row in self.rows]
        if self.source.suffix == ".csv":
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, Record._fields)
            writer.writeheader()
            writer.writerows(records)
            self.source.write_text(text.getvalue())
        else:
            self.source.write_text("".join(json.dumps(record) + "\n" for record in records))

    def run(self, output: Path | None = None, **options: Any) -> BatchReport:
        """Run, and agree to what changed."""
        ids = {"id_column": "key"} if self.named else {}
        common = {"template": "{text}", "min_free": 0, **ids, **SPOKEN, **options}
        run, runner = self.service.client.batch.run, self.service.runner
        self.write()
        try:
            return runner.run(run(self.source, output or self.output, **common))
        except InputChangedError:
            assert self.named, "an edited row without an id is a new row"
            return runner.run(run(self.source, output or self.output, redo="changed", **common))

    def answers(self) -> dict[str, Counter[str]]:
        """How many answers the output holds to each text, by a reader that knows nothing of runs."""
        names = defaultdict[str, set[str]](set)
        for line in self.output.read_bytes().splitlines() if self.output.exists() else ():
            with suppress(ValueError):  # the last line may be torn
                found = json.loads(line)
                names[found["response"]["body"]["choices"][0]["message"]["content"][11:15]].add(found["custom_id"])
        return {text: Counter(held) for text, held in names.items()}

    def due(self) -> int:
        """Rows without an id that no answer is there for."""
        answers = self.answers()
        wanted = Counter(row.text for row in self.rows)
        return sum(max(0, number - len(answers.get(text, ()))) for text, number in wanted.items())

    def kill(self, before: int) -> None:
        """Leave of the output what a run that was killed might have left."""
        content = self.output.read_bytes()
        # The run may have cut off a torn line before it wrote any.
        self.output.write_bytes(content[: self.chance.randint(min(before, len(content)), len(content))])


def of_input(desk: Desk, output: Path) -> RowsOfInput:
    read = OutputReader(output)
    read.read()
    if read.run is None:
        assert len(read) == 0, "the first line says how the run asks"
        named = Defaults(template="{text}", parameters=SPOKEN, id_column="key" if desk.named else None)
        return RowsOfInput(read, desk.source, named)
    return RowsOfInput(read, desk.source, defaults_of(read.run))


def latest(output: Path) -> LatestRun:
    read = OutputReader(output)
    read.read()
    return LatestRun(read)


def exported(asked: SelectedRows, form: Format) -> list[dict[str, Any]]:
    """The rows as somebody who reads such files has them, with text for text."""
    target = io.BytesIO()
    number = export(asked, target, form)
    if form == "parquet":
        table = pq.read_table(io.BytesIO(target.getvalue())).to_pylist()
        rows = [{name: value if value is None else str(value) for name, value in row.items()} for row in table]
    elif form == "csv":
        read = csv.DictReader(io.StringIO(target.getvalue().decode(), newline=""))
        rows = [{name: value or None for name, value in row.items()} for row in read]
    else:
        rows = []
        for line in map(json.loads, target.getvalue().splitlines()):
            facts, response = line["deepseek_async"], line["response"]
            content = response and response["body"]["choices"][0]["message"]["content"]
            rows.append({"index": facts["index"], "custom_id": line["custom_id"], "content": content})
            rows[-1] |= {name: str(value) for name, value in facts.get("columns", {}).items()}
    assert len(rows) == number
    return rows


def answers_to(row: dict[str, Any], record: Record) -> bool:
    content = row["content"]
    return content is None or content.startswith(f"Answer to: {record.text}")


def check_input(desk: Desk, output: Path, *, whole: bool) -> None:
    """Exactly the rows of the input, in its order, with its columns, and to each the answer to what it asks."""
    asked = of_input(desk, output)
    assert asked.total == len(desk.rows)
    for form in FORMATS:
        rows = exported(asked, form)
        assert [(int(row["index"]), row["key"], row["text"], row["tag"]) for row in rows] == [
            (number, str(record.key), record.text, str(record.tag)) for number, record in enumerate(desk.rows)
        ]
        assert all(answers_to(row, record) for row, record in zip(rows, desk.rows, strict=True))
        assert not whole or all(row["content"] for row in rows)
        assert not desk.named or [row["custom_id"] for row in rows] == [str(record.key) for record in desk.rows]
    account = account_of(asked, price_table())
    assert account.ok + asked.pending + asked.changed == len(desk.rows)


def check_latest(desk: Desk, output: Path, *, whole: bool) -> None:
    """The rows of the latest run at their places; of a run that was killed at once, those of the run before."""
    for form in FORMATS:
        rows = exported(latest(output), form)
        inputs = [desk.rows] if whole else [desk.rows, *desk.seen]
        assert any(
            all(
                int(row["index"]) < len(records) and answers_to(row, records[int(row["index"])]) and row["content"]
                for row in rows
            )
            for records in inputs
        )
        assert len({int(row["index"]) for row in rows}) == len(rows)
        if whole:
            assert [int(row["index"]) for row in rows] == list(range(len(desk.rows)))
    if whole:
        assert account_of(latest(output), price_table()).ok == len(desk.rows)


def test_every_exported_answer_is_its_rows_after_any_edits_and_kills():
    @settings(max_examples=often(40), deadline=None, phases=PHASES)
    @given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
    def edit_and_run(chance: random.Random, named: bool, table: bool) -> None:
        with TemporaryDirectory() as folder:
            desk = Desk(service, Path(folder), chance, named=named, table=table)
            for place in range(chance.randrange(1, 8)):
                desk.add(place)
            for _ in range(chance.randrange(1, 5)):
                before = desk.output.stat().st_size if desk.output.exists() else 0
                due = desk.due()
                report = desk.run()
                assert report.rows == len(desk.rows)
                assert named or report.ok == due, "no answer is bought that is there"
                killed = chance.random() < 0.4
                if killed:
                    desk.kill(before)
                check_input(desk, desk.output, whole=not killed)
                check_latest(desk, desk.output, whole=not killed)
                desk.seen = [*(desk.seen if killed else []), list(desk.rows)]
                desk.edit()

    with serving() as service:
        edit_and_run()


def test_outputs_of_parts_stay_right_when_they_are_merged():
    @settings(max_examples=often(20), deadline=None, phases=PHASES)
    @given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
    def edit_and_merge(chance: random.Random, named: bool, table: bool) -> None:
        with TemporaryDirectory() as folder:
            desk = Desk(service, Path(folder), chance, named=named, table=table)
            for place in range(chance.randrange(1, 8)):
                desk.add(place)
            parts, merged = [Path(folder) / "1.jsonl", Path(folder) / "2.jsonl"], Path(folder) / "merged.jsonl"
            for _ in range(chance.randrange(1, 4)):
                for number, part in enumerate(parts, 1):
                    desk.run(part, shard=f"{number}/2")
                merged.unlink(missing_ok=True)
                merge(parts if chance.random() < 0.5 else parts[::-1], merged)
                check_input(desk, merged, whole=True)
                check_latest(desk, merged, whole=True)
                merge([merged], merged)
                check_latest(desk, merged, whole=True)
                report = desk.run(merged)
                assert (report.ok, report.rows) == (0, len(desk.rows))
                check_latest(desk, merged, whole=True)
                desk.edit()

    with serving() as service:
        edit_and_merge()
