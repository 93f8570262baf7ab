"""Number formatting for human readers. Pure."""

from __future__ import annotations


def dollars(amount: float) -> str:
    """Format US dollars with enough digits to show small amounts: a call may cost millionths of a dollar."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 else f"${amount:.6f}"


def duration(seconds: float) -> str:
    """Format seconds as ``4.2 s``, ``3:05 min`` or ``2:03:05 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def span(seconds: float) -> str:
    """Format seconds like ``duration``, but below 0.9995 s in milliseconds: ``58 ms``."""
    return f"{1000 * seconds:.0f} ms" if 0.001 <= seconds < 0.9995 else duration(seconds)


def rate(number: float) -> str:
    """Format a number per second, with one decimal below 100."""
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    """Format ``part`` of ``whole`` as a percentage, with one decimal near 0 and 100 %; a dash if ``whole`` is 0."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if 0 < percent < 10 or 90 < percent < 100 else f"{percent:.0f} %"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def count(number: float) -> str:
    """Format a integer with thousands separators; above a million in millions (M), then billions (G)."""
    if number >= 1e9:
        return f"{number / 1e9:,.2f} G"
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,.0f}"
