"""The figures that the project's README quotes, written into it from a full run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figures import Figures, Row

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- figures: written by scripts/bench -->"
END = "<!-- end of the figures -->"
COLUMNS = (
    ("ours", "deepseek_async"),
    ("openai", "openai-python"),
    ("litellm", "litellm"),
    ("tutorial", "a gather loop"),
)
ROWS = (
    # what it says, scenario, loop, figure, decimals
    ("CPU per plain call, µs", "plain", "uvloop", "cpu_us", 0),
    ("CPU per streamed chunk, µs (20 to a read)", "stream", "uvloop", "cpu_us", 1),
    ("CPU per streamed chunk, µs (one to a read)", "stream_paced_single", "uvloop", "cpu_us", 0),
    ("1,000 streams of 50 chunks a second: how late the latest 1 % are, ms", "live", "uvloop", "late_p99_ms", 0),
    ("Memory of an open stream, KB", "open", "uvloop", "kb_per_stream", 0),
    ("Memory of an open stream over TLS on asyncio's own loop, KB", "open_tls", "asyncio", "kb_per_stream", 0),
)
STANDS_IN = {"open": "tuned", "open_tls": "tuned"}
"""Where the gather loop takes no part, tuned aiohttp holds the same objects."""


def table(results: dict[str, Any]) -> str:
    """The table, as Markdown."""
    lines = ["| " + " | ".join(["", *(heading for _, heading in COLUMNS)]) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for words, scenario, loop, key, decimals in ROWS:
        figures = Figures(results["runs"], scenario)
        cells = [_cell(figures, _contestant(name, scenario), loop, key, decimals) for name, _ in COLUMNS]
        lines.append("| " + " | ".join([words, *cells]) + " |")
    return "\n".join(lines)


def _contestant(name: str, scenario: str) -> str:
    return STANDS_IN.get(scenario, name) if name == "tutorial" else name


def _cell(figures: Figures, contestant: str, loop: str, key: str, decimals: int) -> str:
    spread = figures.spread(Row(contestant, loop, ""), key)
    return "" if spread is None else f"{spread.median:,.{decimals}f}"


def rewritten(text: str, results: dict[str, Any]) -> str:
    """The README's ``text`` with the figures of ``results``."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"
