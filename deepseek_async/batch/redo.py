"""Redo policy: which finished rows run again, why, and with which parameters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import msgspec

from deepseek_async.batch.output_line import FinishedRow
from deepseek_async.batch.row import Row, overridden
from deepseek_async.batch.truncated_answers import decode_answer
from deepseek_async.errors import (
    ConfigurationError,
    InputFormatError,
    InvalidRequestError,
    ReasoningBudgetExhaustedError,
)


class End:
    """Outcome of a finished row's last line. Plain small ints, because there may be millions."""

    ANSWERED: Final = 0
    FAILED: Final = 1
    # Outcomes from here on can be redone.
    LENGTH: Final = 2
    """The answer was truncated at ``max_tokens``."""
    ERROR: Final = 3
    INVALID_JSON: Final = 4
    """The answer is not JSON, although the request asked for JSON."""
    CHANGED: Final = 5
    """The row's request has changed."""
    MADE_UP: Final = 6
    """The answer is simulated, and this run wants a real one."""


_CUT_IN_REASONING: Final = f'"code":"{ReasoningBudgetExhaustedError.__name__}"'.encode()
"""An answer truncated by max_tokens before its first word is an error, but still counts as truncated."""

KINDS: Final = {"length": End.LENGTH, "error": End.ERROR, "invalid_json": End.INVALID_JSON, "changed": End.CHANGED}
_NAMES: Final = {end: name for name, end in KINDS.items()}


class Redo(msgspec.Struct, frozen=True):
    """Outcomes to run again, and the parameters to override."""

    kinds: frozenset[int] = frozenset()
    parameters: Mapping[str, Any] = {}
    new_too: bool = False
    """Whether rows that have not ended run too."""

    @classmethod
    def of(cls, kinds: str | Iterable[str], parameters: Mapping[str, Any], *, new_too: bool = False) -> Self:
        """Parse names, for example ``"length,error"`` or a list of them. Raises ConfigurationError."""
        given = [kinds] if isinstance(kinds, str) else kinds
        names = [name.strip() for listed in given for name in listed.split(",") if name.strip()]
        for name in names:
            if name not in KINDS:
                raise ConfigurationError(f"redo must be among {', '.join(KINDS)}, got {name!r}")
        if parameters and not names:
            raise ConfigurationError("redo_with requires redo: name the outcomes to run again (--redo)")
        for name in ("messages", "prompt", "stream"):
            if name in parameters:
                raise ConfigurationError(f"redo_with cannot set {name}")
        return cls(frozenset(KINDS[name] for name in names), parameters, new_too)

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def end_of(self, row: FinishedRow, line: bytes) -> int:
        """Return a row's outcome for this run."""
        if row.failed:
            if End.LENGTH in self.kinds and _CUT_IN_REASONING in bytes(row.error):
                return End.LENGTH
            return End.ERROR if End.ERROR in self.kinds else End.FAILED
        if End.LENGTH in self.kinds or End.INVALID_JSON in self.kinds:
            answer = decode_answer(line)
            if answer is not None:
                if End.LENGTH in self.kinds and answer.cut_off:
                    return End.LENGTH
                if End.INVALID_JSON in self.kinds and not answer.is_json:
                    return End.INVALID_JSON
        return End.ANSWERED

    def asked(self, row: Row) -> Row:
        """Return the row with overridden parameters, or with an error if they are invalid."""
        if row.body is None or not self.parameters:
            return row
        try:
            return msgspec.structs.replace(row, body=overridden(row, self.parameters))
        except InvalidRequestError as error:
            return msgspec.structs.replace(row, body=None, error=InputFormatError(error.message, line=row.line))

    def origin(self, end: int) -> dict[str, Any]:
        """Return the facts for the new line."""
        facts: dict[str, Any] = {"redo": _NAMES[end]}
        if self.parameters:
            facts["set"] = dict(self.parameters)
        return facts


def asks_for_json(row: Row) -> bool:
    """Whether the row asks for a JSON answer."""
    if row.endpoint is not None:
        return row.body is not None and row.endpoint.asks_for_json(row.body)
    wanted = row.body.get("response_format") if row.body is not None else None
    return isinstance(wanted, Mapping) and wanted.get("type") in {"json_object", "json_schema"}
