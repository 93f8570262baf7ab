"""Linter for requests: finds what DeepSeek would reject with a 400, or accept and ignore. Pure."""

from deepseek_async.lint.api_facts import since
from deepseek_async.lint.finding import Finding, IgnoredParameterWarning, LintMode, RequestLintWarning
from deepseek_async.lint.linter import Linter

__all__ = ["Finding", "IgnoredParameterWarning", "LintMode", "Linter", "RequestLintWarning", "since"]
