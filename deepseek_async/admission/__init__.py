"""May this attempt start now, and what will it owe? Every attempt passes ``Gate.admit`` and ends its ``Lease``."""

from deepseek_async.admission.gate import Gate
from deepseek_async.admission.lease import Lease

__all__ = ["Gate", "Lease"]
