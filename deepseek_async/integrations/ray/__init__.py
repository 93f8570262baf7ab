"""Ray, for those who outgrow one machine: rows of a ``ray.data.Dataset``, and jobs from file to file.

Needs the extra ``ray`` on every node: ``pip install "deepseek-async[ray]"``.
"""

from deepseek_async.integrations.ray.answers import Answers, answered

__all__ = ["Answers", "answered"]
