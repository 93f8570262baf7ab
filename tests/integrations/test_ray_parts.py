"""What a node says of a job before it runs a part of it. Ray itself is not needed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from deepseek_async.batch.journal.parts import Parts
from deepseek_async.batch.row import Defaults
from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.ray import shard
from deepseek_async.integrations.ray.cluster import connect, environment_to_hand_on
from deepseek_async.integrations.ray.columns import rows_of
from deepseek_async.integrations.ray.job import RayJob
from deepseek_async.integrations.ray.shard import ShardOrder, problem_here


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShardOrder:
    monkeypatch.setattr(shard, "_PAUSE", 0)
    (tmp_path / "in.jsonl").write_text('"Hi"\n')
    with Parts(tmp_path / "out.jsonl") as parts:
        parts.prepare(2)
        token = parts.show_token()
    return ShardOrder(
        source=str(tmp_path / "in.jsonl"),
        folder=str(parts.folder),
        count=2,
        token=token,
        options={},
        schema=None,
        client={},
        settings_file=None,
        environment={},
    )


def test_a_node_that_sees_folder_and_input_can_run_a_part(order: ShardOrder):
    assert problem_here(order) is None


def test_a_folder_that_is_not_shared_is_named_with_the_node(order: ShardOrder, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    other = msgspec.structs.replace(order, folder=str(tmp_path / "elsewhere" / "out.jsonl.parts"))
    problem = problem_here(other)
    assert isinstance(problem, ConfigurationError)
    assert str(tmp_path / "elsewhere") in problem.message
    assert shard.node_name() in problem.message
    assert "--output" in problem.message


def test_a_folder_of_the_same_name_that_is_another_is_not_taken_for_it(order: ShardOrder):
    Parts.token_file(Path(order.folder), order.token).write_text("of another run")
    assert problem_here(order) is not None


def test_an_input_that_a_node_does_not_see_is_named(order: ShardOrder):
    problem = problem_here(msgspec.structs.replace(order, source="/nowhere/in.jsonl"))
    assert problem is not None
    assert "cannot see the input /nowhere/in.jsonl" in problem.message


def test_another_version_on_a_node_is_said(order: ShardOrder):
    problem = problem_here(msgspec.structs.replace(order, version="0.0.1"))
    assert problem is not None
    assert "install the same version" in problem.message


@pytest.mark.parametrize("options", [{"shard": "1/2"}, {"dedupe": True}], ids=["shard", "dedupe"])
def test_what_cannot_be_had_in_parts_is_refused(options: dict[str, object], tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"--(shard|dedupe) cannot be combined"):
        RayJob(tmp_path / "in.jsonl", tmp_path / "out.jsonl", address="auto", client={}, options=options)


def test_the_key_goes_along_with_no_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-canary0123456789abcdefTAIL")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DEEPSEEK_ASYNC_CACHE_DIR", "/nowhere")
    assert environment_to_hand_on() == {"DEEPSEEK_BASE_URL": "http://127.0.0.1:1"}


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r'pip install "deepseek-async\[ray\]"'):
        connect("auto")


@pytest.mark.parametrize("name", ["text", "review.text"])
def test_a_template_fills_a_column_of_a_dataset_and_leaves_the_others(name: str):
    batch = pa.table({name: ["good"], "stars": [5]})
    (row,) = rows_of(batch, Defaults(template=f"Say {{{name}}}"))

    assert row.body is not None
    assert row.body["messages"][0]["content"] == "Say good"
    assert row.columns is None
