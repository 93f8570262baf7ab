"""Observability: Prometheus metrics, OpenTelemetry, audit log, call log. A failing listener never fails a call.

Each is a listener: a callable that receives every event (``deepseek_async.events``).
"""
