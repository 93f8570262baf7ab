"""Audit log: settings, outcome and cost of every call, with limited retention."""

from deepseek_async.observe.audit.log import AuditLog, audit_folder
from deepseek_async.observe.audit.record import config_id

__all__ = ["AuditLog", "audit_folder", "config_id"]
