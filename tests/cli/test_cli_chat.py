"""``chat``: one question, and a conversation on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from command_line import CommandLine, Serve, Terminal

from deepseek_async.cli.conversation import History
from deepseek_async.simulator import Fault, FaultKind
from deepseek_async.types import ChatCompletionMessage


async def test_one_question_writes_the_answer_alone_to_stdout(command: CommandLine, serve: Serve):
    simulator = await serve()

    ended = await command.run("chat", "Why is the sky blue?", "--system", "Be brief.", "--model", "deepseek-v4-pro")

    assert ended.code == 0
    assert ended.out.startswith("Answer to: Why is the sky blue?")
    assert ended.out.endswith("\n")
    assert ended.err == ""
    body = simulator.requests[0].body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why is the sky blue?"},
    ]
    assert (body["model"], body["stream"], "thinking" in body) == ("deepseek-v4-pro", True, False)


async def test_a_question_may_be_given_as_a_flag_or_piped_in(command: CommandLine, serve: Serve):
    simulator = await serve()

    flag = await command.run("chat", "--once", "First?", "--thinking", "off")
    piped = await command.run("chat", stdin="Second?\nOn two lines.\n")

    assert flag.out.startswith("Answer to: First?")
    assert piped.out.startswith("Answer to: Second?\nOn two lines.")
    assert simulator.requests[0].body["thinking"] == {"type": "disabled"}


def test_an_empty_question_is_wrong_usage(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))

    assert refused("chat") == "error: the prompt is empty: give it as an argument or on stdin\n"
    assert refused("chat", "") == "error: the prompt is empty: give it as an argument or on stdin\n"


async def test_terminal_escapes_of_the_answer_are_written_out(command: CommandLine, serve: Serve):
    await serve()

    ended = await command.run("chat", "x\x1b]0;owned\x07y\x9b2Jz\tt\nn\u202etxt")

    assert "Answer to: x\\u001b]0;owned\\u0007y\\u009b2Jz\tt\nn\\u202etxt" in ended.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(ended.out)


async def test_a_pipe_gets_the_answer_as_it_is_when_asked_raw(command: CommandLine, serve: Serve):
    await serve()

    ended = await command.run("chat", "--raw", "x\x1b[31my\r\nz\u202etxt")

    assert "Answer to: x\x1b[31my\r\nz\u202etxt" in ended.out.replace("\n", "\r\n").replace("\r\r", "\r")


async def test_a_terminal_gets_no_escapes_of_an_answer_even_when_asked_raw(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    await serve()
    process = await terminal.start(command, "chat", "--raw", "x\x1b]0;owned\x07y\u202etxt")
    await terminal.end_of(process)

    assert "x\\u001b]0;owned\\u0007y\\u202etxt" in terminal.shown
    assert not {"\x07", "\u202e"} & set(terminal.shown)


async def test_an_answer_that_the_terminal_cannot_spell_is_no_traceback(command: CommandLine, serve: Serve):
    await serve()
    command.environment["PYTHONIOENCODING"] = "ascii"

    ended = await command.run("chat", "Größe?")

    assert ended.code == 0
    assert ended.out.startswith("Answer to: Gr??e?")


def test_piped_text_in_another_encoding_is_wrong_usage(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Gr\xf6\xdfe?"), encoding="utf-8"))

    assert refused("chat") == "error: stdin must be UTF-8\n"


async def test_a_refused_question_is_one_line_and_code_1(command: CommandLine, serve: Serve):
    await serve(api_keys=frozenset({"sk-another"}))

    ended = await command.run("chat", "Hello?")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


async def test_reasoning_is_shown_on_a_terminal_and_not_in_the_answer(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    await serve()
    data = command.folder / "stdout"
    with data.open("wb") as file:
        process = await terminal.start(command, "chat", "Why?", stdout=file)
    code = await terminal.end_of(process)

    assert code == 0
    assert data.read_text().startswith("Answer to: Why?")
    assert "Answer to" not in terminal.shown
    assert "\x1b[2m" in terminal.shown
    assert "reasoning), $" not in terminal.shown
    assert " tokens in (0 cached) · " in terminal.shown
    assert " reasoning) · $0.0000" in terminal.shown


async def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    simulator = await serve(answer_tokens=4000, answer_spread=0.0, tokens_per_second=100.0)
    process = await terminal.start(command, "chat", "--thinking", "off", "--system", "Be long.")
    await terminal.until("> ")
    terminal.type("First question\r")
    await terminal.until("Answer to: First question")
    terminal.type("\x03")
    await terminal.until("stopped; the partial answer is kept")
    await simulator.until(lambda now: now.in_flight == 0)
    terminal.type("Second question\r")
    await terminal.until("Answer to: Second question")
    terminal.type("\x03")
    # The line editor must be back: a Ctrl-D typed before it is lost in the change of the terminal's mode.
    await terminal.until(lambda shown: shown.count("stopped;") == 2 and shown.rstrip().endswith(">"))
    terminal.type("\x04")
    code = await terminal.end_of(process)

    assert code == 0
    first, second = (record.body["messages"] for record in simulator.requests)
    assert second[: len(first)] == first  # so the prefix cache serves it
    assert second[2]["role"] == "assistant"
    assert second[2]["content"].startswith("Answer to: First question")
    assert second[2]["content"].endswith(" […truncated here]")
    assert simulator.statistics().aborted == 2


async def test_a_question_whose_answer_nobody_saw_is_taken_back(command: CommandLine, serve: Serve, terminal: Terminal):
    simulator = await serve(queue_seconds=1000.0)
    process = await terminal.start(command, "chat")
    await terminal.until("> ")
    terminal.type("Lost question\r")
    await simulator.until(lambda now: now.in_flight == 1)
    terminal.type("\x03")
    await terminal.until("stopped; the question was removed")
    terminal.type("Next question\r")
    await simulator.until(lambda now: now.requests == 2 and now.in_flight == 1)
    terminal.type("\x03")
    await terminal.until(lambda shown: shown.count("stopped;") == 2)
    terminal.type("/quit\r")
    code = await terminal.end_of(process)

    assert code == 0
    assert simulator.requests[1].body["messages"] == [{"role": "user", "content": "Next question"}]


async def test_after_an_error_the_conversation_goes_on_and_new_begins_another(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    simulator = await serve()
    # Twice: a server that is no DeepSeek is asked again without asking for the usage.
    simulator.script(*[Fault(FaultKind.BAD_REQUEST)] * 2)
    process = await terminal.start(command, "chat")
    await terminal.until("> ")
    await terminal.press_until("\x03", lambda shown: shown.count("/quit or Ctrl-D exits") >= 2 and shown.endswith("> "))
    for number, question in enumerate(("Refused", "Answered", "/new", "Fresh")):
        terminal.type(f"{question}\r")
        await terminal.until(["error: ", "Answer to: Answered", "a new conversation", "Answer to: Fresh"][number])
    await terminal.until(lambda shown: shown.count(" tokens in ") == 2)
    terminal.type("/quit\r")
    code = await terminal.end_of(process)

    assert code == 0
    assert [record.body["messages"] for record in simulator.requests] == [
        [{"role": "user", "content": question}] for question in ("Refused", "Refused", "Answered", "Fresh")
    ]


async def test_a_wrong_key_ends_the_conversation(command: CommandLine, serve: Serve, terminal: Terminal):
    await serve(api_keys=frozenset({"sk-another"}))
    process = await terminal.start(command, "chat")
    await terminal.until("> ")
    terminal.type("Hello\r")
    code = await terminal.end_of(process)

    assert code == 1
    assert "error: " in terminal.shown
    assert "Traceback" not in terminal.shown


async def test_a_conversation_into_a_file_leaves_the_answers_alone_in_it(
    command: CommandLine,
    serve: Serve,
    terminal: Terminal,
):
    await serve()
    data = command.folder / "stdout"
    with data.open("wb") as file:
        process = await terminal.start(command, "chat", "--thinking", "off", stdout=file)
    await terminal.until("> ")
    terminal.type("Hello\r")
    await terminal.until(" tokens in ")
    await terminal.until(lambda shown: shown.endswith("> "))
    terminal.type("\x04")
    code = await terminal.end_of(process)

    assert code == 0
    assert data.read_text().startswith("Answer to: Hello")
    assert ">" not in data.read_text()


def test_a_history_only_grows_at_its_end():
    history = History("Be kind.")
    history.ask("one")
    history.answered("1")
    kept = list(history.messages)
    history.ask("two")
    assert not history.broken("")
    assert history.messages == kept
    history.ask("three")
    assert history.broken("par")

    assert history.messages[: len(kept)] == kept
    assert history.messages[-1] == {"role": "assistant", "content": "par […truncated here]"}
    history.forget()
    assert history.messages == [{"role": "system", "content": "Be kind."}]


async def test_a_search_is_asked_for_by_a_flag_and_its_sources_stay_out_of_stdout(command: CommandLine, serve: Serve):
    simulator = await serve()

    ended = await command.run("chat", "What is new in Oslo?", "--search", "--thinking", "off")

    assert [tool["type"] for tool in simulator.requests[0].body["tools"]] == [
        "deepseek_web_search",
        "deepseek_read_url",
    ]
    assert ended.out.startswith("Answer to: What is new in Oslo?")
    assert "example.org" not in ended.out


async def test_an_answer_that_the_service_withdraws_is_told_as_that(command: CommandLine, serve: Serve):
    await serve()

    ended = await command.run("chat", "Say something, unsafe output", "--safety-check", "high")

    assert "the service's content check withdrew this answer" in ended.err


def test_the_conversation_keeps_the_models_own_message():
    history = History(None)
    message = ChatCompletionMessage(content="1")
    history.ask("a")
    history.answered(message)
    assert history.messages[-1] is message
