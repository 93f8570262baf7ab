"""Rows that are to be run again although they have an end: which, why, and with what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import msgspec

from deepseek_async.batch.answer_kind import decode_answer
from deepseek_async.batch.line import FinishedRow
from deepseek_async.batch.row import Row, overridden
from deepseek_async.errors import (
    ConfigurationError,
    InputFormatError,
    InvalidRequestError,
    ReasoningBudgetExhaustedError,
)


class End:
    """What a finished row's latest line says, as far as a later run cares: small plain numbers, millions of them."""

    ANSWERED: Final = 0
    FAILED: Final = 1
    # From here on the row may be run again.
    LENGTH: Final = 2
    """The answer was cut off at ``max_tokens``."""
    ERROR: Final = 3
    INVALID_JSON: Final = 4
    """The answer is no JSON, although the request asked for some."""
    CHANGED: Final = 5
    """The row asks for something else than it did."""
    MADE_UP: Final = 6
    """A simulator made the answer up, and this run wants a real one."""


_CUT_IN_REASONING: Final = f'"code":"{ReasoningBudgetExhaustedError.__name__}"'.encode()
"""An answer that max_tokens ended before its first word is an error, and cut off all the same."""

KINDS: Final = {"length": End.LENGTH, "error": End.ERROR, "invalid_json": End.INVALID_JSON, "changed": End.CHANGED}
_NAMES: Final = {end: name for name, end in KINDS.items()}


class Redo(msgspec.Struct, frozen=True):
    """What to run again, and under which other parameters."""

    kinds: frozenset[int] = frozenset()
    parameters: Mapping[str, Any] = {}
    new_too: bool = False
    """Whether rows without an end are run with them."""

    @classmethod
    def of(cls, kinds: str | Iterable[str], parameters: Mapping[str, Any], *, new_too: bool = False) -> Self:
        """From names, for example ``"length,error"`` or a list of them. Raises ConfigurationError."""
        given = [kinds] if isinstance(kinds, str) else kinds
        names = [name.strip() for listed in given for name in listed.split(",") if name.strip()]
        for name in names:
            if name not in KINDS:
                raise ConfigurationError(f"redo knows {', '.join(KINDS)}, and not {name!r}")
        if parameters and not names:
            raise ConfigurationError("other parameters are for rows that run again: say which with redo (--redo)")
        for name in ("messages", "prompt", "stream"):
            if name in parameters:
                raise ConfigurationError(f"{name} cannot be set for all rows that run again")
        return cls(frozenset(KINDS[name] for name in names), parameters, new_too)

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def end_of(self, row: FinishedRow, line: bytes) -> int:
        """How a row ended, in the words of this run."""
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
        """The row with the other parameters, if there are any; with an error if they make no request."""
        if row.body is None or not self.parameters:
            return row
        try:
            return msgspec.structs.replace(row, body=overridden(row, self.parameters))
        except InvalidRequestError as error:
            return msgspec.structs.replace(row, body=None, error=InputFormatError(error.message, line=row.line))

    def origin(self, end: int) -> dict[str, Any]:
        """The facts that the new line carries."""
        facts: dict[str, Any] = {"redo": _NAMES[end]}
        if self.parameters:
            facts["set"] = dict(self.parameters)
        return facts


def asks_for_json(row: Row) -> bool:
    """Whether the row wants its answer to be JSON."""
    if row.endpoint is not None:
        return row.body is not None and row.endpoint.asks_for_json(row.body)
    wanted = row.body.get("response_format") if row.body is not None else None
    return isinstance(wanted, Mapping) and wanted.get("type") in {"json_object", "json_schema"}
