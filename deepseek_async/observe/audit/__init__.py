"""Which call was made with which settings, what came of it and what it cost: kept for as long as it may be."""

from deepseek_async.observe.audit.log import AuditLog, audit_folder
from deepseek_async.observe.audit.record import config_id

__all__ = ["AuditLog", "audit_folder", "config_id"]
