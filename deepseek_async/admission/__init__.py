"""Admission control. Every attempt passes its model's limiter, which grants a ``Lease``, and ends that lease."""

from deepseek_async.admission.account_limiter import AccountLimiter
from deepseek_async.admission.lease import Lease
from deepseek_async.admission.model_limiter import ModelLimiter
from deepseek_async.admission.model_limits import Blame
from deepseek_async.admission.outage.breaker import BreakerPolicy

__all__ = ["AccountLimiter", "Blame", "BreakerPolicy", "Lease", "ModelLimiter"]
