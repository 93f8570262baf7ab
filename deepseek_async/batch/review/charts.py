"""Charts as inline SVG with HTML labels. Pure.

The drawing is stretched to the available width and the labels are not, so text has the same size on every screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from deepseek_async.batch.review.distribution import Bar
from deepseek_async.text.number_format import duration

_GAP: Final = 0.12
"""Fraction of a bar's width left as a gap."""
_NARROWEST: Final = 2.0
"""Minimum ratio of the longest to the shortest duration on an axis."""


class Tick(msgspec.Struct, frozen=True):
    """A label at a position along an axis, from 0 to 1."""

    at: float
    text: str


def histogram(bars: Sequence[Bar], marks: Iterable[tuple[str, float]]) -> str:
    """Render bars on a logarithmic scale of seconds; ``marks`` are class names and the values to draw a line at."""
    if not bars:
        return ""
    # If all values are equal, draw a narrow bar in the middle instead of a full-width block.
    margin = max(1.0, math.sqrt(_NARROWEST * bars[0].low / bars[-1].high))
    lowest, longest = bars[0].low / margin, bars[-1].high * margin
    low, high = math.log(lowest), math.log(longest)
    highest, ticks = nice_scale(max(bar.count for bar in bars))
    drawn = [_grid(highest, ticks)]
    for bar in bars:
        if bar.count:
            left = 100 * (math.log(bar.low) - low) / (high - low)
            width = 100 * (math.log(bar.high) - math.log(bar.low)) / (high - low)
            height = max(100 * bar.count / highest, 0.8)
            title = f"{duration(bar.low)} to {duration(bar.high)}: {bar.count:,}"
            drawn.append(
                f'<rect class="bar" x="{left + width * _GAP / 2:.3f}" y="{100 - height:.3f}" '
                f'width="{width * (1 - _GAP):.3f}" height="{height:.3f}"><title>{title}</title></rect>',
            )
    for name, value in marks:
        if value > 0:
            at = min(max(100 * (math.log(value) - low) / (high - low), 0), 100)
            drawn.append(f'<line class="mark {name}" x1="{at:.3f}" x2="{at:.3f}" y1="0" y2="100"/>')
    return _chart(drawn, _y_ticks(highest, ticks), _duration_ticks(lowest, longest), "")


def area(values: Sequence[float], x_ticks: Sequence[Tick], bands: Iterable[tuple[float, float]] = ()) -> str:
    """Render equal time steps as a filled line; ``bands`` are shaded parts of the width, from 0 to 1."""
    highest, ticks = nice_scale(max(values, default=0.0))
    step = 100 / max(len(values), 1)
    points = []
    for place, value in enumerate(values):
        y = 100 - 100 * value / highest
        points += [f"{place * step:.2f},{y:.2f}", f"{(place + 1) * step:.2f},{y:.2f}"]
    path = " ".join(points)
    drawn = [
        f'<rect class="peak" x="{100 * left:.2f}" y="0" width="{100 * (right - left):.2f}" height="100"/>'
        for left, right in bands
    ]
    drawn += [
        _grid(highest, ticks),
        f'<polygon class="area" points="0,100 {path} 100,100"/>',
        f'<polyline class="line" points="{path}"/>',
    ]
    return _chart(drawn, _y_ticks(highest, ticks), x_ticks, " low")


def nice_scale(highest: float) -> tuple[float, list[float]]:
    """Return the end of an axis that includes ``highest``, and two or more round values along it."""
    if highest <= 0:
        return 1.0, [0.0, 1.0]
    rough = highest / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    steps = math.ceil(highest / step - 1e-9)
    return step * steps, [step * number for number in range(steps + 1)]


def _chart(drawn: Iterable[str], y_ticks: Iterable[Tick], x_ticks: Sequence[Tick], kind: str) -> str:
    ys = "".join(f'<span class="y" style="bottom:{100 * tick.at:.2f}%">{tick.text}</span>' for tick in y_ticks)
    xs = "".join(
        f'<span class="x{_edge(tick.at)}" style="left:{100 * tick.at:.2f}%">{tick.text}</span>' for tick in x_ticks
    )
    return (
        f'<div class="chart{kind}"><div class="ys">{ys}</div>'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(drawn)}<line class="base" x1="0" x2="100" y1="100" y2="100"/></svg>'
        f'<div class="xs">{xs}</div></div>'
    )


def _edge(at: float) -> str:
    """Return the class that keeps a label at the end of an axis inside it."""
    if at < 0.06:
        return " first"
    return " last" if at > 0.94 else ""


def _grid(highest: float, ticks: Iterable[float]) -> str:
    heights = (100 - 100 * tick / highest for tick in ticks if tick)
    return "".join(f'<line class="grid" x1="0" x2="100" y1="{y:.2f}" y2="{y:.2f}"/>' for y in heights)


def _y_ticks(highest: float, ticks: Iterable[float]) -> list[Tick]:
    return [Tick(tick / highest, _short(tick)) for tick in ticks]


def _short(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:g}M"
    return f"{number / 1e3:g}k" if number >= 1e4 else f"{number:,g}"


_ROUND: Final = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_LABELS: Final = 5


def _duration_ticks(low: float, high: float) -> list[Tick]:
    """Return round durations along a logarithmic axis, or its ends if there are none between them."""
    span = math.log(high) - math.log(low)
    inside = [value for value in _ROUND if low <= value <= high]
    if len(inside) < 2:
        inside = [low * 1.0001, math.sqrt(low * high), high * 0.9999]
    every = -(-len(inside) // _LABELS)
    return [Tick((math.log(value) - math.log(low)) / span, _seconds(value)) for value in inside[::every]]


def _seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.2g} ms" if value < 0.01 else f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    unit, name = (60, "min") if value < 3600 else (3600, "h")
    whole, rest = divmod(round(60 * value / unit), 60)
    return f"{whole}:{rest:02} {name}" if rest and whole < 10 else f"{value / unit:.0f} {name}"
