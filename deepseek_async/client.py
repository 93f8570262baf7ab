"""``AsyncDeepSeek``: API resources, batch processing, and one caller per event loop."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Never, Self, Unpack

from deepseek_async.call.retry import RetryPolicy
from deepseek_async.configuration.features import Features, prices_of
from deepseek_async.configuration.options import (
    DEFAULTS,
    NAMES,
    ClientOptions,
    takes_client_options,
    with_secrets_hidden,
)
from deepseek_async.configuration.settings import Settings, settings_from, with_options
from deepseek_async.deprecated_names import attribute
from deepseek_async.errors import ConfigurationError
from deepseek_async.lint import Linter, LintMode
from deepseek_async.observe.logs import LOGGER
from deepseek_async.pricing.prices import AnswerCost, Meter, PriceTable
from deepseek_async.pricing.unpriced import say_unpriced
from deepseek_async.process.closing import AsyncClosedOnExit
from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.resources.account import Models, User
from deepseek_async.resources.chat import Chat
from deepseek_async.resources.completions import TextCompletions
from deepseek_async.resources.embeddings import Embeddings
from deepseek_async.resources.files import Files
from deepseek_async.resources.fine_tunes import FineTunes
from deepseek_async.resources.images import Images
from deepseek_async.resources.messages import Messages
from deepseek_async.resources.resource_attribute import ResourceAttribute, resource, resources_of
from deepseek_async.resources.resource_client import AnyTimeout, chosen_timeouts
from deepseek_async.resources.responses import Responses
from deepseek_async.resources.standalone import Tools
from deepseek_async.runtime.client_context import ClientContext
from deepseek_async.runtime.client_runtime import ClientRuntime
from deepseek_async.runtime.familiar_names import ELSEWHERE, FamiliarNames, refused_option
from deepseek_async.runtime.observed_client import ObservedClient
from deepseek_async.transport.protocol import MakeTransport
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import Answer, PaidAnswer
from deepseek_async.types.answer import bills_of

if TYPE_CHECKING:
    from os import PathLike

    from deepseek_async.batch import Batch
    from deepseek_async.prompt_cache import CacheReport
    from deepseek_async.relay import Relay


def _transport(given: MakeTransport | None) -> MakeTransport | None:
    if given is not None and not callable(given):
        raise ConfigurationError(
            f"transport must be a callable that takes TransportOptions, got {type(given).__name__}"
        )
    return given


def _batch() -> type[Batch]:
    from deepseek_async.batch import Batch  # noqa: PLC0415  loaded only for batches

    return Batch


def _relay() -> type[Relay]:
    from deepseek_async.relay import Relay  # noqa: PLC0415  rarely used

    return Relay


_INTERNAL: Final = frozenset({"alternatives", "caller", "caller_of", "lint", "tokens", "tool_threads"})
"""Attributes of a client before 0.2, now internal."""
_RENAMED: Final = {"_connections": "_runtime"}


class AsyncDeepSeek(FamiliarNames, ObservedClient, AsyncClosedOnExit):
    """Asynchronous client of the DeepSeek API. Create one and share it: it holds the connection pool and the limits.

    - ``api_key``: default ``DEEPSEEK_API_KEY``.
    - ``base_url``: default ``DEEPSEEK_BASE_URL``, then https://api.deepseek.com; https required except on loopback.
    - ``timeout``: seconds for a whole call including queueing and retries, or a Timeouts; by default each wait
      is limited (see Timeouts) and the whole call is not.
    - ``max_concurrency``: requests in flight per model; default ``DEEPSEEK_ASYNC_MAX_CONCURRENCY``, then "auto":
      the client finds the account's limit and stays just below it. A number is never exceeded. A streamed
      answer holds its slot until its end.
    - ``requests_per_minute``, ``tokens_per_minute``: no limit by default; the API itself has none.
    - ``retry``: a RetryPolicy, or the number of attempts, the first included; default 4.
    - ``max_retries``: retries as counted by openai-python, without the first attempt: ``max_retries=3`` equals
      ``retry=4``, and 0 disables retries. Mutually exclusive with ``retry``.
    - ``breaker``: a BreakerPolicy, or False to disable: after repeated failures the circuit opens, calls fail fast
      with CircuitOpenError, bulk calls wait, and one request at a time probes the service.
    - ``limits``: a Limits: maximum bytes of a request, an answer and one event of a stream.
    - ``tool_limits``: a ToolLimits: concurrency and requests per second of each of ``client.tools``.
    - ``currency_rates``: US dollars per yuan, ``{"CNY": 0.14}``, for fees that DeepSeek publishes in yuan only;
      default ``DEEPSEEK_ASYNC_CNY_RATE``. Without it they are reported in yuan, and a budget cannot cover them.
    - ``fallback_models``: models to try in turn when the requested one fails; ``fallback``: another server (URL or
      Endpoint) after them. ``fallback`` of an answer names the one used.
    - ``shared``: which processes share what they learn about the account's limits; default
      ``DEEPSEEK_ASYNC_SHARED``, then "machine": processes of this user on this machine, through a small file in the
      cache folder; "ray": processes of this Ray cluster, through an actor; ``redis://:PASSWORD@HOST:6379/0``
      (``rediss://`` for TLS, ``unix://``): all processes of the account with access to this Redis (extra ``redis``);
      "off": none. With ``max_concurrency`` a process keeps its own number and shares nothing, except through Redis.
      An invalid URL raises ConfigurationError; a failing connection (unknown host, wrong password, untrusted
      certificate) is one warning in the log that says what to do. Calls never wait for Redis or fail because of it:
      without it the process continues alone, with its last state.
    - ``account``: name of the account behind the key, for several keys of one account, whose clients then share
      what they learn about its limits; by default each key is an account.
    - ``proxy``: URL of an HTTP proxy; default ``HTTPS_PROXY`` or ``ALL_PROXY``, except for hosts in ``NO_PROXY`` and
      loopback; ``trust_env=False`` ignores these variables.
    - ``default_headers``: sent with every request to the origin of ``base_url``.
    - ``endpoints``: servers for endpoint families that DeepSeek does not offer, as URLs or Endpoints:
      ``{"embeddings": "https://…/v1"}``; completions, embeddings, files, fine_tunes, images,
      messages, responses, tools.
    - ``holidays``: Chinese public holidays, which have no peak prices, replacing the built-in ones of the same
      years; default ``DEEPSEEK_ASYNC_HOLIDAYS``, comma-separated dates.
    - ``lint``: how to handle a chat request that DeepSeek would reject or not execute as written: off, warn (default;
      once per kind), fix (repair if unambiguous) or error (raise before it is sent).
    - ``tokenizer``: path of DeepSeek's ``tokenizer.json``, to count prompts instead of estimating them, for
      ``tokens_per_minute`` and ``chat.completions.count_tokens``. Needs the extra ``tokens``.
    - ``tool_threads``: maximum threads for synchronous functions of ``run_tools``; default 40, separate from the event
      loop's executor, which resolves host names.
    - ``cache``: response cache: True for memory, the path of an SQLite file, or a Cache.
    - ``budget``: maximum US dollars per day, or a Budget.
    - ``content_filter``: filter for requests and answers: True, or a ContentFilter.
    - ``listeners``: event listeners: Metrics, AuditLog, Telemetry, CallLog, or callables that take an event.
    - ``transport``: factory of another transport (``deepseek_async.transport.protocol.Transport``): called with
      TransportOptions on the running event loop, once per server.

    Use it as ``async with AsyncDeepSeek() as client:``, or call ``aclose()``. Raises ConfigurationError.
    """

    chat = resource(Chat)
    completions = resource(TextCompletions)
    responses = resource(Responses)
    messages = resource(Messages)
    embeddings = resource(Embeddings)
    images = resource(Images)
    files = resource(Files)
    fine_tunes = resource(FineTunes)
    models = resource(Models)
    user = resource(User)
    tools = resource(Tools)

    @takes_client_options
    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        # A traceback with locals, raised by an invalid option, must not show them.
        options = {**DEFAULTS, **with_secrets_hidden(options)}
        if unknown := [name for name in options if name not in NAMES]:
            raise refused_option(unknown[0])
        self._settings = settings_from(options)
        features = Features(options, simulated=self._settings.api_key.is_simulated)
        self._runtime = ClientRuntime(self._settings, features, _transport(options.get("transport")))
        self._context = ClientContext(
            self._runtime,
            self._settings,
            lint=Linter(self._settings.lint, LOGGER.info),
            tool_threads=WorkerThreads(self._settings.tool_threads),
        )

    def with_options(
        self,
        *,
        timeout: AnyTimeout | None = None,
        retry: RetryPolicy | int | None = None,
        max_retries: int | None = None,
        lint: LintMode | None = None,
        **unsupported: Never,
    ) -> Self:
        """Return a client with other options that shares connections, limits, cache and budget with this one.

        ``client.with_options(timeout=20, max_retries=0).chat.completions.create(...)``. Takes microseconds; need not be
        closed, and closing either closes both. None keeps an option: ``timeout`` as a number keeps the other timers,
        ``max_retries`` and a number as ``retry`` keep the delays. The connect timeout is that of the shared
        connections. Raises ConfigurationError.
        """
        if unsupported:
            raise refused_option(next(iter(unsupported)), of_call=True)
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin._settings = with_options(
            self._settings,
            timeouts=chosen_timeouts(timeout, self._settings.timeouts),
            retry=retry,
            max_retries=max_retries,
            lint=lint,
        )
        twin._context = self._context.with_settings(twin._settings)
        for name in resources_of(type(self)):
            vars(twin).pop(name, None)
        return twin

    @classmethod
    @takes_client_options
    def from_settings(cls, path: str | PathLike[str], **options: Unpack[ClientOptions]) -> Self:
        """Create a client from a YAML file, e.g. ``deepseek: {api_key: env:DEEPSEEK_API_KEY, cache: true}``.

        ``deepseek-async config init`` writes a documented template. ``options`` are the constructor's and override the
        environment, which overrides the file. Raises ConfigurationError, naming the line. Needs the extra ``yaml``.
        """
        from deepseek_async.configuration.settings_file import made_from  # noqa: PLC0415  brings PyYAML

        options = with_secrets_hidden(options)
        return made_from(path, cls, options)

    def _made_batch(self) -> Batch:
        from deepseek_async.batch import Batch, Calls, Resource, Server  # noqa: PLC0415  loaded only for batches
        from deepseek_async.batch.document_rows import RecognitionCalls  # noqa: PLC0415

        settings = self._settings
        room = self._runtime.room if settings.max_concurrency == "auto" else settings.max_concurrency
        server = Server(settings.base_url, simulated=settings.api_key.is_simulated)
        elsewhere: dict[Resource, Calls] = {
            "completions": self.completions,
            "responses": self.responses,
            "messages": self.messages,
            "embeddings": self.embeddings,
            "ocr": RecognitionCalls(self.tools),
        }
        asking, prices = self.chat.completions, self.prices
        return Batch(asking, room, settings.retry, elsewhere=elsewhere, prices=prices, server=server)

    batch = ResourceAttribute(_made_batch, _batch)
    """Bulk processing: ``batch.map`` over an iterable, ``batch.run`` from file to file."""

    def _made_relay(self) -> Relay:
        return _relay()(self._context)

    relay = ResourceAttribute(_made_relay, _relay)
    """Answers requests in the API's own format, as bytes, like the client's own calls: for foreign clients."""

    @property
    def settings(self) -> Settings:
        """The effective settings; the API key is masked in their repr."""
        return self._settings

    @property
    def timeouts(self) -> Timeouts:
        """Default timeouts of a call."""
        return self._settings.timeouts

    @property
    def retry(self) -> RetryPolicy:
        """Default retry policy."""
        return self._settings.retry

    @property
    def prices(self) -> PriceTable:
        """Price table, with the holidays and currency rates of this client."""
        return prices_of(self._settings)

    def cost_of(self, answer: Answer) -> AnswerCost:
        """Return the cost of ``answer``, tokens and fees separately, at the prices of its time; 0 if it was cached."""
        if isinstance(answer, PaidAnswer):
            return AnswerCost(0.0, answer.fees)
        return Meter(self.prices, say_unpriced).cost_of(bills_of(answer))

    def cache_report(self) -> CacheReport:
        """Return why prompts missed the service's prefix cache, and what that cost.

        Needs a PromptCacheWatch among the ``listeners``: nothing is compared without one. Raises ConfigurationError.
        """
        return self._runtime.features.cache_report()

    def reset(self) -> None:
        """Close all circuit breakers, end all pauses and send again with a rejected key.

        For operators who know that an outage is over and do not want to wait for the next probe.
        """
        self._runtime.reset()

    async def __aenter__(self) -> Self:
        self._runtime.caller()
        return self

    async def aclose(self) -> None:
        """Close the connections. Running calls fail; later ones raise ConfigurationError."""
        await self._runtime.aclose()

    def __getattr__(self, name: str) -> Any:
        # Called before __init__ has run, there is no context yet.
        if name in _INTERNAL and "_context" in vars(self):
            warnings.warn(f"AsyncDeepSeek.{name} is internal and will be removed", DeprecationWarning, stacklevel=2)
            return getattr(self._context, name)
        if name in ELSEWHERE:
            raise AttributeError(ELSEWHERE[name], name=name, obj=self)
        return attribute(self, name, _RENAMED)

    def __repr__(self) -> str:
        if "_context" not in vars(self):
            return "<AsyncDeepSeek not configured>"  # in the traceback of an invalid setting
        settings = self._settings
        return f"<AsyncDeepSeek {settings.base_url} max_concurrency={settings.max_concurrency} {self._runtime}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("cannot pickle AsyncDeepSeek: it holds live connections; pickle its arguments instead")
