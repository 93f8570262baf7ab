"""Row options of the command line: template, ids and request parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from cyclopts.types import NonNegativeFloat, PositiveInt

from deepseek_async.cli.assignments import assignments
from deepseek_async.cli.connection import Thinking, thinking_parameter
from deepseek_async.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from deepseek_async.batch.row import Defaults

ROWS: Final = Group("Rows", sort_key=1)

_MOST_SCHEMA_BYTES: Final = 4 << 20
"""Longest schema, in bytes: it is part of the prompt, and the context window is no longer."""
_OWN_FLAGS: Final = {
    "model": "--model",
    "max_tokens": "--max-tokens",
    "temperature": "--temperature",
    "thinking": "--thinking",
    "template": "--template",
    "id_column": "--id-column",
    "empty": "--empty",
    "max_row_bytes": "--max-row-bytes",
    "ordered": "--ordered",
    "concurrency": "--concurrency",
    "order": "--schedule",
    "window": "--window",
    "deadline": "--deadline",
    "budget": "--budget",
    "redo": "--redo",
    "redo_with": "--set",
    "dedupe": "--dedupe",
    "shard": "--shard",
    "durability": "--durability",
    "min_free": "--min-free",
    "allow_network": "--allow-network",
}
_NOT_FOR_ALL: Final = frozenset({"messages", "prompt", "source", "output", "on_progress", "stream", "stream_options"})


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RowFlags:
    """Request parameters of rows that do not set their own."""

    model: Annotated[
        str | None,
        Parameter(group=ROWS, help="For rows without a model. Default: deepseek-flash."),
    ] = None
    template: Annotated[
        str | None,
        Parameter(group=ROWS, help="Prompt template with {column} placeholders, for tables and records."),
    ] = None
    id_column: Annotated[
        str | None,
        Parameter(
            group=ROWS,
            metavar="NAME",
            help="Column, or key, of the row id, which identifies the row even if its text changes. Default: "
            "custom_id, where present.",
        ),
    ] = None
    empty: Annotated[
        Literal["refuse", "send", "skip"] | None,
        Parameter(
            group=ROWS,
            help="A row whose prompt depends on an empty, null or NaN cell fails (refuse), is sent without it (send), "
            "or is skipped (skip). Default: refuse.",
        ),
    ] = None
    max_row_bytes: Annotated[
        PositiveInt | None,
        Parameter(
            group=ROWS,
            help="A longer line or record is an invalid row, and is never held in memory. Default: 48 MiB, the longest "
            "request that DeepSeek accepts.",
        ),
    ] = None
    max_tokens: Annotated[
        PositiveInt | None, Parameter(group=ROWS, help="Maximum tokens of an answer, including reasoning.")
    ] = None
    temperature: Annotated[NonNegativeFloat | None, Parameter(group=ROWS, help="0 to 2.")] = None
    thinking: Annotated[Thinking | None, Parameter(group=ROWS, help="Reasoning; the API's default is on.")] = None
    param: Annotated[
        list[str] | None,
        Parameter(
            group=ROWS,
            negative=(),
            metavar="NAME=JSON",
            allow_leading_hyphen=False,
            help="Any other API parameter; repeatable.",
        ),
    ] = None
    schema: Annotated[
        Path | None,
        Parameter(
            group=ROWS,
            metavar="FILE",
            help="JSON Schema, of an object, for the answers: requested, validated, and retried at most twice. "
            "Requires the extra schema.",
        ),
    ] = None

    def defaults(self, before: Defaults | None = None) -> Defaults:
        """Return the row defaults; options not given are taken from ``before``. Raises ConfigurationError."""
        from msgspec.structs import replace  # noqa: PLC0415

        from deepseek_async.batch.row import Defaults  # noqa: PLC0415  brings aiohttp

        before = before or Defaults()
        given = self.parameters()
        return replace(
            before,
            model=given.pop("model", before.model),
            parameters={**before.parameters, **given},
            template=before.template if self.template is None else self.template,
            id_column=before.id_column if self.id_column is None else self.id_column,
            empty=self.empty or before.empty,
            max_row_bytes=self.max_row_bytes or before.max_row_bytes,
            form=before.form if self.schema is None else self.response_format()["response_format"].form,
        )

    def response_format(self) -> dict[str, Any]:
        """Return ``response_format`` for ``--schema``, or an empty dict. Raises ConfigurationError, naming the file."""
        document = self.schema_document()
        if document is None:
            return {}
        from deepseek_async.structured import StructuredOutput  # noqa: PLC0415

        try:
            return {"response_format": StructuredOutput(document)}
        except InvalidRequestError as error:
            raise ConfigurationError(f"--schema {self.schema}: {error.message}") from None

    def schema_document(self) -> dict[str, Any] | None:
        """Read the file of ``--schema``. Raises ConfigurationError, naming the file."""
        if self.schema is None:
            return None
        if "response_format" in parameters_of(self.param or []):
            raise ConfigurationError("--schema and --param response_format cannot be combined")
        from deepseek_async.files.bounded_lines import content_of  # noqa: PLC0415  brings msgspec

        try:
            schema = json.loads(content_of(self.schema, _MOST_SCHEMA_BYTES))
        except OSError as error:
            raise ConfigurationError(f"--schema {self.schema}: {error.strerror or error}") from None
        except InvalidRequestError as error:
            raise ConfigurationError(f"--schema {self.schema}: {error.message}") from None
        except ValueError as error:
            raise ConfigurationError(f"--schema {self.schema}: not JSON: {error}") from None
        if not isinstance(schema, dict):
            raise ConfigurationError(f"--schema {self.schema}: must be a JSON object")
        return schema

    def parameters(self) -> dict[str, Any]:
        """Return the API parameters of these options. Raises ConfigurationError."""
        given = (("model", self.model), ("max_tokens", self.max_tokens), ("temperature", self.temperature))
        return {
            **parameters_of(self.param or []),
            **thinking_parameter(self.thinking),
            **{name: value for name, value in given if value is not None},
        }


def parameters_of(texts: list[str]) -> dict[str, Any]:
    """Parse ``NAME=JSON`` texts. Raises ConfigurationError for an invalid one, or one with its own option."""
    parameters = assignments(texts, "--param")
    for name in parameters:
        if name in _OWN_FLAGS:
            raise ConfigurationError(f"--param {name}: use {_OWN_FLAGS[name]}")
        if name in _NOT_FOR_ALL:
            raise ConfigurationError(f"--param {name} cannot be set for all rows of a batch")
    return parameters
