"""``--schema``: answers that fit a JSON Schema, from the command line."""

from __future__ import annotations

import json

import pytest
from command_line import CommandLine, Serve

SCHEMA = {
    "title": "Label",
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "stars": {"type": "integer"}},
    "required": ["label", "stars"],
    "additionalProperties": False,
}
RUN = ("batch", "run", "in.csv", "-o", "out.jsonl", "--template", "Good or bad? {text}", "--schema", "label.json")


def labels(command: CommandLine) -> list[dict]:
    return [json.loads(line["response"]["body"]["choices"][0]["message"]["content"]) for line in command.lines()]


async def test_every_answer_fits_the_schema_and_a_second_run_has_nothing_to_do(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.write("in.csv", "custom_id,text", "a,rain", "b,snow")
    command.write("label.json", json.dumps(SCHEMA))

    assert (await command.run(*RUN)).code == 0
    assert all(
        label["label"] in {"good", "bad"} and type(label["stars"]) is int and len(label) == 2
        for label in labels(command)
    )
    asked = simulator.requests[0].body
    assert asked["response_format"] == {"type": "json_object"}
    assert '"title":"Label"' in asked["messages"][0]["content"]
    before = len(simulator.requests)
    again = await command.run(*RUN)
    assert (again.code, len(simulator.requests)) == (0, before)


async def test_exports_of_an_input_know_the_schema_of_the_run(command: CommandLine, serve: Serve):
    await serve()
    command.write("in.csv", "custom_id,text", "a,rain", "b,snow")
    command.write("label.json", json.dumps(SCHEMA))
    await command.run(*RUN)

    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.csv")
    assert "2" in ended.out + ended.err
    assert "to changed requests" not in ended.out + ended.err
    ended = await command.run("batch", "export", "out.jsonl", "-o", "out.csv", "--input", "in.csv")
    assert ended.code == 0
    assert (command.folder / "out.csv").read_text().count("label") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"type": "array"}', "must be a JSON object"),
        ('{"type": "objekt"}', "invalid JSON Schema"),
    ],
)
async def test_a_file_that_is_no_schema_is_refused_before_anything_is_sent(
    command: CommandLine, serve: Serve, text: str | None, said: str
):
    simulator = await serve()
    command.write("in.csv", "custom_id,text", "a,rain")
    if text is not None:
        command.write("label.json", text)
    ended = await command.run(*RUN)
    assert ended.code == 2
    assert "label.json" in ended.err
    assert said in ended.err
    assert not simulator.requests


async def test_a_plan_counts_the_schema(command: CommandLine):
    command.write("in.csv", "custom_id,text", "a,rain")
    command.write("label.json", json.dumps(SCHEMA))
    plan = ("batch", "plan", "in.csv", "--template", "Good or bad? {text}", "--json")
    plain, formed = await command.run(*plan), await command.run(*plan, "--schema", "label.json")
    assert json.loads(formed.out) != json.loads(plain.out)
