"""Ray integration: answers for rows of a ``ray.data.Dataset``, and batch jobs on a cluster.

Requires the extra ``ray`` on every node: ``pip install "deepseek-async[ray]"``.
"""

from deepseek_async.integrations.ray.answers import Answers, answered

__all__ = ["Answers", "answered"]
