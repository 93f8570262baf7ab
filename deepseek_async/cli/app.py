"""Command-line application: command registration and error reporting.

Imports stay light: ``--help`` must not load aiohttp.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final, TextIO

from cyclopts import App, Group

from deepseek_async import __version__
from deepseek_async.cli import (
    balance,
    batch,
    batch_export,
    batch_merge,
    batch_plan,
    batch_report,
    batch_status,
    chat,
    check,
    fetch,
    finetune,
    models,
    ocr,
    say,
    search,
    serve,
    serve_keys,
    simulate,
    terminal,
    transcribe,
)
from deepseek_async.cli.operate import audit, budget, cache, config, metrics
from deepseek_async.cli.standard_streams import with_dashes_as_paths
from deepseek_async.errors import (
    ConfigurationError,
    DeepSeekError,
    InputChangedError,
    InputFormatError,
    InvalidRequestError,
    OutputLockedError,
    OutputWriteError,
)

_USAGE: Final = (ConfigurationError, InvalidRequestError, InputFormatError, InputChangedError, OutputWriteError)
_ASK: Final = Group("Ask", sort_key=0)
_LOOK: Final = Group("Look", sort_key=1)
_OPERATE: Final = Group("Operate", sort_key=2)
_TRY: Final = Group("Try without a key", sort_key=3)
_OPTIONS: Final = Group("Options", sort_key=4)

_ABOUT: Final = """\
Asyncio-native, high-throughput client for the DeepSeek API.

The API key is read from DEEPSEEK_API_KEY, the base URL from DEEPSEEK_BASE_URL
(default: https://api.deepseek.com). Answers and tables are written to stdout,
everything else to stderr."""

_EXAMPLES: Final = """\
For example, without an API key and at no cost:

    deepseek-async batch run prompts.jsonl -o answers.jsonl --simulate"""

app = App(
    name="deepseek-async",
    help=_ABOUT,
    help_format="plaintext",
    help_epilogue=_EXAMPLES,
    version=f"deepseek-async {__version__}",
    group_commands=_OPTIONS,
)
_batch = App(name="batch", help="Run files of requests as batch jobs.", group=_ASK, help_epilogue="")
_batch.command(batch.run, name="run", help=batch.ABOUT, help_epilogue=batch.EXAMPLES)
for _command in (batch_plan, batch_status, batch_export, batch_report, batch_merge):
    _batch.command(_command.run, name=_command.NAME, help=_command.ABOUT, help_epilogue=_command.EXAMPLES)
app.command(_batch)
app.command(chat.chat, group=_ASK, help=chat.ABOUT, help_epilogue=chat.EXAMPLES)
for _tool, _asked in (
    (search, search.search),
    (fetch, fetch.fetch),
    (ocr, ocr.ocr),
    (say, say.say),
    (transcribe, transcribe.transcribe),
):
    app.command(_asked, group=_ASK, help=_tool.ABOUT, help_epilogue=_tool.EXAMPLES)
_finetune = App(name="finetune", help="Prepare training data for fine-tuning.", group=_ASK, help_epilogue="")
_finetune.command(finetune.prepare, name="prepare", help=finetune.ABOUT, help_epilogue=finetune.EXAMPLES)
app.command(_finetune)
app.command(models.models, group=_LOOK, help=models.ABOUT, help_epilogue=models.EXAMPLES)
app.command(balance.balance, group=_LOOK, help=balance.ABOUT, help_epilogue=balance.EXAMPLES)
app.command(check.check, group=_LOOK, help=check.ABOUT, help_epilogue=check.EXAMPLES)
for _name, _help, _members in (
    (
        "config",
        "Show and create settings files.",
        {
            "show": (config.show, config.SHOW, config.SHOW_EXAMPLES),
            "init": (config.init, config.INIT, config.INIT_EXAMPLES),
        },
    ),
    (
        "metrics",
        "Generate Grafana dashboards and Prometheus alert rules.",
        {
            "dashboard": (metrics.dashboard, metrics.DASHBOARD, metrics.DASHBOARD_EXAMPLES),
            "rules": (metrics.rules, metrics.RULES, metrics.RULES_EXAMPLES),
        },
    ),
    ("audit", "Query the audit log.", {"query": (audit.query, audit.ABOUT, audit.EXAMPLES)}),
    (
        "cache",
        "Inspect and clear the response cache.",
        {
            "stats": (cache.stats, cache.STATS, cache.EXAMPLES),
            "clear": (cache.clear, cache.CLEAR, cache.EXAMPLES),
        },
    ),
):
    _group = App(name=_name, help=_help, group=_OPERATE, help_epilogue="")
    for _member, (_function, _about, _shown) in _members.items():
        _group.command(_function, name=_member, help=_about, help_epilogue=_shown)
    app.command(_group)
app.command(budget.budget, group=_OPERATE, help=budget.ABOUT, help_epilogue=budget.EXAMPLES)
_serve = App(name="serve", help=serve.ABOUT, help_format="plaintext", group=_OPERATE, help_epilogue=serve.EXAMPLES)
_serve.default(serve.serve)
_keys = App(name="keys", help="Manage the keys of a gateway's callers.", help_epilogue="")
_keys.command(serve_keys.add, name="add", help=serve_keys.ADD, help_epilogue=serve_keys.ADD_EXAMPLES)
_keys.command(serve_keys.list_callers, name="list", help=serve_keys.LIST, help_epilogue="")
_keys.command(serve_keys.revoke, name="revoke", help=serve_keys.REVOKE, help_epilogue="")
_serve.command(_keys)
app.command(_serve)
app.command(simulate.simulate, group=_TRY, help=simulate.ABOUT, help_epilogue=simulate.EXAMPLES)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Library errors are reported as one line on stderr."""
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, TextIOWrapper):
        # An answer may contain characters that the terminal's encoding lacks, and half a surrogate pair.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = app(with_dashes_as_paths(arguments), result_action="return_value")
        sys.stdout.flush()
    except DeepSeekError as error:
        terminal.say(f"error: {error.message}")
        return exit_code(error)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # the reader has exited: `… | head`
            place = "" if error.filename is None else f"{error.filename}: "
            terminal.say(f"error: {place}{error.strerror or error}")
        return 1
    return code if isinstance(code, int) else 0


def exit_code(error: DeepSeekError) -> int:
    """Return 2 for an error in usage or configuration, 4 for an output locked by another run, else 1."""
    if isinstance(error, OutputLockedError):
        return 4
    return 2 if isinstance(error, _USAGE) else 1


def _show_warning(  # noqa: PLR0917
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001  the signature is the warnings module's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Print a warning without its source location, which means nothing to a user of the command."""
    terminal.say(f"warning: {message}")
