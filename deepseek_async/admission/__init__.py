"""May this attempt start now, and what will it owe? Every attempt passes its model's limiter and ends its ``Lease``."""

from deepseek_async.admission.account_limiter import AccountLimiter
from deepseek_async.admission.lease import Lease
from deepseek_async.admission.model_limiter import ModelLimiter
from deepseek_async.admission.model_limits import Blame
from deepseek_async.admission.outage.breaker import BreakerPolicy

__all__ = ["AccountLimiter", "Blame", "BreakerPolicy", "Lease", "ModelLimiter"]
