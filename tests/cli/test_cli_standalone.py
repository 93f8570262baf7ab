"""The commands of the stand-alone tools."""

from __future__ import annotations

import json
import wave

import pytest
from command_line import CommandLine, Serve


async def test_search_prints_what_was_found_and_what_it_cost(command: CommandLine, serve: Serve):
    simulator = await serve()

    ended = await command.run("search", "what is new", "--count", "2")
    as_json = await command.run("search", "what is new", "--count", "2", "--json")

    assert ended.code == 0
    assert ended.out.count("https://") == 2
    assert ended.err == "fee: 1 search: 0.005000 yuan, $0.000750\n"
    assert [result["title"] for result in json.loads(as_json.out)["results"]] == [
        "Result 1 for what is new",
        "Result 2 for what is new",
    ]
    assert simulator.ledger.fees == {"search": 2}


async def test_fetch_prints_the_page(command: CommandLine, serve: Serve):
    await serve()
    ended = await command.run("fetch", "https://example.org/")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "# example.org")


async def test_what_cannot_be_asked_is_one_line_and_code_2(command: CommandLine, serve: Serve):
    simulator = await serve()
    for arguments in (("search", " "), ("fetch", "ftp://example.org/")):
        ended = await command.run(*arguments)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not simulator.requests


async def test_ocr_prints_the_pages_and_says_which_are_incomplete(command: CommandLine, serve: Serve):
    await serve(cut_every_page=2)
    (command.folder / "a.txt").write_bytes(b"one\ftwo")

    ended = await command.run("ocr", "a.txt")

    assert (ended.code, ended.out) == (3, "one\ftwo\n")
    assert ended.err.splitlines() == [
        "warning: incomplete pages, because their text was too long: 2",
        "fee: 2 page: 0.003000 yuan",
    ]


async def test_many_documents_go_into_a_file_and_the_same_command_goes_on(command: CommandLine, serve: Serve):
    simulator = await serve()
    for number in range(3):
        (command.folder / f"{number}.txt").write_text(f"page {number}")
    (command.folder / "empty.pdf").write_bytes(b"")
    files = ("0.txt", "1.txt", "2.txt", "empty.pdf")

    first = await command.run("ocr", *files, "-o", "out.jsonl")
    second = await command.run("ocr", *files[:3], "-o", "out.jsonl")
    exported = await command.run("batch", "export", "out.jsonl", "-o", "pages.csv", "--content-only")

    assert (first.code, second.code, simulator.statistics().requests) == (1, 0, 3)
    assert "failures:\n  empty.pdf is empty" in first.err
    assert "  fees      3 page: 0.004500 yuan\n" in first.err
    assert "carried" not in first.err
    assert (
        second.err.splitlines()[-2].startswith("  rows      3 of 3: 0 answered") or "nothing left to do" in second.err
    )
    assert exported.code == 0
    rows = (command.folder / "pages.csv").read_text().splitlines()[1:]
    assert [row.split(",")[2:4] for row in rows] == [[f"{number}.txt", f"page {number}"] for number in range(3)]


async def test_a_document_that_is_cut_off_gives_code_3_and_is_read_again(command: CommandLine, serve: Serve):
    simulator = await serve(cut_every_page=2)
    (command.folder / "a.txt").write_bytes(b"one\ftwo")

    ended = [await command.run("ocr", "a.txt", "-o", "out.jsonl") for _ in range(2)]

    assert [each.code for each in ended] == [3, 3]
    assert "truncated 1 document with an incomplete page: the same command reads them again" in ended[0].err
    assert simulator.statistics().requests == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "a document is required"),
        (("a.txt", "b.txt"), "2 documents require an output file: name one with -o"),
        (("a.txt", "-o", "a.txt"), "input and output must be different files"),
        (("a.txt", "-o", "out.jsonl", "--json"), "-o and --json cannot be combined"),
        (("a.txt", "-o", "out.jsonl", "--max-cost", "1"), "pages are priced in yuan only"),
    ],
)
async def test_documents_that_cannot_be_read_so_are_refused_in_one_line(
    command: CommandLine, serve: Serve, arguments: tuple[str, ...], said: str
):
    simulator = await serve()
    for name in ("a.txt", "b.txt"):
        (command.folder / name).write_text(name)

    ended = await command.run("ocr", *arguments)

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert said in ended.err
    assert not simulator.requests


async def test_transcribe_prints_the_words(command: CommandLine, serve: Serve):
    await serve()
    with wave.open(str(command.folder / "a.wav"), "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(16_000))

    ended = await command.run("transcribe", "a.wav")

    assert (ended.code, ended.out) == (0, "A recording of 1000 milliseconds.\n")
    assert (await command.run("transcribe", "a.txt")).code == 2


async def test_say_writes_a_file_and_replaces_none_unasked(command: CommandLine, serve: Serve):
    simulator = await serve()

    ended = await command.run("say", "Hello", "-o", "a.wav")
    again = await command.run("say", "Hello", "-o", "a.wav")
    forced = await command.run("say", "Hi", "--format", "pcm", "-o", "a.wav", "--force")

    assert (ended.code, ended.out, ended.err) == (0, "", "fee: 5 speech characters: 0.000750 yuan\n")
    assert (again.code, forced.code) == (2, 0)
    assert len((command.folder / "a.wav").read_bytes()) == 2 * 960
    assert simulator.ledger.fees == {"speech_characters": 7}
