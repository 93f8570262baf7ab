"""Requests of foreign clients, as method, path and bytes, answered through all protections of a client.

The seam of everything that speaks the API's own format instead of calling methods: ``integrations.openai`` puts it
under openai-python, a gateway puts it behind a socket. It knows no HTTP library.
"""

from deepseek_async.relay.exchange import RelayRequest, RelayResponse
from deepseek_async.relay.failures import error_object, failure_event, refusal_of
from deepseek_async.relay.header_fields import EVENT_STREAM, passed_on
from deepseek_async.relay.relay import Relay
from deepseek_async.relay.streamed import StreamedBody
from deepseek_async.relay.tool_requests import SPEECH

__all__ = [
    "EVENT_STREAM",
    "SPEECH",
    "Relay",
    "RelayRequest",
    "RelayResponse",
    "StreamedBody",
    "error_object",
    "failure_event",
    "passed_on",
    "refusal_of",
]
