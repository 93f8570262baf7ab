"""What supervisors and Prometheus ask: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener
from deepseek_async.gateway.callers import mask_keys
from deepseek_async.gateway.replies import GatewayError, json_reply

if TYPE_CHECKING:
    from deepseek_async.observe.metrics import Metrics


class Health:
    """Answers without a key: they say nothing of callers or contents."""

    def __init__(self, client: Callable[[], AsyncDeepSeek]) -> None:
        self._client = client
        self._metrics = _metrics()
        self.draining = False
        """Whether the gateway is about to end, and takes no more requests."""

    def answer(self, path: str) -> web.Response | None:
        """Return the answer for one of the three paths, or None."""
        if path == "/healthz":
            return json_reply({"status": "ok"})
        if path == "/readyz":
            reason = self._not_ready()
            return json_reply({"status": "ok"}) if reason is None else json_reply({"status": reason}, 503)
        if path == "/metrics":
            if self._metrics is None:
                raise GatewayError(501, 'metrics need prometheus-client: pip install "deepseek-async[metrics]"')
            shown = mask_keys(self._metrics.exposition().decode())  # models are names that callers send
            return web.Response(text=shown, content_type="text/plain", charset="utf-8")
        return None

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Listeners that the client needs for ``/metrics``."""
        return () if self._metrics is None else (self._metrics,)

    def _not_ready(self) -> str | None:
        if self.draining:
            return "the gateway is about to end"
        statistics = self._client().statistics()
        if statistics.stopped_by is not None:
            return "DeepSeek does not accept the gateway's key"
        if statistics.origin_breaker == "open":
            return "DeepSeek cannot be reached"
        return None


def _metrics() -> Metrics | None:
    try:
        from deepseek_async.observe.metrics import Metrics  # noqa: PLC0415  optional: prometheus-client
    except ConfigurationError:
        return None
    return Metrics()
