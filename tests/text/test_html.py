"""What a notebook shows of answers, reports and statistics: everything in it may have been written by anybody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from deepseek_async import APIError
from deepseek_async.admission.statistics import Statistics
from deepseek_async.batch import BatchReport, BatchResult, Progress
from deepseek_async.batch.progress_line import ProgressLine, line_in_notebook
from deepseek_async.types import ChatCompletion, Completion, Message, Response
from deepseek_async.types.chat_completion import ChatCompletionMessage, Choice, Function, ToolCall
from deepseek_async.types.completion import CompletionChoice
from deepseek_async.types.message import TextBlock, ThinkingBlock, ToolUseBlock
from deepseek_async.types.response import ResponseContent, ResponseOutputItem

HOSTILE = "<img src=x onerror=\"alert(1)\"></pre><script>alert('2')</script> $x$ &amp; \u202e \ud800"
SHOWN = HOSTILE.replace("\ud800", "?")
OURS = {"div", "pre", "details", "summary", "small", "table", "thead", "tbody", "tr", "th", "td", "progress"}

PROGRESS = Progress(
    total=3,
    done=2,
    ok=1,
    failed=1,
    resumed=0,
    in_flight=1,
    elapsed=1.0,
    requests=2,
    retried=0,
    prompt_tokens=1,
    cached_tokens=0,
    completion_tokens=1,
    cost=0.5,
    last_error=None,
)


class Reader(HTMLParser):
    """Collects the elements and the text of a page, and that what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "dir", "max", "value"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def chat() -> ChatCompletion:
    call = ToolCall(function=Function(name=HOSTILE, arguments=HOSTILE))
    message = ChatCompletionMessage(content=HOSTILE, reasoning_content=HOSTILE, tool_calls=[call])
    return ChatCompletion(model=HOSTILE, choices=[Choice(message=message, finish_reason=HOSTILE)])


def failed() -> BatchResult:
    return BatchResult(index=1, custom_id=HOSTILE, error=APIError(HOSTILE))


SHOWABLE = {
    "chat": chat(),
    "completion": Completion(model=HOSTILE, choices=[CompletionChoice(text=HOSTILE)]),
    "response": Response(
        model=HOSTILE,
        output=[
            ResponseOutputItem(type="message", content=[ResponseContent(type="output_text", text=HOSTILE)]),
            ResponseOutputItem(type="function_call", name=HOSTILE, arguments=HOSTILE),
        ],
    ),
    "message": Message(
        model=HOSTILE,
        content=[
            ThinkingBlock(thinking=HOSTILE),
            TextBlock(text=HOSTILE),
            ToolUseBlock(name=HOSTILE, input={"a": "<b>"}),
        ],
    ),
    "row": BatchResult(index=0, custom_id=HOSTILE, answer=chat(), model=HOSTILE, cost=0.001),
    "failed row": failed(),
    "report": BatchReport(
        progress=PROGRESS,
        failures={HOSTILE: 1},
        resumed_failed=0,
        damaged=0,
        stopped=HOSTILE,
        warnings=[HOSTILE],
        first_failures=[failed()],
    ),
    "statistics": Statistics(base_url=HOSTILE, stopped_by=HOSTILE),
}


@pytest.mark.parametrize("name", SHOWABLE)
def test_hostile_text_is_shown_as_text(name: str):
    page = SHOWABLE[name]._repr_html_()  # type: ignore[attr-defined]

    page.encode()  # a notebook sends UTF-8
    read = Reader(page)
    assert set(read.elements) <= OURS
    assert SHOWN in read.text


def test_an_answer_without_text_is_shown_by_its_facts():
    assert "empty-model" in ChatCompletion(model="empty-model", choices=[Choice()])._repr_html_()
    assert ChatCompletion()._repr_html_() == ""


class Cell:
    """The output of a notebook's cell: what ``display`` has shown there, by handle."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []

    def display(self, line: Any, *, display_id: bool) -> Any:
        assert display_id
        versions = [line._repr_html_()]
        self.shown.append(versions)
        return SimpleNamespace(update=lambda line: versions.append(line._repr_html_()))


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    """A cell as IPython's display protocol sees it; a real kernel runs in tests/interop."""
    cell = Cell()
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=cell.display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
    return cell


def test_the_progress_of_a_cell_is_one_line_that_updates_in_place(cell: Cell):
    line = line_in_notebook()
    assert line is not None
    for _ in range(3):
        line(PROGRESS)

    ((first, second, third),) = cell.shown
    assert first == second == third
    assert Reader(first).text == " 2 of 3 rows · 1 failed · $0.5000 · 1.0 s · 1 in flight"


def test_outside_a_notebook_nothing_is_shown(capsys: pytest.CaptureFixture[str]):
    ProgressLine()(PROGRESS)

    assert line_in_notebook() is None
    assert capsys.readouterr() == ("", "")
