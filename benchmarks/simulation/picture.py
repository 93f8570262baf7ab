"""A picture of runs: the window over the hidden limit. SVG by hand, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 960
_HEIGHT: Final = 190
_LEFT: Final = 56
_RIGHT: Final = 14
_TOP: Final = 34
_GAP: Final = 22
_STYLE: Final = """
  .ground { fill: #fff } .text { fill: #333; font: 12px sans-serif } .title { font-weight: bold }
  .grid { stroke: #ddd } .limit { fill: #dbe7f5; stroke: #7d9cc4 } .line { fill: none; stroke-width: 1.4 }
  .refusal { stroke: #d4351c }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #15181c } .text { fill: #ccc } .grid { stroke: #333 }
    .limit { fill: #22344d; stroke: #4c6d99 }
  }
"""


@dataclass(frozen=True)
class Line:
    """One controller's window over time: (second, size)."""

    name: str
    colour: str
    points: Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Panel:
    """One trace: the hidden limit, windows over it, and when ours was refused."""

    title: str
    limit: Sequence[tuple[float, int]]
    lines: Sequence[Line]
    refused_at: Sequence[float]


def draw(panels: Sequence[Panel], caption: str) -> str:
    """The whole picture as an SVG document."""
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 18
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(caption)}</title><style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        _legend(panels[0]),
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {_TOP + number * (_HEIGHT + _GAP)})">{_panel(panel)}</g>')
    parts.append(f'<text class="text" x="{_LEFT}" y="{height - 8}">{escape(caption)}</text></svg>')
    return "\n".join(parts) + "\n"


def _legend(panel: Panel) -> str:
    entries = [
        f'<rect class="limit" x="{_LEFT}" y="10" width="14" height="10"/>',
        _text(_LEFT + 20, 19, "hidden limit"),
    ]
    x = _LEFT + 120
    for line in panel.lines:
        entries.append(f'<path class="line" stroke="{line.colour}" d="M{x} 15h16"/>')
        entries.append(_text(x + 22, 19, line.name))
        x += 40 + 8 * len(line.name)
    entries.append(f'<path class="refusal" d="M{x} 10v10"/>')
    entries.append(_text(x + 8, 19, "our attempts answered 429"))
    return "".join(entries)


def _panel(panel: Panel) -> str:
    until = panel.limit[-1][0]
    top = 1.18 * max(size for _, size in panel.limit)
    width = _WIDTH - _LEFT - _RIGHT
    base = _HEIGHT - 24

    def x(second: float) -> str:
        return f"{_LEFT + width * second / until:.1f}"

    def y(size: float) -> str:
        return f"{base - (base - 14) * min(size, top) / top:.1f}"

    limit = "".join(f"L{x(second)} {y(size)}" for second, size in panel.limit)
    parts = [f'<path class="limit" d="M{x(0)} {y(0)}{limit}L{x(until)} {y(0)}Z"/>']
    for share in (0.5, 1.0):
        size = share * max(limit for _, limit in panel.limit)
        parts.append(f'<path class="grid" d="M{_LEFT} {y(size)}h{width}"/>')
        parts.append(_text(_LEFT - 6, float(y(size)) + 4, f"{size:.0f}", anchor="end"))
    seconds = range(0, int(until) + 1, 200)
    parts += [_text(float(x(second)), base + 18, f"{second} s", anchor="middle") for second in seconds]
    for line in panel.lines:
        points = " ".join(f"{x(second)},{y(size)}" for second, size in line.points)
        parts.append(f'<polyline class="line" stroke="{line.colour}" points="{points}"/>')
    # Refusals that would be drawn over each other are drawn once.
    ticks = dict.fromkeys(x(second) for second in panel.refused_at)
    parts.append('<path class="refusal" d="' + "".join(f"M{tick} {base + 1}v5" for tick in ticks) + '"/>')
    parts.append(_text(_LEFT, 9, panel.title, style="text title"))
    return "".join(parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start", style: str = "text") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
