"""The commands of the stand-alone tools."""

from __future__ import annotations

import json
import wave

from command_line import CommandLine, Serve


async def test_search_prints_what_was_found_and_what_it_cost(command: CommandLine, serve: Serve):
    simulator = await serve()

    ended = await command.run("search", "what is new", "--count", "2")
    as_json = await command.run("search", "what is new", "--count", "2", "--json")

    assert ended.code == 0
    assert ended.out.count("https://") == 2
    assert ended.err == "paid: 1 search: 0.005000 yuan, $0.000750\n"
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
        "warning: incomplete, because their text was too long: pages 2",
        "paid: 2 page: 0.003000 yuan",
    ]


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

    assert (ended.code, ended.out, ended.err) == (0, "", "paid: 5 speech characters: 0.000750 yuan\n")
    assert (again.code, forced.code) == (2, 0)
    assert len((command.folder / "a.wav").read_bytes()) == 2 * 960
    assert simulator.ledger.fees == {"speech_characters": 7}
