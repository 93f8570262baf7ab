"""Validation of budget settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from deepseek_async.errors import ConfigurationError

AtCap = Literal["error", "wait", "cheaper"]


def checked_daily(daily: float) -> float:
    """Return US dollars per day. Raises ConfigurationError."""
    if isinstance(daily, bool) or not isinstance(daily, int | float) or not 0 < daily < 1e9:
        raise ConfigurationError(f"budget.daily must be US dollars above 0, got {daily!r}")
    return float(daily)


def checked_at_cap(at_cap: AtCap, cheaper_model: str | None) -> AtCap:
    """Return the action for a call that does not fit. Raises ConfigurationError."""
    if at_cap not in {"error", "wait", "cheaper"}:
        raise ConfigurationError(f"budget.at_cap must be error, wait or cheaper, got {at_cap!r}")
    if at_cap == "cheaper" and not cheaper_model:
        raise ConfigurationError("budget.at_cap 'cheaper' requires budget.cheaper_model, for example 'deepseek-flash'")
    return at_cap


def checked_alerts(alerts: Iterable[float]) -> tuple[float, ...]:
    """Return sorted shares of the budget. Raises ConfigurationError."""
    shares = tuple(sorted(alerts))
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigurationError(f"budget.alerts must be shares above 0 and up to 1, got {share!r}")
    return shares
