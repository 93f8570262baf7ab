"""What a user sees on a terminal, and the pieces it is made of."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import unicodedata

import pytest
import uvloop
from command_line import CommandLine, Serve, Terminal
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch import Progress
from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.process import runner
from deepseek_async.cli.progress import Speed
from deepseek_async.cli.terminal import columns, harmless, one_line
from deepseek_async.codec.status_errors import status_error
from deepseek_async.simulator import Fault, FaultKind
from deepseek_async.text.number_format import dollars, duration
from deepseek_async.text.quoting import plain

RUN = ("batch", "run", "in.jsonl", "-o", "out.jsonl")
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;|9[0-7])[0-9;]*m")


async def test_a_terminal_shows_a_bar_that_is_redrawn_and_then_the_summary(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    simulator = await serve(latency=0.2)
    simulator.script(Fault(FaultKind.BAD_REQUEST, message="seen \x07 and said"))
    command.prompts(60)
    process = await terminal.start(command, *RUN, "-c", "10")
    await terminal.until("━")
    await terminal.until(lambda shown: re.search(r"10 in flight · [\d.]+ requests/s · \S+ tokens/s · \$\S+", shown))
    await terminal.until("last error: ")
    code = await terminal.end_of(process)

    assert code == 1
    assert terminal.shown.count("in flight") > 3
    assert "\x1b[" in terminal.shown
    assert "\x07" not in terminal.shown
    assert COLOUR.search(terminal.shown)
    assert "60 of 60: 59 answered · 1 failed" in terminal.shown


async def test_stdout_is_not_part_of_the_display(command: CommandLine, serve: Serve, terminal: Terminal):
    await serve(latency=0.1)
    command.prompts(20)
    data = command.folder / "stdout"
    with data.open("wb") as file:
        process = await terminal.start(command, *RUN, "-c", "5", stdout=file)
    code = await terminal.end_of(process)

    assert code == 0
    assert "━" in terminal.shown
    assert data.read_bytes() == b""


async def test_no_color_takes_the_colour_out(command: CommandLine, serve: Serve, terminal: Terminal):
    await serve(latency=0.1)
    command.environment["NO_COLOR"] = "1"
    command.prompts(20)
    process = await terminal.start(command, *RUN, "-c", "5")
    code = await terminal.end_of(process)

    assert code == 0
    assert "━" in terminal.shown
    assert not COLOUR.search(terminal.shown)


async def test_ctrl_c_on_a_terminal_finishes_the_rows_of_a_simulated_run(command: CommandLine, terminal: Terminal):
    command.prompts(500)
    process = await terminal.start(command, *RUN, "--simulate", "-c", "10")
    await terminal.until("10 in flight")
    terminal.type("\x03")
    await terminal.until(lambda shown: re.search(r"finishing \d+ rows? in flight", shown))
    code = await terminal.end_of(process)

    assert code == 3
    assert "stopped: interrupted by SIGINT: in.jsonl → out.jsonl" in terminal.shown
    assert "Error" not in terminal.shown
    assert len(command.lines()) == len(set(command.names())) >= 10


def test_text_of_a_server_moves_no_cursor():
    every = "".join(map(chr, range(256)))

    assert not set(harmless(every)) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}
    assert harmless("a\tb\nc é 漢 🎉") == "a\tb\nc é 漢 🎉"
    assert one_line(" a\r\n\x1b[2Jb  c ") == "a \\u001b[2Jb c"
    assert harmless("a\r\nb\rc") == "a\nb\\u000dc"
    assert one_line("x" * 20, 10) == "x" * 9 + "…"
    assert one_line("key sk-abcdefgh12345678 here") == "key sk-… here"


@pytest.mark.parametrize("name", ["LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"])
def test_text_of_a_server_is_not_read_backwards(name: str):
    (mark,) = (sign for sign in map(chr, range(0x2000, 0x2070)) if unicodedata.bidirectional(sign) == name)
    shown = f"\\u{ord(mark):04x}"
    assert harmless(f"safe{mark}exe") == f"safe{shown}exe"
    assert plain(f"safe{mark}exe") == f"safe{shown}exe"
    error = status_error(
        400, {}, json.dumps({"error": {"message": f"a{mark}b", "type": f"c{mark}d"}}).encode(), now=0.0
    )
    assert mark not in f"{error} {error.type} {error.body}"
    assert f"a{shown}b" in str(error)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_rows_are_exported_as_they_are_and_shown_without_escapes(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
    form: str,
):
    await serve()
    command.write("in.jsonl", json.dumps({"custom_id": "a", "prompt": "x\x1b]0;owned\x07y\x9b2J\u202etxt"}))
    await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")
    exported = await command.run("batch", "export", "out.jsonl", "--format", form)
    process = await terminal.start(command, "batch", "export", "out.jsonl", "--format", form)
    await terminal.end_of(process)

    assert "\x9b2J\u202etxt" in exported.out
    assert "\\u009b2J\\u202etxt" in terminal.shown
    assert not {"\x07", "\x9b", "\u202e", "\x1b"} & set(terminal.shown)


@given(st.text())
def test_what_is_written_out_in_json_is_what_it_was(text: str):
    wire = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(harmless(wire)) == {"text": text}


@given(st.text())
def test_any_text_is_shown_without_what_a_terminal_obeys(text: str):
    shown = harmless(text)
    assert not any(unicodedata.category(sign) == "Cc" for sign in shown if sign not in "\t\n")
    assert not any(unicodedata.bidirectional(sign) in {"LRO", "RLO", "LRE", "RLE", "LRI", "RLI"} for sign in shown)
    assert plain(text).isprintable()


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "$0.00"), (0.0000123, "$0.000012"), (0.01234, "$0.0123"), (1.0, "$1.00"), (12345.678, "$12,345.68")],
)
def test_small_amounts_of_money_keep_their_digits(amount: float, shown: str):
    assert dollars(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (185, "3:05 min"), (7385, "2:03:05 h")]
)
def test_durations_are_told_in_fitting_units(seconds: float, shown: str):
    assert duration(seconds) == shown


def test_columns_are_as_wide_as_their_widest_cell():
    assert columns([("a", "bb"), ("ccc", "d\x1b")]) == "a    bb\nccc  d\\u001b\n"


def test_speed_is_that_of_the_last_seconds():
    def at(elapsed: float, requests: int) -> Progress:
        return Progress(
            total=None,
            done=requests,
            ok=requests,
            failed=0,
            resumed=0,
            in_flight=0,
            elapsed=elapsed,
            requests=requests,
            retried=0,
            prompt_tokens=2 * requests,
            cached_tokens=0,
            completion_tokens=requests,
            cost=0.0,
            last_error=None,
        )

    speed = Speed()

    assert speed.at(at(0.0, 0)) == (0.0, 0.0)
    assert speed.at(at(10.0, 1000)) == (100.0, 300.0)
    assert speed.at(at(20.0, 1100)) == (10.0, 30.0)


def test_without_uvloop_a_command_runs_on_the_loop_of_asyncio(monkeypatch: pytest.MonkeyPatch):
    async def loop_in_use() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with runner() as fast:
        assert isinstance(fast.run(loop_in_use()), uvloop.Loop)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with runner() as plain:
        assert isinstance(plain.run(loop_in_use()), asyncio.SelectorEventLoop)


def test_the_key_is_no_flag():
    assert not any("key" in name for name in ConnectionFlags.__dataclass_fields__)
