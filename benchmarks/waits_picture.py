"""Histograms of waits, one below the other. SVG by hand, readable on light and dark pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_HEIGHT: Final = 110
_LEFT: Final = 20
_BIN: Final = 0.1
"""Seconds of a bar."""
_STYLE: Final = """
  .ground { fill: #fff } .text { fill: #333; font: 12px sans-serif } .bar { fill: #0b7a4b } .axis { stroke: #999 }
  @media (prefers-color-scheme: dark) { .ground { fill: #15181c } .text { fill: #ccc } .axis { stroke: #555 } }
"""


def draw(waits: Mapping[str, Sequence[float]], caption: str) -> str:
    """The whole picture: a histogram for each name."""
    longest = max(max(each) for each in waits.values())
    whole = max(1, int(longest) + 1)
    scale = (_WIDTH - 2 * _LEFT) / whole
    height = 30 + len(waits) * (_HEIGHT + 34)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(caption)}</title><style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        f'<text class="text" x="{_LEFT}" y="18">{escape(caption)}</text>',
    ]
    for row, (name, each) in enumerate(waits.items()):
        base = 30 + row * (_HEIGHT + 34) + _HEIGHT
        bars = Counter(int(max(0.0, wait) / _BIN) for wait in each)
        most = max(bars.values())
        for place, count in sorted(bars.items()):
            tall = (_HEIGHT - 20) * count / most
            x, wide = _LEFT + place * _BIN * scale, max(1.0, _BIN * scale - 1)
            parts.append(
                f'<rect class="bar" x="{x:.1f}" y="{base - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
            )
        ordered = sorted(each)
        half, last = ordered[len(each) // 2], ordered[int(0.99 * len(each))]
        words = f"{name}: half within {half:.2f} s, 99 of 100 within {last:.2f} s"
        parts.append(f'<path class="axis" d="M{_LEFT} {base}h{_WIDTH - 2 * _LEFT}"/>')
        parts.append(f'<text class="text" x="{_WIDTH - _LEFT}" y="{base - _HEIGHT + 24}" text-anchor="end">')
        parts.append(f"{escape(words)}</text>")
        for second in range(whole + 1):
            x = _LEFT + second * scale
            parts.append(f'<text class="text" x="{x:.1f}" y="{base + 16}" text-anchor="middle">{second} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
