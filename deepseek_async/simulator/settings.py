"""Settings of the simulated service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from deepseek_async.simulator.model.web import SHAPES, WebShape

if TYPE_CHECKING:
    from decimal import Decimal

    from deepseek_async.simulator.faults import FaultKind

OnMiss = Literal["answer", "error"]
ReasoningReplay = Literal["by-model", "required", "lenient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Behaviour of the simulated service. The defaults are a healthy, infinitely fast service."""

    port: int = 0  # 0 = the system chooses a free port
    seed: int = 0

    # Timing. `latency` passes before the headers; the spread is added to it, drawn per request.
    latency: float = 0.0
    latency_spread: float = 0.0
    tokens_per_second: float = 0.0  # 0 = as fast as possible
    # A queued request is held open after its 200 headers; the interval is the one that was captured in
    # the incident of September 2026 (first comment after 12.4 s, then one about every 13 s).
    queue_seconds: float = 0.0
    keep_alive_interval: float = 13.0

    # Answers. Lengths are means; the spread is a fraction of the mean.
    answer_tokens: int = 24
    reasoning_tokens: int = 12
    answer_spread: float = 0.5

    # Handling of a request that no scripted answer (`Simulator.answer`) matches: a generated answer, or an error that
    # shows the request.
    on_miss: OnMiss = "answer"

    # Accounts.
    api_keys: frozenset[str] | None = None  # None = any non-empty bearer token is an account
    concurrency_limit: int | None = None  # None = the published limits: 2500 flash, 500 pro
    searches_per_second: int | None = 100  # per account; None = unlimited
    fetches_per_second: int | None = 25
    fetches_of_a_site_per_second: int | None = None  # per account and host
    tools_at_once: int | None = 50  # requests in flight per account to each of OCR, speech and transcription
    balance_bound: bool = False  # the 429 message names the remaining balance as the reason
    concurrency_per_unit: float | None = None  # limit = remaining balance * this, never under 1
    balance: Decimal | None = None  # None = unlimited
    currency: str = "USD"
    peak_prices: bool = False  # charge peak prices, twice the off-peak ones

    # Endpoints: everything that tutorials name, or only those of api.deepseek.com. Then embeddings,
    # images and fine-tunes are 404, `/v1/completions` and the tutorials' model names are rejected.
    live_only: bool = False

    # Recognition: every page whose number is a multiple of this ends with `length`. 0 = none.
    cut_every_page: int = 0

    # Seconds to parse a document before it is stored and billed, whether or not the client waits.
    parse_seconds: float = 0.0

    # Whether a speech WebSocket sends a finish event before it closes.
    speech_finishes: bool = True

    # Prompt cache.
    prefix_cache: bool = True
    prefix_cache_blocks: int = 100_000

    # Whether assistant turns after the last user message must carry their reasoning_content. In October
    # 2026 deepseek-v4-pro rejected a request without it and deepseek-flash did not: "by-model".
    reasoning_replay: ReasoningReplay = "by-model"

    # Messages. The official validator returns errors in OpenAI's format there too; Anthropic's own format differs.
    # Unknown blocks, deltas, events, counters and fields are added to test the robustness of clients.
    anthropic_errors: bool = False
    unknown_blocks: bool = False

    # Server tools: the format of searches in chat and responses (the real one is undocumented), how many steps a search
    # takes while the model thinks, and whether the usage counts them.
    web_shape: WebShape = "fields"
    search_steps: int = 3
    count_server_tools: bool = True
    # With `safety_check` high: seconds of review before the answer ends.
    review_seconds: float = 0.0

    # Randomness.
    fault_rate: float = 0.0
    fault_kinds: tuple[FaultKind, ...] = ()  # empty = every kind that terminates on its own

    # Server limits.
    max_body_bytes: int = 48 * 1024 * 1024  # DeepSeek docs, Vision page
    record_limit: int = 10_000
    idle_seconds: float = 75.0  # keep-alive timeout of idle connections
    backlog: int = 4096

    def __post_init__(self) -> None:
        if not 0.0 <= self.fault_rate <= 1.0:
            raise ValueError(f"fault_rate must be from 0 to 1, got {self.fault_rate}")
        if self.answer_tokens < 1:
            raise ValueError(f"answer_tokens must be at least 1, got {self.answer_tokens}")
        if self.on_miss not in get_args(OnMiss):
            raise ValueError(f"on_miss must be answer or error, got {self.on_miss!r}")
        if self.web_shape not in SHAPES:
            raise ValueError(f"web_shape must be one of {', '.join(SHAPES)}, got {self.web_shape!r}")
        if not 0.0 <= self.answer_spread <= 1.0:
            raise ValueError(f"answer_spread must be from 0 to 1, got {self.answer_spread}")
        negative = [
            name
            for name in (
                "latency",
                "latency_spread",
                "tokens_per_second",
                "queue_seconds",
                "reasoning_tokens",
                "search_steps",
                "review_seconds",
                "parse_seconds",
            )
            if getattr(self, name) < 0
        ]
        if negative:
            raise ValueError(f"{', '.join(negative)} must not be negative")
        if self.keep_alive_interval <= 0:
            raise ValueError(f"keep_alive_interval must be greater than 0, got {self.keep_alive_interval}")
