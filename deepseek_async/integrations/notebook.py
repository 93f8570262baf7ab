"""Jupyter notebooks: the progress of a job as one line in the output of its cell.

``client.batch.table`` shows the line by itself. For a job from file to file, pass it:
``await client.batch.run("in.csv", "out.jsonl", on_progress=ProgressLine())``. Outside a notebook it shows nothing.
Answers, batch reports and ``client.statistics()`` are shown as HTML when they end a cell; their text is escaped.
"""

from deepseek_async.batch.progress_line import ProgressLine

__all__ = ["ProgressLine"]
