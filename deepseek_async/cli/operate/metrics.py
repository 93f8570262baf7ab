"""``deepseek-async metrics``: Grafana dashboard and Prometheus alert rules."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import Final

DASHBOARD: Final = "Write a Grafana dashboard to stdout: calls, errors, content, cost, budget, queue."
DASHBOARD_EXAMPLES: Final = """\
For example:

    deepseek-async metrics dashboard > deepseek.json    # in Grafana: Dashboards, Import"""
RULES: Final = "Write alert rules for Prometheus to stdout."
RULES_EXAMPLES: Final = """\
For example:

    deepseek-async metrics rules > deepseek.yml
    promtool check rules deepseek.yml"""


def dashboard() -> int:
    sys.stdout.write(files("deepseek_async.observe").joinpath("dashboard.json").read_text("utf-8"))
    return 0


def rules() -> int:
    sys.stdout.write(files("deepseek_async.observe").joinpath("rules.yml").read_text("utf-8"))
    return 0
