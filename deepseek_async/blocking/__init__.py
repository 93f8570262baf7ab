"""The client for code without coroutines: scripts, threads, frameworks that call functions.

    from deepseek_async import blocking

    with blocking.DeepSeek() as client:
        answer = client.chat.completions.create(model="deepseek-flash", messages=[...])
        for chunk in client.chat.completions.create(model="deepseek-flash", messages=[...], stream=True):
            ...

It runs the asynchronous client on a loop thread, so limits, retries, cache and budget are the same, and the calls of
many threads share them.
"""

from deepseek_async.blocking.client import DeepSeek
from deepseek_async.blocking.loop_thread import SHARED, LoopThread
from deepseek_async.blocking.streams import (
    BlockingMessageStream,
    BlockingResponseStream,
    BlockingStream,
    ChatStream,
    ParsedChatStream,
    TextStream,
)

__all__ = [
    "SHARED",
    "BlockingMessageStream",
    "BlockingResponseStream",
    "BlockingStream",
    "ChatStream",
    "DeepSeek",
    "LoopThread",
    "ParsedChatStream",
    "TextStream",
]
