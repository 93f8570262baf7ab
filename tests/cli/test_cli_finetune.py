"""``deepseek-async finetune prepare``."""

from __future__ import annotations

import json
from collections.abc import Callable

from command_line import CommandLine


def rows(count: int) -> list[str]:
    return [json.dumps({"prompt": f"Question {number}", "completion": "fine"}) for number in range(count)]


async def test_two_files_are_made_without_a_key_and_their_paths_are_printed(command: CommandLine):
    command.write("data.jsonl", *rows(100))
    del command.environment["DEEPSEEK_API_KEY"]
    ended = await command.run("finetune", "prepare", "data.jsonl", "-o", "out")
    assert ended.code == 0
    assert ended.out == "out/data.train.jsonl\nout/data.validation.jsonl\n"
    assert [len(command.lines(name)) for name in ended.out.split()] == [88, 12]
    assert "100 lines: 88 training rows, 12 validation rows" in ended.err
    assert "warning: 100 rows are few: at least 10,000 are recommended" in ended.err


async def test_lines_that_are_no_rows_are_shown_and_change_the_exit_code(command: CommandLine):
    command.write("data.jsonl", *rows(9), '{"messages": [{"role": "user", "content": "Hi"}]}', rows(1)[0])
    ended = await command.run("finetune", "prepare", "data.jsonl")
    assert ended.code == 1
    assert "line 10: must end with an assistant message" in ended.err
    assert "excluded: 1 duplicate, 1 order" in ended.err


async def test_the_summary_comes_as_json(command: CommandLine):
    command.write("data.jsonl", *rows(50))
    ended = await command.run("finetune", "prepare", "data.jsonl", "--json", "--validation", "0.1", "--seed", "3")
    summary = json.loads(ended.out)
    assert (ended.code, summary["train_rows"], summary["validation_share"]) == (0, 45, 0.1)
    assert summary["warnings"]


async def test_a_file_without_a_row_is_of_no_use(command: CommandLine):
    command.write("data.jsonl", "nonsense")
    assert (await command.run("finetune", "prepare", "data.jsonl")).code == 2


def test_wrong_usage_is_explained(refused: Callable[..., str]):
    assert "none.jsonl is not a file" in refused("finetune", "prepare", "none.jsonl")
    assert "--validation" in refused("finetune", "prepare", "none.jsonl", "--validation", "2")
    assert "--max-tokens" in refused("finetune", "prepare", "none.jsonl", "--max-tokens", "0")
