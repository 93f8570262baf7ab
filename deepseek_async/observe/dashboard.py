"""Grafana dashboard for the metrics of ``metrics``. Pure: panel descriptions in, Grafana JSON out."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_P: Final = "deepseek_async_"
_RATE: Final = "[$__rate_interval]"


class Panel(msgspec.Struct, frozen=True):
    """One panel: title, unit and expressions."""

    title: str
    expressions: dict[str, str]
    """PromQL by legend."""
    unit: str = "short"
    kind: str = "timeseries"
    about: str = ""


def _rate(name: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({_P}{name}{_RATE}))"


def _quantile(share: float, name: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_P}{name}_bucket{_RATE})))"


_NOT_OK: Final = 'outcome!~"ok|cached|stale|cancelled"'

ROWS: Final[dict[str, list[Panel]]] = {
    "Basic": [
        Panel("QPS", {"{{outcome}}": _rate("requests_total", "outcome")}, "reqps"),
        Panel(
            "Response time",
            {
                "mean": f"{_rate('request_duration_seconds_sum')} / {_rate('request_duration_seconds_count')}",
                "p50": _quantile(0.5, "request_duration_seconds"),
                "p95": _quantile(0.95, "request_duration_seconds"),
                "p99": _quantile(0.99, "request_duration_seconds"),
            },
            "s",
        ),
        Panel(
            "Error rate",
            {
                "errors": f"sum(rate({_P}requests_total{{{_NOT_OK}}}{_RATE})) / {_rate('requests_total')}",
            },
            "percentunit",
        ),
        Panel(
            "Time to first content",
            {f"p{round(share * 100)}": _quantile(share, "time_to_first_content_seconds") for share in (0.5, 0.95)},
            "s",
        ),
    ],
    "Business": [
        Panel(
            "Content pass rate",
            {
                "passed": f'sum(rate({_P}content_checks_total{{verdict="passed"}}{_RATE})) / '
                f"{_rate('content_checks_total')}",
            },
            "percentunit",
        ),
        Panel("Content verdicts", {"{{verdict}}": _rate("content_checks_total", "verdict")}, "reqps"),
        Panel(
            "User satisfaction",
            {
                "mean score": f"sum(increase({_P}feedback_score_sum[$__range])) / "
                f"sum(increase({_P}feedback_score_count[$__range]))",
            },
            "percentunit",
            "stat",
            "Mean of client.feedback(response_id, score) over the range shown.",
        ),
    ],
    "Cost": [
        Panel(
            "Cost per call",
            {
                "mean": f"{_rate('call_cost_usd_sum')} / {_rate('call_cost_usd_count')}",
                "p95": _quantile(0.95, "call_cost_usd"),
            },
            "currencyUSD",
        ),
        Panel(
            "Spending per hour",
            {"{{model}} {{period}}": f"3600 * {_rate('cost_usd_total', 'model, period')}"},
            "currencyUSD",
        ),
        Panel(
            "Tokens per second",
            {"{{type}}": _rate("tokens_total", "type"), "reasoning": _rate("reasoning_tokens_total")},
        ),
        Panel(
            "Prefix cache hit share",
            {
                "hit": f'sum(rate({_P}tokens_total{{type="input_hit"}}{_RATE})) / '
                f'sum(rate({_P}tokens_total{{type=~"input_.*"}}{_RATE}))',
            },
            "percentunit",
            about="Input tokens that DeepSeek served from its prefix cache, at a fraction of the price.",
        ),
        Panel(
            "Budget left today",
            {"left": f"min({_P}budget_remaining_usd)", "budget": f"max({_P}budget_usd)"},
            "currencyUSD",
        ),
        Panel("Cache hits", {"{{tier}}": _rate("cache_hits_total", "tier")}, "reqps"),
    ],
    "Load": [
        Panel(
            "In flight and limit",
            {"in flight": f"sum({_P}in_flight)", "limit {{model}}": f"sum by (model) ({_P}concurrency_limit)"},
        ),
        Panel("Queue", {"{{lane}}": f"sum by (lane) ({_P}queue_depth)"}),
        Panel("Queue wait", {"p95": _quantile(0.95, "queue_wait_seconds")}, "s"),
        Panel("Retries", {"{{reason}}": _rate("retries_total", "reason")}, "reqps"),
        Panel(
            "Circuit breaker",
            {"{{model}}": f"max by (model) ({_P}breaker_state)"},
            about="0 closed, 1 half-open, 2 open",
        ),
        Panel(
            "Broken streams and keep-alives",
            {"broken": _rate("stream_incomplete_total"), "keep-alives": _rate("keepalive_lines_total")},
        ),
    ],
}

_WIDTH: Final = 8
_HEIGHT: Final = 8


def dashboard() -> dict[str, Any]:
    """Return the dashboard JSON for Grafana 9 or later; it prompts for the Prometheus data source on import."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(_row(len(panels) + 1, title, top))
        top += 1
        for position, panel in enumerate(row):
            left = position * _WIDTH % 24
            if position and not left:
                top += _HEIGHT
            panels.append(_panel(len(panels) + 1, panel, left, top))
        top += _HEIGHT
    return {
        "uid": "deepseek-async",
        "title": "deepseek_async",
        "tags": ["deepseek"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}],
        },
        "panels": panels,
    }


def _row(identifier: int, title: str, top: int) -> dict[str, Any]:
    return {
        "id": identifier,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
    }


def _panel(identifier: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": identifier,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "gridPos": {"x": left, "y": top, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(panel.expressions.items())
        ],
    }
