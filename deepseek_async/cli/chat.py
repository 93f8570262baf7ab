"""``deepseek-async chat``: an interactive conversation, or one question."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags, Thinking, thinking_parameter
from deepseek_async.errors import ConfigurationError

_LONGEST_PROMPT: Final = 32 << 20
"""Eight characters per token of the context window; a longer request cannot be valid."""
ABOUT: Final = """\
Chat with a model; answers are streamed, reasoning is shown in grey.

Ctrl-C stops the answer, not the program: the part shown stays in the
conversation, marked as truncated. If nothing was shown yet, the question is
removed. Ctrl-D or /quit exits, /new starts a new conversation.

With a prompt, or with text on stdin, there is one answer, and only that is
written to stdout. Control characters in it are escaped, as \\u001b, unless
--raw is given and stdout is not a terminal."""

EXAMPLES: Final = """\
For example:

    deepseek-async chat --system 'Answer in one sentence.'
    deepseek-async chat 'Why is the sky blue?' --thinking off > answer.txt
    deepseek-async chat 'What happened in Oslo today?' --search --thinking off
    git diff | deepseek-async chat --system 'Write a commit message.'"""


def chat(
    prompt: Annotated[str | None, Parameter(name=["--prompt", "--once"], help="Ask one question and exit.")] = None,
    *,
    model: Annotated[str | None, Parameter(help="Default: deepseek-flash.")] = None,
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    thinking: Annotated[Thinking | None, Parameter(help="Reasoning; the API's default is on.")] = None,
    search: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Enable web search; searches and pages are charged, and thinking uses many.",
        ),
    ] = False,
    safety_check: Annotated[
        Literal["high", "low"] | None,
        Parameter(help="Level of the service's content check, which may withdraw an answer."),
    ] = None,
    raw: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Write control characters unescaped to a file or pipe."),
    ] = False,
    connection: ConnectionFlags | None = None,
) -> int:
    interactive = prompt is None and sys.stdin.isatty()
    if prompt is None and not interactive:
        try:
            prompt = sys.stdin.read(_LONGEST_PROMPT + 1)
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"stdin must be {error.encoding.upper()}") from None
    if prompt is not None and len(prompt) > _LONGEST_PROMPT:
        raise ConfigurationError(f"stdin must be at most {_LONGEST_PROMPT:,} characters")
    if prompt is not None and not prompt.strip():
        raise ConfigurationError("the prompt is empty: give it as an argument or on stdin")
    from deepseek_async.batch.row import DEFAULT_MODEL  # noqa: PLC0415  brings aiohttp
    from deepseek_async.cli.conversation import History, ask_once, talk  # noqa: PLC0415

    client = (connection or ConnectionFlags()).client()
    parameters: dict[str, Any] = {"model": model or DEFAULT_MODEL, **thinking_parameter(thinking)}
    if search:
        parameters["tools"] = [{"type": kind} for kind in ("deepseek_web_search", "deepseek_read_url")]
    if safety_check is not None:
        parameters["safety_check"] = safety_check
    history = History(system)
    if prompt is not None:
        return ask_once(client, history, parameters, prompt, raw=raw)
    return talk(client, history, parameters, raw=raw)
