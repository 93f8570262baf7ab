"""The pages of the reference: every public name, rendered from its docstring by mkdocstrings.

A page lists modules. A module's public names are those of its ``__all__``; without one, the classes and functions that
it defines without a leading underscore, and its names with a text behind them. A member whose docstring begins with
"Internal:" is left out: the library's modules share it, and programs do not use it. Names of ``deepseek_async`` itself
go to the page that holds the module they come from.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType

import deepseek_async


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what it is about, the modules it lists, and the homes of the names of the package that it takes."""

    title: str
    about: str
    modules: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """What users meet as the value of an attribute, and import from nowhere."""


PAGES: dict[str, Page] = {
    "client": Page(
        "Client and its settings",
        "The client, and the records that say how it behaves. Everything is imported from `deepseek_async`.",
        homes=(
            "client",
            "transport.timeouts",
            "call.retry",
            "admission",
            "codec.size_limits",
            "configuration",
            "cache",
            "labels",
            "lint",
        ),
        also=(
            "deepseek_async.configuration.settings.Settings",
            "deepseek_async.admission.statistics.ModelStatistics",
            "deepseek_async.admission.concurrency_limit.ConcurrencyStatistics",
            "deepseek_async.pricing.prices.AnswerCost",
        ),
    ),
    "calls": Page(
        "Calls",
        "What a client offers: `client.chat.completions`, `client.completions`, `client.responses`, "
        "`client.messages`, `client.embeddings`, `client.images`, `client.files`, `client.fine_tunes`, "
        "`client.models`, `client.user` and `client.tools`.",
        modules=(
            "deepseek_async.resources.chat",
            "deepseek_async.resources.completions",
            "deepseek_async.resources.responses",
            "deepseek_async.resources.messages",
            "deepseek_async.resources.embeddings",
            "deepseek_async.resources.images",
            "deepseek_async.resources.files",
            "deepseek_async.resources.fine_tunes",
            "deepseek_async.resources.account",
            "deepseek_async.resources.standalone.tools",
            "deepseek_async.resources.raw",
            "deepseek_async.resources.request_types",
        ),
        homes=("resources",),
        also=("deepseek_async.resources.chat_calls.ChatCalls",),
    ),
    "streams": Page(
        "Streams", "What `stream=True` gives, and the events of `stream.events()`.", homes=("call.stream",)
    ),
    "answers": Page(
        "Answers",
        "Answers, chunks and usage. Fields that this version does not know stay reachable as attributes, and "
        "`to_dict()` has them all.",
        modules=("deepseek_async.types",),
        homes=("types",),
    ),
    "objects-and-functions": Page(
        "Structured answers and tools",
        "Answers as objects, functions that the model calls, and sampling parameters for kinds of work.",
        modules=("deepseek_async.presets",),
        homes=("structured", "tools"),
    ),
    "errors": Page(
        "Errors",
        "Every error of the library is a `DeepSeekError`. Import them from `deepseek_async`.",
        modules=("deepseek_async.errors",),
        homes=("errors",),
    ),
    "batch": Page(
        "Batch",
        "`client.batch`, the result of a row, and the report of a job.",
        modules=("deepseek_async.batch",),
        homes=("batch",),
    ),
    "content": Page(
        "Content filter",
        "What may be sent and what may be answered.",
        modules=("deepseek_async.content",),
        homes=("content",),
    ),
    "events": Page("Events", "What listeners are told.", modules=("deepseek_async.events",)),
    "observe": Page(
        "Metrics, telemetry, audit and logs",
        "Listeners that come with the library.",
        modules=(
            "deepseek_async.observe.metrics",
            "deepseek_async.observe.telemetry",
            "deepseek_async.observe.audit",
            "deepseek_async.observe.logs",
            "deepseek_async.observe.dashboard",
        ),
    ),
    "prompt-cache": Page(
        "Prefix cache",
        "Why prompts missed the service's prefix cache: `client.cache_report()`.",
        modules=("deepseek_async.prompt_cache",),
        homes=("prompt_cache",),
    ),
    "finetune": Page("Training data", "Files for fine-tuning.", modules=("deepseek_async.finetune",)),
    "simulator": Page("Simulator", "A DeepSeek on this machine.", modules=("deepseek_async.simulator",)),
    "testing": Page(
        "Testing",
        "Recorded and built answers. The fixtures are on the page [Test your program](../how-to/test-your-program.md).",
        modules=("deepseek_async.testing",),
    ),
    "transport": Page(
        "Transport",
        "What `AsyncDeepSeek(transport=…)` requires of another transport.",
        modules=("deepseek_async.transport.protocol", "deepseek_async.transport.conformance"),
    ),
    "blocking": Page("Without coroutines", "The client for threads.", modules=("deepseek_async.blocking",)),
    "openai": Page(
        "openai-python and foreign clients",
        "openai-python over this engine, and the seam below it.",
        modules=("deepseek_async.integrations.openai", "deepseek_async.relay"),
    ),
    "ray": Page("Ray", "Datasets and jobs on a cluster.", modules=("deepseek_async.integrations.ray",)),
    "web": Page(
        "Web pages",
        "Answers relayed by FastAPI, Starlette and aiohttp.web, and errors as statuses.",
        modules=(
            "deepseek_async.integrations.web",
            "deepseek_async.integrations.web.starlette",
            "deepseek_async.integrations.web.aiohttp",
        ),
    ),
}

_CALLS = {"Chat", "Completions", "TextCompletions", "Responses", "Messages", "Embeddings", "Images", "Files"}
_CALLS |= {"FineTunes", "Models", "User", "Tools", "RawResponse"}
"""What users meet of the modules of calls; the rest is made by them."""


def pages() -> dict[str, str]:
    """Markdown by path."""
    made = {f"reference/{name}.md": text(name) for name in PAGES}
    rows = [f"| [{page.title}]({name}.md) | {page.about} |" for name, page in PAGES.items()]
    made["reference/index.md"] = "\n".join(["# Reference", "", "| Page | What it holds |", "|---|---|", *rows, ""])
    return made


def text(name: str) -> str:
    """One page: mkdocstrings replaces each ``:::`` line by what is named behind it."""
    page = PAGES[name]
    parts = [f"# {page.title}", page.about]
    if name == "errors":
        parts.append(inspect.cleandoc(importlib.import_module("deepseek_async.errors").__doc__ or ""))
    parts += [f"::: {path}{_options(path)}" for path in paths(name)]
    return "\n\n".join(parts) + "\n"


def _options(path: str) -> str:
    """What mkdocstrings is told of one object: to leave out its internal members."""
    module, _, last = path.rpartition(".")
    hidden = internal_members(getattr(importlib.import_module(module), last))
    return f'\n    options:\n      filters: ["!^_", "!^({"|".join(hidden)})$"]' if hidden else ""


def internal_members(documented: object) -> list[str]:
    """Members of a class that only this library uses: their docstring, or that of the base, begins with "Internal:"."""
    if not inspect.isclass(documented):
        return []
    names = [name for name in vars(documented) if not name.startswith("_")]
    return [name for name in names if (inspect.getdoc(getattr(documented, name)) or "").startswith("Internal:")]


def paths(name: str) -> list[str]:
    """Dotted paths of all that a page documents, each object once."""
    found: dict[int, str] = {}
    for path in PAGES[name].also:
        module, _, last = path.rpartition(".")
        found[id(getattr(importlib.import_module(module), last))] = path
    for public in deepseek_async.__all__:
        if page_of(deepseek_async._HOME[public]) == name:
            found[id(getattr(deepseek_async, public))] = f"deepseek_async.{public}"
    for path in PAGES[name].modules:
        module = importlib.import_module(path)
        for public in public_names(module):
            found.setdefault(id(getattr(module, public)), f"{path}.{public}")
    return sorted(found.values(), key=lambda path: (path != "deepseek_async.AsyncDeepSeek", path.rpartition(".")[2]))


def page_of(home: str) -> str:
    """The page with the longest of the ``homes`` that ``home`` lies in."""
    fitting = [
        (len(start), name)
        for name, page in PAGES.items()
        for start in page.homes
        if home == start or home.startswith(f"{start}.")
    ]
    if not fitting:
        raise LookupError(f"no page of the reference takes names of deepseek_async.{home}: add it to PAGES")
    return max(fitting)[1]


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for statement, after in pairwise([*body, ast.Pass()]):
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    yield name


def public_names(module: ModuleType) -> list[str]:
    """The names that ``module`` offers."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    mine = [name for name in _defined(ast.parse(inspect.getsource(module)).body) if not name.startswith("_")]
    hides = module.__name__.startswith("deepseek_async.resources.") and not module.__name__.endswith("request_types")
    return [name for name in mine if name in _CALLS] if hides else mine
