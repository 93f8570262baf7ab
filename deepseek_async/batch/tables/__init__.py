"""Answers as columns of a data frame, in the frame's own library."""

from deepseek_async.batch.tables.table_answers import TableAnswers

__all__ = ["TableAnswers"]
