"""Simulator server: lifecycle, request handling and routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from deepseek_async.simulator.answers import Answers
from deepseek_async.simulator.completions import (
    ChatEndpoint,
    CompletionEndpoint,
    Kind,
    MessagesEndpoint,
    ResponsesEndpoint,
    TextEndpoint,
)
from deepseek_async.simulator.exchange import ServedRequest
from deepseek_async.simulator.faults import OF_UPLOADS, Fault, FaultKind, FaultPlan
from deepseek_async.simulator.fees import Fees
from deepseek_async.simulator.http_replies import Replies
from deepseek_async.simulator.ledger import Ledger
from deepseek_async.simulator.limits import Balances, InFlightLimit
from deepseek_async.simulator.model.catalogue import ACCEPTED, OFFERED, Model, description, live_name
from deepseek_async.simulator.model.prefix_cache import BLOCK_TOKENS, PrefixCache
from deepseek_async.simulator.per_unit_billing import PerUnitBilling
from deepseek_async.simulator.request_log import Counters, RequestRecord, Requests, SimulatorStatistics
from deepseek_async.simulator.responses import Responses
from deepseek_async.simulator.routing import SimulatorRoute, find
from deepseek_async.simulator.services.attachments import with_files
from deepseek_async.simulator.services.dispatch import ServiceDispatcher
from deepseek_async.simulator.services.request import (
    Binary,
    Charged,
    ServiceRequest,
    Unparsed,
    Upload,
    WrongRequestError,
)
from deepseek_async.simulator.settings import SimulatorSettings
from deepseek_async.simulator.uploads import Uploads
from deepseek_async.simulator.watchers import Watchers
from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.delivery import (
    DeliveryTiming,
    StreamEnding,
    end_connection,
)
from deepseek_async.simulator.wire.message_request import chat_name
from deepseek_async.simulator.wire.refusals import Refusal
from deepseek_async.simulator.wire.validation import Problem

if TYPE_CHECKING:
    from decimal import Decimal

_LOOPBACK = "127.0.0.1"  # any API key is accepted, so it must not be reachable from outside
_OK = 200
MAX_UPLOAD = 101 * 1024 * 1024
_CLOSING_SECONDS = 0.5


class Simulator:
    """Local simulator of the DeepSeek API: `async with Simulator() as simulator: simulator.base_url`."""

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self.requests = Requests(self.settings.record_limit)
        self._counters = Counters()
        self.answers = Answers(must=self.settings.on_miss == "error")
        self.answer = self.answers.add
        self._faults = FaultPlan(self.settings.seed, self.settings.fault_rate, self.settings.fault_kinds)
        self._limit = InFlightLimit(self.settings.concurrency_limit)
        self.ledger = Ledger(self.settings.record_limit)
        self._balances = Balances(self.settings.balance, peak=self.settings.peak_prices)
        self._fees = Fees(self.ledger, self._balances, self.settings)
        self._services = ServiceDispatcher(self.settings)
        self._cache = PrefixCache(self.settings.prefix_cache_blocks)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None
        self._base_url = ""
        self._responses = Responses(self.settings.seed)
        self._closing = False
        self._watchers = Watchers(self.statistics)
        rate = self.settings.tokens_per_second
        self._timing = DeliveryTiming(
            self.settings.queue_seconds, self.settings.keep_alive_interval, 1 / rate if rate else 0.0
        )
        self._replies = Replies(
            *(self._responses, self._counters, self._timing),
            anthropic_errors=self.settings.anthropic_errors,
        )
        self._piecework = PerUnitBilling(self.settings, self._fees, self._replies, self._responses)
        self._uploads = Uploads(self.settings, self._services, self._fees, self._replies)

    # Lifecycle

    async def start(self) -> None:
        """Start listening. Sets `base_url`."""
        settings = self.settings
        server = web.Server(
            self._handle,
            request_factory=self._request,
            handler_cancellation=True,  # a disconnect cancels its request and releases its slot
            access_log=None,
            keepalive_timeout=settings.idle_seconds,
        )
        self._closing = False
        self._runner = web.ServerRunner(server, shutdown_timeout=_CLOSING_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _LOOPBACK, settings.port, backlog=settings.backlog)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._base_url = f"http://{host}:{port}"

    async def aclose(self) -> None:
        """End all requests immediately, including stalled ones, and leave no task behind."""
        if self._runner is None:
            return
        self._closing = True
        runner, self._runner = self._runner, None
        for site in list(runner.sites):
            await site.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._uploads.close()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # Interface for tests and benchmarks

    @property
    def base_url(self) -> str:
        """URL to pass to a client. Raises RuntimeError before the simulator has started."""
        if not self._base_url:
            raise RuntimeError("simulator not started")
        return self._base_url

    def statistics(self) -> SimulatorStatistics:
        """Return a snapshot of the counters."""
        return self._counters.snapshot(self.ledger)

    async def until(self, condition: Callable[[SimulatorStatistics], bool]) -> None:
        """Return when the statistics meet a condition: `await simulator.until(lambda s: s.in_flight == 0)`.

        Evaluated whenever a request arrives, is admitted or has ended, so that no test needs to sleep.
        """
        await self._watchers.until(condition)

    def script(self, *faults: Fault) -> None:
        """Apply these faults to the next requests, in order."""
        self._faults.script(*faults)

    @property
    def scripted(self) -> int:
        """Number of scripted faults not used yet."""
        return self._faults.scripted

    def set_concurrency_limit(self, limit: int | None) -> None:
        """Set the limit for future requests; those in flight are unaffected. None = published limits."""
        self._limit.limit = limit

    def remaining_balance(self, api_key: str) -> Decimal | None:
        """Return the balance of the account; None if unlimited."""
        return self._balances.remaining(api_key)

    # Request handling

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=self.settings.max_body_bytes
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        counters = self._counters
        counters.requests += 1
        headers = {key.lower(): value for key, value in request.headers.items()}
        for name in ("authorization", "x-api-key"):
            headers.pop(name, None)
        record = RequestRecord(request.method, request.path, headers, counters.in_flight)
        self.requests.add(record)
        self._watchers.changed()
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            return await self._dispatch(request, record)
        except (asyncio.CancelledError, ConnectionError) as error:
            counters.aborted += not self._closing
            if isinstance(error, ConnectionError):
                return web.Response()  # client disconnected; aiohttp would log it as an error
            raise
        finally:
            if task is not None:
                self._tasks.discard(task)
            self._watchers.changed()

    async def _dispatch(self, request: web.BaseRequest, record: RequestRecord) -> web.StreamResponse:
        route = find(request.method, request.path, live_only=self.settings.live_only)
        if not isinstance(route, SimulatorRoute):
            return self._replies.refuse(
                record, refusals.method_not_allowed(", ".join(route)) if route else refusals.not_found()
            )
        exchange = ServedRequest(request, record, route, most_bytes=max(self.settings.max_body_bytes, MAX_UPLOAD))
        try:
            exchange.fault = self._faults.next(request.headers)
        except ValueError as error:
            return self._replies.refuse(
                exchange.record, refusals.invalid_request(f"not supported by the simulator: {error}")
            )
        fault = exchange.fault
        if fault is not None and fault.kind in OF_UPLOADS and route.name != "create_file":
            fault = exchange.fault = None
        if fault is not None:
            self._counters.faulted += 1
            if (refusal := fault.refusal) is not None:
                await exchange.note_body()
                return self._replies.refuse(exchange.record, refusal)
            if fault.kind in (FaultKind.RESET_BEFORE_HEADERS, FaultKind.CLOSE_BEFORE_HEADERS):
                await exchange.note_body()
                reset = fault.kind is FaultKind.RESET_BEFORE_HEADERS
                end_connection(request.transport, StreamEnding.RESET if reset else StreamEnding.CLOSE)
                return web.Response()
        refused = None if route.anonymous else exchange.account_refusal(self.settings.api_keys)
        if refused is not None:
            return self._replies.refuse(record, refused)
        return await _HANDLERS.get(route.name, Simulator._serve_otherwise)(self, exchange)

    # Completions

    async def _text(self, exchange: ServedRequest) -> web.StreamResponse:
        if self.settings.live_only and not exchange.request.path.startswith("/beta/"):
            return self._replies.refuse(exchange.record, refusals.beta_only())
        return await self._complete(exchange, TextEndpoint)

    async def _complete(self, exchange: ServedRequest, kind: Kind) -> web.StreamResponse:
        body = await self._valid_body(exchange, kind)
        if isinstance(body, Refusal):
            return self._replies.refuse(exchange.record, body)
        model = ACCEPTED[chat_name(body["model"])]
        refused = self._limit_refusal(exchange.account, model)
        if refused is not None:
            return self._replies.refuse(exchange.record, refused)
        said = self.answers.next(exchange.record.body, kind.question(body))
        if said is not None and said.refusal is not None:
            await asyncio.sleep(said.after)
            return self._replies.refuse(exchange.record, said.refusal)
        completion = kind.completion(body, self.settings, said)
        if isinstance(completion, Problem):
            return self._replies.refuse(
                exchange.record, refusals.invalid_request(completion.message, completion.status)
            )
        self._limit.enter(exchange.account, model)
        self._counters.enter()
        self._watchers.changed()
        try:
            return await self._serve(exchange, completion)
        finally:
            self._limit.leave(exchange.account, model)
            self._counters.leave()

    async def _valid_body(self, exchange: ServedRequest, kind: Kind) -> dict[str, Any] | Refusal:
        """Return the request in the live service's format, or the error."""
        body = await exchange.json()
        if isinstance(body, Refusal):
            return body
        if not self.settings.live_only and isinstance(body, dict) and isinstance(body.get("model"), str):
            body = {**body, "model": live_name(body["model"])}
        if b"file_id" in await exchange.request.read():
            try:
                body = with_files(
                    body, lambda name: self._services.files.read(exchange.account, name, int(time.time()))
                )
            except WrongRequestError as wrong:
                return wrong.refusal
        problem = kind.problem(body, self.settings)
        return body if problem is None else refusals.invalid_request(problem.message, problem.status)

    def _limit_refusal(self, account: str, model: Model) -> Refusal | None:
        if self._balances.exhausted(account):
            return refusals.insufficient_balance()
        remaining = self._balances.remaining(account)
        limit, bound = self._limit.limit_of(model, remaining, self.settings.concurrency_per_unit)
        current = self._limit.in_flight(account, model) + 1
        if current <= limit:
            return None
        return refusals.too_many_requests(current, limit, balance_bound=bound or self.settings.balance_bound)

    async def _serve(self, exchange: ServedRequest, completion: CompletionEndpoint) -> web.StreamResponse:
        hit = 0
        if completion.blocks:
            # At least the last token is read, even if the whole prompt is cached.
            whole_blocks = (completion.prompt_tokens - 1) // BLOCK_TOKENS
            hit = self._cache.hit_tokens(completion.blocks[:whole_blocks])
        completion.prepare(exchange.fault, hit, self._responses.next_id(), int(time.time()))
        try:
            if seconds := completion.waiting(self.settings):
                await asyncio.sleep(seconds)
            if completion.stream or exchange.fault is not None or self._timing.queue_seconds:
                exchange.review = completion.review
                return await self._replies.deliver(exchange, completion.frames(), stream=completion.stream)
            exchange.delivery.ended = True
            return self._replies.whole(exchange, completion.body)
        finally:
            # For an abandoned answer, the prompt and the generated tokens are billed; undocumented behaviour.
            hit, output = completion.hit_tokens, completion.made(exchange)
            miss = completion.prompt_tokens - hit
            cost = self._balances.charge(exchange.account, completion.model, hit=hit, miss=miss, output=output)
            cost += self._fees.pay(exchange, completion.fees)
            self.ledger.add(completion.bill(exchange, cost))
            if completion.blocks:
                self._cache.remember(completion.blocks)

    # Other endpoints

    async def _serve_otherwise(self, exchange: ServedRequest) -> web.StreamResponse:
        if await self._uploads.broke_off(exchange):
            return web.Response()
        upload = await exchange.upload()
        body: Any = {}
        if upload is None and exchange.request.method == "POST" and exchange.request.can_read_body:
            body = await exchange.json()
        for refused in (upload, body):
            if isinstance(refused, Refusal):
                return self._replies.refuse(exchange.record, refused)
        asked = ServiceRequest(
            account=exchange.account,
            ids=exchange.route.ids,
            query=exchange.request.query,
            body=body,
            upload=upload if isinstance(upload, Upload) else None,
            base_url=self.base_url,
            now=int(time.time()),
            at=asyncio.get_running_loop().time(),
        )
        outcome = self._services.serve(exchange.route.name, asked)
        if isinstance(outcome, Refusal):
            return self._replies.refuse(exchange.record, outcome)
        if isinstance(outcome, Binary):
            return self._replies.whole(exchange, outcome.content, outcome.content_type)
        if isinstance(outcome, Charged):
            return await self._piecework.serve(exchange, outcome)
        if isinstance(outcome, Unparsed):
            return await self._uploads.serve(exchange, outcome, time.time)
        return await self._replies.plain(exchange, outcome)

    async def _models(self, exchange: ServedRequest) -> web.StreamResponse:
        return await self._replies.plain(
            exchange, {"object": "list", "data": [description(m) for m in OFFERED.values()]}
        )

    async def _model(self, exchange: ServedRequest) -> web.StreamResponse:
        model = ACCEPTED.get(exchange.route.ids[0])
        if model is None:
            return self._replies.refuse(exchange.record, refusals.not_found())
        return await self._replies.plain(exchange, description(model))

    async def _balance(self, exchange: ServedRequest) -> web.StreamResponse:
        return await self._replies.plain(exchange, self._balances.described(exchange.account, self.settings.currency))


_Handler = Callable[[Simulator, ServedRequest], Awaitable[web.StreamResponse]]
_HANDLERS: dict[str, _Handler] = {
    "chat": partial(Simulator._complete, kind=ChatEndpoint),  # noqa: SLF001 - the table of this class's own handlers
    "complete": Simulator._text,  # noqa: SLF001
    "respond": partial(Simulator._complete, kind=ResponsesEndpoint),  # noqa: SLF001
    "message": partial(Simulator._complete, kind=MessagesEndpoint),  # noqa: SLF001
    "speak": lambda simulator, exchange: simulator._piecework.speak(exchange),  # noqa: SLF001
    "converse": lambda simulator, exchange: simulator._piecework.converse(exchange),  # noqa: SLF001
    "list_models": Simulator._models,  # noqa: SLF001
    "retrieve_model": Simulator._model,  # noqa: SLF001
    "balance": Simulator._balance,  # noqa: SLF001
}
