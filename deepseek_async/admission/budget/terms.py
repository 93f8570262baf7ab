"""What the user says about a budget, checked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from deepseek_async.errors import ConfigurationError

AtCap = Literal["error", "wait", "cheaper"]


def checked_daily(daily: float) -> float:
    """US dollars a day. Raises ConfigurationError."""
    if isinstance(daily, bool) or not isinstance(daily, int | float) or not 0 < daily < 1e9:
        raise ConfigurationError(f"budget.daily must be US dollars above 0, not {daily!r}")
    return float(daily)


def checked_at_cap(at_cap: AtCap, cheaper_model: str | None) -> AtCap:
    """What happens to a call that does not fit. Raises ConfigurationError."""
    if at_cap not in {"error", "wait", "cheaper"}:
        raise ConfigurationError(f"budget.at_cap must be error, wait or cheaper, not {at_cap!r}")
    if at_cap == "cheaper" and not cheaper_model:
        raise ConfigurationError("budget.at_cap 'cheaper' needs budget.cheaper_model, for example 'deepseek-flash'")
    return at_cap


def checked_alerts(alerts: Iterable[float]) -> tuple[float, ...]:
    """Shares of the budget, sorted. Raises ConfigurationError."""
    shares = tuple(sorted(alerts))
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigurationError(f"budget.alerts must be shares above 0 and up to 1, not {share!r}")
    return shares
