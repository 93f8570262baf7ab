"""``DeepSeek``: the client for code without coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar, Unpack
from weakref import finalize

from deepseek_async.blocking import resources
from deepseek_async.blocking.loop_thread import SHARED, LoopThread
from deepseek_async.blocking.resources import offered
from deepseek_async.blocking.streams import iterated
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.options import ClientOptions, takes_client_options, with_secrets_hidden
from deepseek_async.errors import ConfigurationError
from deepseek_async.process.closing import ClosedOnExit

T = TypeVar("T")


class DeepSeek(ClosedOnExit):
    """Blocking client: the same engine on a loop thread, which all blocking clients of a process share.

        with DeepSeek() as client:
            client.chat.completions.create(model="deepseek-flash", messages=[...])

    - ``options``: those of AsyncDeepSeek; or ``client``, one that is made already and used by nobody else.
    - Use one from as many threads as you like: their calls run together, within one limit. Ctrl-C ends a call and gives
      its place back. A forked child may use it; what the parent waits for stays with the parent.
    - ``run(coroutine)`` and ``iterate(async_iterator)`` run whatever ``asynchronous``, the AsyncDeepSeek behind it, can
      do: ``client.run(client.asynchronous.batch.run("in.jsonl", "out.jsonl"))``.
    - Do not use it in coroutines: it blocks their event loop.

    ``close()`` closes the connections; after the last client is closed no thread is left. Raises ConfigurationError.
    """

    chat = offered("chat", resources.Chat)
    completions = offered("completions", resources.TextCompletions)
    responses = offered("responses", resources.Responses)
    messages = offered("messages", resources.Messages)
    embeddings = offered("embeddings", resources.Embeddings)
    images = offered("images", resources.Images)
    files = offered("files", resources.Files)
    fine_tunes = offered("fine_tunes", resources.FineTunes)
    models = offered("models", resources.Models)
    user = offered("user", resources.User)
    tools = offered("tools", resources.Tools)

    @takes_client_options
    def __init__(self, client: AsyncDeepSeek | None = None, **options: Unpack[ClientOptions]) -> None:
        options = with_secrets_hidden(options)
        if client is not None and options:
            raise ConfigurationError(
                f"client cannot be combined with options of a client, got client and {', '.join(options)}"
            )
        self.asynchronous = AsyncDeepSeek(**options) if client is None else client
        self._thread = SHARED
        self._closed = False
        self._thread.hold()
        self._forgotten = finalize(self, self._thread.drop)
        """Lets the thread end for a client that nobody closes."""
        self._forgotten.atexit = False

    @property
    def loop_thread(self) -> LoopThread:
        """The thread that runs its calls."""
        return self._thread

    def with_options(self, **options: Any) -> DeepSeek:
        """Return a client with other options over the same connections, as ``AsyncDeepSeek.with_options``."""
        twin = DeepSeek(self.asynchronous.with_options(**options))
        # Not closed by itself: it holds nothing of its own.
        twin._let_go()
        return twin

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the client's event loop and return its result."""
        return self._thread.run(coroutine)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Iterate over an asynchronous iterator on the client's event loop."""
        return iterated(self._thread, items)

    def close(self) -> None:
        """Close the connections. Running calls of other threads fail; later ones raise ConfigurationError."""
        if self._closed:
            return
        try:
            self._thread.run(self.asynchronous.aclose())
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        if self._forgotten.detach() is not None:
            self._thread.release()

    def __repr__(self) -> str:
        if "asynchronous" not in vars(self):
            return "<DeepSeek not configured>"  # in the traceback of an invalid option
        return f"<DeepSeek over {self.asynchronous!r}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("cannot pickle DeepSeek: it holds live connections; pickle its arguments instead")
