"""The report page in a real browser, wide and on a telephone: nothing overlaps, overflows or loads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from answers import answered, failed, lifelike, written
from support.browser import Browser

from deepseek_async.batch.review.job_summary import account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.page import page
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.pricing.prices import price_table

WIDTHS = [1280, 390]

OUTSIDE = """[...document.querySelectorAll('body *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && (box.left < -0.5 || box.right > innerWidth + 0.5);
}).map(element => element.tagName + '.' + (element.getAttribute('class') || ''))"""

CLIPPED = """[...document.querySelectorAll('h1, h2, h3, p, dd, dt, td, th, li, code')].filter(element =>
    element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline'
).map(element => element.textContent)"""

TOUCHING = """(() => {
    const touching = [];
    for (const labels of document.querySelectorAll('.xs, .ys')) {
        const boxes = [...labels.children].map(label => [label.textContent, label.getBoundingClientRect()]);
        for (const [one, a] of boxes) for (const [other, b] of boxes)
            if (one < other && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
                touching.push(one + ' / ' + other);
    }
    return touching;
})()"""

SMALL = """[...document.querySelectorAll('body *')].filter(element =>
    element.children.length === 0 && element.textContent.trim() && !element.closest('svg') &&
    parseFloat(getComputedStyle(element).fontSize) < 12
).map(element => element.textContent)"""


def made(folder: Path, lines: Any, name: str = "answers.jsonl") -> Path:
    output = OutputReader(written(folder / name, lines))
    output.read()
    target = folder / "report.html"
    text = page(account_of(LatestRun(output), price_table()), price_table(), name=name, damaged=output.damaged)
    target.write_text(text, encoding="utf-8")
    return target


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as opened:
        yield opened


async def test_the_page_looks_right_wide_and_narrow(browser: Browser, tmp_path: Path):
    report = made(tmp_path, lifelike())
    for width in WIDTHS:
        await browser.open(report, width)
        assert await browser.measure("innerWidth") == width
        assert await browser.measure("document.documentElement.scrollWidth") <= width
        assert await browser.measure(OUTSIDE) == []
        assert await browser.measure(CLIPPED) == []
        assert await browser.measure(TOUCHING) == []
        assert await browser.measure(SMALL) == []
        heights = await browser.measure(
            "[...document.querySelectorAll('rect.bar')].map(bar => bar.getBoundingClientRect().height)",
        )
        assert len(heights) >= 10
        assert max(heights) > 100

        picture = await browser.screenshot()
        assert picture.width == width
        assert picture.height >= 1500
        whole, colours = picture.width * picture.height, picture.colours
        assert colours[0xF6F5F1] > 0.05 * whole  # the page around the cards
        assert colours[0xFFFFFF] > 0.4 * whole  # the cards
        for kind in (0x2F9E77, 0x2B6CB0, 0x8C6FC4, 0xD98324):
            assert colours[kind] > 300  # each kind of token in its bar; blue in the chart too
        assert colours[0xC2413A] > 100  # failures

    pages = {address for address in browser.requests if not address.startswith(("data:", "about:"))}
    assert pages == {report.as_uri()}
    assert browser.complaints == []


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no row"),
        pytest.param([answered(0)], id="one row"),
        pytest.param([answered(0, latency=0.0001), answered(1, latency=80_000.0)], id="from microseconds to a day"),
        pytest.param([answered(0, started=None)], id="no times"),
        pytest.param([answered(0, model="x" * 200, prompt_tokens=10**10)], id="large figures and a long name"),
    ],
)
async def test_a_strange_job_has_a_page_that_fits_too(browser: Browser, tmp_path: Path, lines: list[bytes]):
    report = made(tmp_path, lines, name="an-output-with-quite-a-long-name-that-nobody-would-type-by-hand-twice.jsonl")
    for width in WIDTHS:
        await browser.open(report, width)
        assert await browser.measure("document.documentElement.scrollWidth") <= width
        assert await browser.measure(OUTSIDE) == []
        assert await browser.measure(TOUCHING) == []
        assert await browser.measure("document.querySelectorAll('.tile').length") == 6


class _Loads(HTMLParser):
    """Collects whatever would load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"}:
            self.found.append(tag)
        self.found += [name for name, _ in attrs if name in {"src", "href", "srcset"} or name.startswith("on")]


def test_the_page_needs_nothing_and_shows_what_others_wrote_as_text(tmp_path: Path):
    text = made(tmp_path, lifelike()).read_text(encoding="utf-8")
    loads = _Loads()
    loads.feed(text)

    assert loads.found == []
    assert "url(" not in text
    assert "@import" not in text
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_of_one_row_says_it_as_one_does(tmp_path: Path):
    text = made(tmp_path, [answered(0, model="nobody-knows", finish_reason="length", latency=0.25)]).read_text("utf-8")

    charged = "Unknown price for 1 answer; charged: nobody-knows as deepseek-v4-pro"
    for said in ("of 1 row<", "1 request.", "1 answer was truncated", charged):
        assert said in text, said
    assert "Since the first request." in text
    assert "250 ms" in text
    assert "No answers." in made(tmp_path, [failed(0)]).read_text("utf-8")


def test_the_page_says_what_the_account_says(tmp_path: Path):
    text = made(tmp_path, lifelike()).read_text(encoding="utf-8")

    for said in (
        "answers were truncated at max_tokens",
        "BadRequestError",
        "APITimeoutError",
        "Predicted by the row order",
        "by off-peak hours",
        "peak prices",
        "deepseek-v4-pro",
        "of them retries",
        "2026-11-24 00:20 to 0",
    ):
        assert said in text, said
