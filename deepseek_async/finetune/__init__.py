"""Training data for fine-tuning: validation of dialogues and split into training and validation files.

    from deepseek_async.finetune import prepare

    summary = prepare("dialogues.jsonl")

Blocking file I/O; in an asyncio program call it with ``asyncio.to_thread``.
"""

from deepseek_async.finetune.preparation import prepare
from deepseek_async.finetune.summary import Rejection, Summary

__all__ = ["Rejection", "Summary", "prepare"]
