"""Answers for web pages: relays a stream as server-sent events, and answers errors with statuses.

The edges are ``deepseek_async.integrations.web.starlette`` (Starlette and FastAPI) and
``deepseek_async.integrations.web.aiohttp``; both have ``relay``, ``resume``, ``install_error_handlers`` and
``json_response``. What they share knows no framework:

- ``dialects``, ``ui_messages`` and ``sse``: answers as events; ``error_replies``: errors as statuses and sentences;
  ``heartbeat``: when silence is broken; ``event_log``: events by number within a bound. All pure.
- ``live_answer``: one task reads an answer as fast as its readers, and stops when they have left.
- ``resumable``: answers that outlive a page, in memory or (``redis_mirror``) for several processes.
"""

from deepseek_async.integrations.web.dialects import DialectName
from deepseek_async.integrations.web.ending import Ending
from deepseek_async.integrations.web.error_replies import ErrorReply, reply_to
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.resumable import ResumableAnswers

__all__ = ["DialectName", "Ending", "ErrorReply", "Heartbeat", "ResumableAnswers", "reply_to"]
