"""What Prometheus is told, and by the real Prometheus that it can be scraped, asked and alerted on."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ended import ended
from ports import ReservedPort
from support.programs import needed

from deepseek_async import ConfigurationError, InsufficientBalanceError, StreamInterruptedError
from deepseek_async.events import BudgetAlert, Rated, Retried, Snapshot, word_for
from deepseek_async.observe.dashboard import dashboard
from deepseek_async.observe.metrics import Metrics

RULES = Path(__file__).parents[2] / "deepseek_async" / "observe" / "rules.yml"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"deepseek_async_{name}", labels)


def some_of_everything(metrics: Metrics) -> None:
    metrics(ended())
    metrics(ended(tier="disk", outcome="cached", attempts=0))
    metrics(ended(streamed=True, first_content=0.4, keep_alives=3, peak=True))
    failure = InsufficientBalanceError("Jane owes us", status_code=402)
    metrics(ended(outcome=word_for(failure), error=failure, usage=None, cost=None))
    broken = StreamInterruptedError("broke off")
    metrics(ended(outcome=word_for(broken), error=broken, usage=None, cost=None))
    metrics(ended(content="redacted"))
    metrics(Retried("deepseek-flash", "rate_limit", 1.0))
    metrics(Rated("resp-1", 0.75, 0.0))
    metrics(BudgetAlert(0.8, 4.0, 5.0, "2026-11-25", "UTC"))
    metrics.watch(
        lambda: Snapshot(
            in_flight=3,
            queue_depth={"interactive": 2, "bulk": 7},
            concurrency_limit={"deepseek-flash": 60},
            breaker_state={"deepseek-flash": 2},
            budget_remaining=1.25,
            budget=5.0,
        ),
    )


def test_everything_is_counted_under_its_name():
    metrics = Metrics()
    some_of_everything(metrics)
    flash = {"model": "deepseek-flash"}
    assert value(metrics, "requests_total", **flash, outcome="ok") == 3
    assert value(metrics, "requests_total", **flash, outcome="cached") == 1
    assert value(metrics, "requests_total", **flash, outcome="insufficient_balance") == 1
    assert value(metrics, "request_duration_seconds_count", **flash) == 6
    assert value(metrics, "time_to_first_content_seconds_sum", **flash) == pytest.approx(0.4)
    assert value(metrics, "queue_wait_seconds_count") == 5
    assert value(metrics, "retries_total", reason="rate_limit") == 1
    # The cached answer was not bought again.
    tokens = [value(metrics, "tokens_total", **flash, type=kind) for kind in ("input_hit", "input_miss", "output")]
    assert tokens == [3 * 64, 3 * 36, 3 * 30]
    assert value(metrics, "reasoning_tokens_total", **flash) == 30
    assert value(metrics, "cost_usd_total", **flash, period="peak") == pytest.approx(0.00002)
    assert value(metrics, "cost_usd_total", **flash, period="off_peak") == pytest.approx(0.00004)
    assert value(metrics, "call_cost_usd_count") == 3
    assert value(metrics, "cache_hits_total", tier="disk") == 1
    assert value(metrics, "content_checks_total", verdict="passed") == 3
    assert value(metrics, "content_checks_total", verdict="redacted") == 1
    assert (value(metrics, "feedback_score_sum"), value(metrics, "feedback_score_count")) == (0.75, 1)
    assert value(metrics, "keepalive_lines_total") == 3
    assert value(metrics, "stream_incomplete_total") == 1
    assert value(metrics, "budget_alerts_total", share="0.8") == 1
    assert value(metrics, "in_flight") == 3
    assert value(metrics, "queue_depth", lane="bulk") == 7
    assert value(metrics, "concurrency_limit", **flash) == 60
    assert value(metrics, "breaker_state", **flash) == 2
    assert value(metrics, "budget_remaining_usd") == 1.25


def test_clients_are_added_up_and_forgotten():
    metrics = Metrics()
    one, other = (lambda: Snapshot(in_flight=2, queue_depth={"bulk": 1})), (lambda: Snapshot(in_flight=3))
    metrics.watch(one)
    metrics.watch(other)
    assert (value(metrics, "in_flight"), value(metrics, "queue_depth", lane="bulk")) == (5, 1)
    metrics.unwatch(one)
    assert value(metrics, "in_flight") == 3


def test_model_names_cannot_grow_without_bound():
    metrics = Metrics()
    for number in range(200):
        metrics(ended({"model": f"model-{number}"}))
    assert value(metrics, "requests_total", model="other", outcome="ok") == 136


def test_no_prompt_answer_or_key_is_in_the_exposition():
    metrics = Metrics()
    some_of_everything(metrics)
    text = metrics.exposition().decode()
    for secret in ("Norway", "Oslo", "resp-1", "trace-1", "Jane"):
        assert secret not in text


def test_an_address_that_is_taken_is_a_clear_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=str(taken.getsockname()[1])):
            Metrics().serve(taken.getsockname()[1])


def promtool(*arguments: str, stdin: bytes | None = None) -> str:
    ended_ = subprocess.run(
        [needed("promtool"), *arguments], input=stdin, capture_output=True, check=False, timeout=120
    )
    output = (ended_.stdout + ended_.stderr).decode()
    assert ended_.returncode == 0, output
    return output


def test_promtool_finds_no_fault_with_the_metrics():
    metrics = Metrics()
    some_of_everything(metrics)
    assert promtool("check", "metrics", stdin=metrics.exposition()) == ""


def test_promtool_finds_no_fault_with_the_rules():
    assert "9 rules found" in promtool("check", "rules", str(RULES))


def test_the_alerts_fire_when_they_should(tmp_path: Path):
    """Series as a deployment might show them, through the rules, by promtool."""
    cases = json.loads((Path(__file__).parent / "alerts.json").read_text())
    cases["rule_files"] = [str(RULES)]
    file = tmp_path / "alerts.yml"
    file.write_text(json.dumps(cases))
    assert "SUCCESS" in promtool("test", "rules", str(file))


class Prometheus:
    """The real server, scraping one target on loopback five times a second."""

    def __init__(self, folder: Path, target: int) -> None:
        self._program = needed("prometheus")
        self._folder = folder
        self._target = target
        self._process: asyncio.subprocess.Process | None = None
        self._port = ReservedPort()
        self._address = f"127.0.0.1:{self._port.number}"

    async def start(self) -> None:
        configuration = {
            "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": "us", "static_configs": [{"targets": [f"127.0.0.1:{self._target}"]}]},
            ],
        }
        file = self._folder / "prometheus.yml"
        file.write_text(json.dumps(configuration))
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            f"--config.file={file}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._address}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._port.release()

    async def ask(self, path: str, **query: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        return await asyncio.to_thread(_get, url)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        answer = await self.ask("query", query=expression)
        assert answer["status"] == "success", f"{expression}: {answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def until_scraped(self, expression: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(120):
            while True:
                try:
                    if found := await self.query(expression):
                        return found
                except OSError:
                    pass  # not listening yet
                await asyncio.sleep(0.05)


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=120) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.status == 503:
            raise ConnectionError("Prometheus is starting") from None
        return json.load(error)


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[Prometheus]:
    needed("prometheus")
    metrics = Metrics()
    some_of_everything(metrics)
    port, stop = metrics.serve(0)
    server = Prometheus(tmp_path, port)
    await server.start()
    yield server
    await server.stop()
    stop()


def expressions() -> list[tuple[str, str]]:
    """Every expression of the dashboard, with Grafana's own words replaced as Grafana does."""
    words = {"$__rate_interval": "1m", "$__range": "1h"}
    found = []
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for word, replacement in words.items():
                expression = expression.replace(word, replacement)
            found.append((panel["title"], expression))
    return found


async def test_the_real_prometheus_scrapes_it_and_answers_every_panel(prometheus: Prometheus):
    (sample,) = await prometheus.until_scraped('deepseek_async_requests_total{outcome="ok"}')
    assert sample["metric"]["model"] == "deepseek-flash"
    assert sample["value"][1] == "3"
    (targets,) = (await prometheus.ask("targets"))["data"]["activeTargets"]
    assert (targets["health"], targets["lastError"]) == ("up", "")
    # A rate needs two scrapes.
    await prometheus.until_scraped("sum(rate(deepseek_async_requests_total[1m]))")
    asked = expressions()
    for title, expression in asked:
        assert await prometheus.query(expression), f"{title} shows nothing: {expression}"
    assert len(asked) == 28
    rules = (await prometheus.ask("rules"))["data"]["groups"][0]["rules"]
    assert [rule["lastError"] for rule in rules if "lastError" in rule] == []
    firing = {alert["labels"]["alertname"] for alert in (await prometheus.ask("alerts"))["data"]["alerts"]}
    assert "DeepSeekCircuitOpen" in firing  # pending counts as active
    (mean,) = await prometheus.query("deepseek_async_feedback_score_sum / deepseek_async_feedback_score_count")
    assert mean["value"][1] == "0.75"


def test_the_dashboard_shows_what_the_mission_asks_for():
    titles = {panel["title"] for panel in dashboard()["panels"] if panel["type"] != "row"}
    assert {"QPS", "Response time", "Error rate", "Content pass rate", "User satisfaction", "Cost per call"} <= titles


def test_panels_do_not_overlap_and_have_numbers_of_their_own():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
