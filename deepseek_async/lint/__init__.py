"""Requests looked over before they are sent: what DeepSeek would refuse with a 400, or take and not do. Pure."""

from deepseek_async.lint.facts import since
from deepseek_async.lint.finding import Finding, IgnoredParameterWarning, LintMode, RequestLintWarning
from deepseek_async.lint.linter import Linter

__all__ = ["Finding", "IgnoredParameterWarning", "LintMode", "Linter", "RequestLintWarning", "since"]
