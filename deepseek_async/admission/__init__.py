"""May this attempt start now, and what will it owe? Every attempt passes its scope's doors and ends its ``Lease``."""

from deepseek_async.admission.gate import Gate
from deepseek_async.admission.lease import Blame, Lease
from deepseek_async.admission.outage.breaker import BreakerPolicy
from deepseek_async.admission.scope import Scope

__all__ = ["Blame", "BreakerPolicy", "Gate", "Lease", "Scope"]
