"""Grafana dashboard for the metrics of ``metrics``: the JSON beside this file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def dashboard() -> dict[str, Any]:
    """Return the dashboard JSON for Grafana 9 or later; it prompts for the Prometheus data source on import."""
    built: dict[str, Any] = json.loads(files("deepseek_async.observe").joinpath("dashboard.json").read_text("utf-8"))
    return built
