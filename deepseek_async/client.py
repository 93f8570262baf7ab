"""``AsyncDeepSeek``: the resources, the batch surface, and one caller for each event loop it is used on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from deepseek_async.admission import BreakerPolicy
from deepseek_async.admission.statistics import Statistics
from deepseek_async.admission.tool_limits import ToolLimits
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.limits import Limits
from deepseek_async.configuration.credential import hidden
from deepseek_async.configuration.endpoint import Endpoint, Family
from deepseek_async.configuration.features import Features, prices_of
from deepseek_async.configuration.settings import Settings, key_from, settings_from, with_options
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener, Snapshot
from deepseek_async.lint import Linter, LintMode
from deepseek_async.observe.logs import LOGGER, write_to_stderr
from deepseek_async.pricing.prices import AnswerCost, Meter, PriceTable
from deepseek_async.pricing.unpriced import say_unpriced
from deepseek_async.renamed import attribute
from deepseek_async.resources.account import Models, User
from deepseek_async.resources.chat import Chat
from deepseek_async.resources.completions import TextCompletions
from deepseek_async.resources.embeddings import Embeddings
from deepseek_async.resources.files import Files
from deepseek_async.resources.fine_tunes import FineTunes
from deepseek_async.resources.images import Images
from deepseek_async.resources.messages import Messages
from deepseek_async.resources.resource_client import chosen_timeouts
from deepseek_async.resources.responses import Responses
from deepseek_async.resources.standalone import Tools
from deepseek_async.runtime.client_context import ClientContext
from deepseek_async.runtime.client_runtime import ClientRuntime
from deepseek_async.tools.threads import ToolThreads
from deepseek_async.transport.protocol import MakeTransport
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import Answer, PaidAnswer
from deepseek_async.types.answer import bills_of

if TYPE_CHECKING:
    from os import PathLike

    from deepseek_async.admission.budget import Budget
    from deepseek_async.batch import Batch
    from deepseek_async.cache import Cache
    from deepseek_async.content import ContentFilter

_SECRETS: Final = ("api_key", "proxy", "default_headers", "shared")
"""Arguments that no traceback with locals must show."""


_INTERNAL: Final = frozenset({"alternatives", "caller", "caller_of", "lint", "tokens", "tool_threads"})
"""What a client had as attributes before 0.2."""
_RENAMED: Final = {"_connections": "_runtime"}


class AsyncDeepSeek:
    """A client of the DeepSeek API. Make one and share it: it holds the connection pool and the limits.

    - ``api_key``: else ``DEEPSEEK_API_KEY``.
    - ``base_url``: else ``DEEPSEEK_BASE_URL``, else https://api.deepseek.com; https unless on loopback.
    - ``timeout``: seconds for a whole call with its queueing and retries, or a Timeouts; by default each wait
      is bounded (see Timeouts) and the whole call is not.
    - ``max_concurrency``: requests in flight for each model, else ``DEEPSEEK_ASYNC_MAX_CONCURRENCY``, else "auto":
      the client finds the account's limit by itself and stays just below it. A number is never exceeded. A
      streamed answer holds its place until its end.
    - ``requests_per_minute``, ``tokens_per_minute``: no limit by default; the API itself has none.
    - ``retry``: a RetryPolicy, or the number of attempts, the first included; 4 by default.
    - ``max_retries``: the same in openai-python's count, without the first: ``max_retries=3`` is ``retry=4``, and 0
      turns retries off. One of the two.
    - ``breaker``: a BreakerPolicy, or False for none: after repeated failures calls fail at once with
      CircuitOpenError, bulk waits, and one request at a time finds out whether the service is back.
    - ``limits``: a Limits: how large a request, an answer and one event of a stream may be, in bytes.
    - ``tool_limits``: a ToolLimits: how much of each of ``client.tools`` is used at a time, and a second.
    - ``currency_rates``: US dollars for one yuan, ``{"CNY": 0.14}``, for fees that DeepSeek publishes in yuan only;
      else ``DEEPSEEK_ASYNC_CNY_RATE``. Without it they are shown in yuan, and a budget cannot hold them.
    - ``fallback_models``: asked in turn when the model fails; ``fallback``: another server (URL or Endpoint) after
      them. The answer's ``fallback`` says who gave it.
    - ``shared``: which processes share what they find out about the account's limits, else ``DEEPSEEK_ASYNC_SHARED``,
      else "machine": those of this user on this machine, through a small file in the cache folder; "ray": those of
      the Ray cluster that this process belongs to, through an actor; ``redis://:PASSWORD@HOST:6379/0`` (``rediss://``
      for TLS, ``unix://``): all processes of the account that reach this Redis, with the extra ``redis``; "off" for
      none. With ``max_concurrency`` a process keeps to its number and shares nothing, except through Redis. What a
      URL lacks is a ConfigurationError; what only a connection shows (no such host, a wrong password, an unknown
      authority) is one warning in the log that says what to do. No call waits for Redis or fails because of it:
      without it the process goes on alone, with what it had.
    - ``account``: a name for the account behind the key, for users of several keys of one account, who then share
      what was learned about its limits; by default each key is an account.
    - ``proxy``: URL of an HTTP proxy, else ``HTTPS_PROXY`` or ``ALL_PROXY``, except for what ``NO_PROXY`` names and for
      this machine; ``trust_env=False`` leaves these variables unread.
    - ``default_headers``: sent with every request to the origin of ``base_url``.
    - ``endpoints``: other servers for what DeepSeek does not have, as URLs or Endpoints:
      ``{"embeddings": "https://…/v1"}``; completions, embeddings, files, fine_tunes, images,
      messages, responses, tools.
    - ``holidays``: Chinese public holidays, which have no peak prices, in place of the built-in ones of the same
      years; else ``DEEPSEEK_ASYNC_HOLIDAYS``, dates with commas between them.
    - ``lint``: what to do with a chat request that DeepSeek would refuse or not do as it says: off, warn (once
      per kind, the default), fix (repair what has one repair) or error (raise before it is sent).
    - ``tokenizer``: path of DeepSeek's ``tokenizer.json``: prompts are then counted instead of estimated, for the
      tokens limit and ``chat.completions.count_tokens``. Needs the extra ``tokens``.
    - ``tool_threads``: threads for the functions of ``run_tools`` that are not async, 40 at most by default; they are
      apart from those of the event loop, which looks up names in its own.
    - ``cache``: serve answers again: True for in memory, the path of an SQLite file, or a Cache.
    - ``budget``: US dollars a day that are not passed, or a Budget.
    - ``content_filter``: check what is sent and what is answered: True, or a ContentFilter.
    - ``listeners``: told what happens: Metrics, AuditLog, Telemetry, CallLog, or functions of your own that take an
      event.

    - ``transport``: makes another transport than the client's own (``deepseek_async.transport.protocol.Transport``): a
      callable that is given TransportOptions on the running event loop, once for each server.

    Use it as ``async with AsyncDeepSeek() as client:``, or call ``aclose()``. Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeouts | None = None,
        max_concurrency: int | Literal["auto"] | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        retry: RetryPolicy | int | None = None,
        max_retries: int | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        default_headers: Mapping[str, str] | None = None,
        endpoints: Mapping[Family, str | Endpoint] | None = None,
        holidays: Iterable[date] | None = None,
        lint: LintMode = "warn",
        tokenizer: str | os.PathLike[str] | None = None,
        tool_threads: int = 40,
        account: str | None = None,
        breaker: BreakerPolicy | bool | None = None,
        limits: Limits | None = None,
        tool_limits: ToolLimits | None = None,
        currency_rates: Mapping[str, float] | None = None,
        fallback_models: Sequence[str] = (),
        fallback: str | Endpoint | None = None,
        shared: str | bool | None = None,
        cache: Cache | str | PathLike[str] | bool | None = None,
        budget: Budget | float | None = None,
        content_filter: ContentFilter | bool | None = None,
        listeners: Iterable[Listener] = (),
        transport: MakeTransport | None = None,
    ) -> None:
        # A traceback with locals, should a setting be wrong, must not show them.
        api_key, proxy, default_headers = hidden(api_key), hidden(proxy), hidden(default_headers)
        shared = hidden(shared)
        key = key_from(api_key)
        self._settings = settings_from(
            api_key=key,
            base_url=base_url,
            timeout=timeout,
            max_concurrency=max_concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            retry=retry,
            max_retries=max_retries,
            proxy=proxy,
            trust_env=trust_env,
            default_headers=default_headers,
            endpoints=endpoints,
            holidays=holidays,
            lint=lint,
            tokenizer=tokenizer,
            tool_threads=tool_threads,
            account=account,
            breaker=breaker,
            limits=limits,
            tool_limits=tool_limits,
            currency_rates=currency_rates,
            fallback_models=fallback_models,
            fallback=fallback,
            shared=shared,
        )
        features = Features(
            cache=cache,
            budget=budget,
            content_filter=content_filter,
            listeners=listeners,
            simulated=self._settings.api_key.is_simulated,
        )
        if transport is not None and not callable(transport):
            raise ConfigurationError(
                f"transport must be a callable that makes one from TransportOptions, got {type(transport).__name__}"
            )
        self._runtime = ClientRuntime(self._settings, features, transport)
        self._context = ClientContext(
            self._runtime,
            self._settings,
            lint=Linter(lint, LOGGER.info),
            tool_threads=ToolThreads(self._settings.tool_threads),
        )
        self._offer()

    def _offer(self) -> None:
        """The resources, with the options that hold for this client."""
        context = self._context
        self.chat = Chat(context)
        self.completions = TextCompletions(context)
        self.responses = Responses(context)
        self.messages = Messages(context)
        self.embeddings = Embeddings(context)
        self.images = Images(context)
        self.files = Files(context)
        self.fine_tunes = FineTunes(context)
        self.models = Models(context)
        self.user = User(context)
        self.tools = Tools(context)

    def with_options(
        self,
        *,
        timeout: float | Timeouts | None = None,
        retry: RetryPolicy | int | None = None,
        max_retries: int | None = None,
        lint: LintMode | None = None,
    ) -> Self:
        """A client with other options that shares everything else with this one: connections, limits, cache, budget.

        ``client.with_options(timeout=20, max_retries=0).chat.completions.create(...)``. It is made in microseconds
        and need not be closed; closing either closes both. What is left at None stays as it is: ``timeout`` as a
        number keeps the other timers, ``max_retries`` and a number as ``retry`` keep the delays. The connect timer
        is that of the connections. Raises ConfigurationError.
        """
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
        vars(twin).pop("batch", None)
        twin._offer()
        return twin

    @classmethod
    def from_settings(cls, path: str | PathLike[str], **arguments: Any) -> Self:
        """A client from a YAML file, for example ``deepseek: {api_key: env:DEEPSEEK_API_KEY, cache: true}``.

        ``deepseek-async config init`` writes a file that says what may stand in it. ``arguments`` are the
        constructor's; they win over the environment, and the environment wins over the file.
        Raises ConfigurationError, naming the line. Needs the extra ``yaml``.
        """
        from deepseek_async.configuration.settings_file import SettingsFile  # noqa: PLC0415  brings PyYAML

        arguments |= hidden({name: arguments[name] for name in _SECRETS if name in arguments})
        file = SettingsFile(path, trust_env=arguments.get("trust_env"))
        if file.log_level is not None:
            write_to_stderr(file.log_level)
        given = file.arguments()
        try:
            return cls(**{**given, **arguments})
        except ConfigurationError as error:
            failure = file.placed(error, arguments)
        raise failure

    @property
    def settings(self) -> Settings:
        """What this client was made from; the key in it does not show itself."""
        return self._settings

    @cached_property
    def batch(self) -> Batch:
        """Many calls: ``batch.map`` over an iterable, ``batch.run`` from file to file."""
        from deepseek_async.batch import Batch, Calls, Resource, Server  # noqa: PLC0415  a service that only chats need not load it
        from deepseek_async.batch.documents import RecognitionCalls  # noqa: PLC0415

        prices = prices_of(self._settings)
        chosen = self._settings.max_concurrency
        room = self._runtime.room if chosen == "auto" else chosen
        server = Server(self._settings.base_url, simulated=self._settings.api_key.is_simulated)
        elsewhere: dict[Resource, Calls] = {
            "completions": self.completions,
            "responses": self.responses,
            "messages": self.messages,
            "embeddings": self.embeddings,
            "ocr": RecognitionCalls(self.tools),
        }
        return Batch(
            self.chat.completions, room, self._settings.retry, elsewhere=elsewhere, prices=prices, server=server
        )

    @property
    def timeouts(self) -> Timeouts:
        """How long each wait of a call may last."""
        return self._settings.timeouts

    @property
    def retry(self) -> RetryPolicy:
        """When a call is sent again."""
        return self._settings.retry

    @property
    def prices(self) -> PriceTable:
        """What is charged by, with the holidays and currency rates of this client."""
        return prices_of(self._settings)

    def cost_of(self, answer: Answer) -> AnswerCost:
        """What ``answer`` cost, tokens and fees apart, by the prices of its hour; nothing if it came from the cache."""
        if isinstance(answer, PaidAnswer):
            return AnswerCost(0.0, answer.fees)
        return Meter(self.prices, say_unpriced).cost_of(bills_of(answer))

    def statistics(self) -> Statistics:
        """What runs, what waits, and for what, at this moment. Costs nothing until it is asked for."""
        return self._runtime.statistics()

    def snapshot(self) -> Snapshot:
        """The figures of ``statistics`` that metrics show, and what is left of the budget."""
        return self._runtime.snapshot()

    def feedback(self, response_id: str, score: float) -> None:
        """Say how content a user was with the answer of this ``id``: 0 for not at all, 1 for entirely.

        Counted in metrics and kept in the audit log. Raises ConfigurationError for a score outside 0 to 1.
        """
        self._runtime.features.rate(response_id, score)

    def reset(self) -> None:
        """Close every circuit breaker, end every pause and send again with a key that was refused.

        For an operator who knows that the trouble is over, and will not wait until the client has found out.
        """
        self._runtime.reset()

    async def __aenter__(self) -> Self:
        self._runtime.caller()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Calls that still run fail; later ones raise ConfigurationError."""
        await self._runtime.aclose()

    def __getattr__(self, name: str) -> Any:
        # Before the first line of __init__ has run there is nothing to hand out.
        if name in _INTERNAL and "_context" in vars(self):
            warnings.warn(f"AsyncDeepSeek.{name} is internal and will go", DeprecationWarning, stacklevel=2)
            return getattr(self._context, name)
        return attribute(self, name, _RENAMED)

    def __repr__(self) -> str:
        if "user" not in vars(self):
            return "<AsyncDeepSeek not configured>"  # in the traceback of a wrong setting
        settings = self._settings
        return f"<AsyncDeepSeek {settings.base_url} max_concurrency={settings.max_concurrency} {self._runtime}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a client holds live connections and is not pickled; pickle its arguments and make a new one")
