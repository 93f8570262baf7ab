"""``deepseek-async chat``: a conversation in the terminal, or one question."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags, Thinking, thinking_parameter
from deepseek_async.errors import ConfigurationError

_LONGEST_PROMPT: Final = 32 << 20
"""Eight times what a context holds, and no request may be longer."""
ABOUT: Final = """\
Talk to a model; answers appear as they are written, reasoning in grey.

Ctrl-C stops the answer, not the program: what you have seen of it stays in
the conversation, marked as cut off. If you have seen nothing yet, the
question is taken back. Ctrl-D or /quit leaves, /new begins a new conversation.

With a prompt, or with text piped in, there is one answer, and it alone is
written to stdout. Control characters in it are written out, as \\u001b, unless
--raw is given and stdout is no terminal."""

EXAMPLES: Final = """\
For example:

    deepseek-async chat --system 'Answer in one sentence.'
    deepseek-async chat 'Why is the sky blue?' --thinking off > answer.txt
    deepseek-async chat 'What happened in Oslo today?' --search --thinking off
    git diff | deepseek-async chat --system 'Write a commit message.'"""


def chat(
    prompt: Annotated[str | None, Parameter(name=["--prompt", "--once"], help="One question, then leave.")] = None,
    *,
    model: Annotated[str | None, Parameter(help="Default: deepseek-flash.")] = None,
    system: Annotated[str | None, Parameter(help="What the model is told before the conversation.")] = None,
    thinking: Annotated[Thinking | None, Parameter(help="Reasoning; the API's default is on.")] = None,
    search: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Let the service search the web and read pages; each is paid for, and with thinking there are many.",
        ),
    ] = False,
    safety_check: Annotated[
        Literal["high", "low"] | None, Parameter(help="How the service checks contents; it may withdraw an answer.")
    ] = None,
    raw: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Into a file or pipe: control characters as they came."),
    ] = False,
    connection: ConnectionFlags | None = None,
) -> int:
    interactive = prompt is None and sys.stdin.isatty()
    if prompt is None and not interactive:
        try:
            prompt = sys.stdin.read(_LONGEST_PROMPT + 1)
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"the text piped in is not {error.encoding.upper()}") from None
    if prompt is not None and len(prompt) > _LONGEST_PROMPT:
        raise ConfigurationError(f"the text piped in is longer than {_LONGEST_PROMPT:,} characters")
    if prompt is not None and not prompt.strip():
        raise ConfigurationError("the prompt is empty")
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
