"""What protects a service that is down from us: the circuit breaker and the retry credit. Pure."""

from deepseek_async.admission.outage.breaker import Breaker, BreakerPolicy, State
from deepseek_async.admission.outage.credit import RetryCredit

__all__ = ["Breaker", "BreakerPolicy", "RetryCredit", "State"]
