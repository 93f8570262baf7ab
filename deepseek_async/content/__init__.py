"""Content filter for requests and answers: built-in patterns and custom checks."""

from deepseek_async.content.decision import Block, Check, Decision, Flag, Replace, Verdict
from deepseek_async.content.filter import ContentFilter
from deepseek_async.content.hold_back import HoldBack

__all__ = ["Block", "Check", "ContentFilter", "Decision", "Flag", "HoldBack", "Replace", "Verdict"]
