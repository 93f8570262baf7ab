"""Training data for fine-tuning: dialogues checked line by line and split into training and validation.

    from deepseek_async.finetune import prepare

    summary = prepare("dialogues.jsonl")

Blocking: it reads and writes files; in an asyncio program call it with ``asyncio.to_thread``.
"""

from deepseek_async.finetune.preparation import prepare
from deepseek_async.finetune.summary import Rejection, Summary

__all__ = ["Rejection", "Summary", "prepare"]
