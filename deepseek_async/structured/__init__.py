"""Answers as objects of a class of the caller's."""

from deepseek_async.structured.form import AnswerForm, Method
from deepseek_async.structured.output import StructuredOutput

__all__ = ["AnswerForm", "Method", "StructuredOutput"]
