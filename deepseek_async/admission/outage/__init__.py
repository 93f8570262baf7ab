"""Outage protection: circuit breaker and retry credit, which keep load off a failing service. Pure."""

from deepseek_async.admission.outage.breaker import Breaker, BreakerPolicy, State
from deepseek_async.admission.outage.retry_credit import RetryCredit

__all__ = ["Breaker", "BreakerPolicy", "RetryCredit", "State"]
