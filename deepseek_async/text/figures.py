"""How figures are written for people. Pure."""

from __future__ import annotations


def dollars(amount: float) -> str:
    """Money with as many digits as it takes to see something: small calls cost millionths of a dollar."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 else f"${amount:.6f}"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3:05 min`` or ``2:03:05 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def span(seconds: float) -> str:
    """A duration of which also the small ones matter: ``58 ms``, else as ``duration`` writes it."""
    return f"{1000 * seconds:.0f} ms" if 0.001 <= seconds < 0.9995 else duration(seconds)


def rate(number: float) -> str:
    """A figure a second, with one decimal while that says something."""
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    """A percentage with as many digits as say something; a dash of nothing."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if 0 < percent < 10 or 90 < percent < 100 else f"{percent:.0f} %"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def count(number: float) -> str:
    """A whole number with its thousands apart; above a million in millions."""
    if number >= 1e9:
        return f"{number / 1e9:,.2f} G"
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,.0f}"
