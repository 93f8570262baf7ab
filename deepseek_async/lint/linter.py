"""Entry point of the linter: checks a request in a mode; repairs, warns or raises."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from deepseek_async.codec.tokens import estimate_prompt_tokens
from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.extensions import extension_findings
from deepseek_async.lint.finding import Finding, IgnoredParameterWarning, LintMode, Request, RequestLintWarning
from deepseek_async.lint.messages import message_findings
from deepseek_async.lint.rules import CONTEXT_WINDOW, MAX_TOKENS, rule_findings
from deepseek_async.lint.shape import is_beyond_doubt, shape_problem
from deepseek_async.lint.translation import foreign_findings
from deepseek_async.lint.unknown import known_part
from deepseek_async.text.redaction import redact

_SHORT: Final = CONTEXT_WINDOW - MAX_TOKENS
"""Request bytes that fit the context window whatever the text and max_tokens: a token has at least one byte."""

_ROUNDS: Final = 4
"""Rounds of repair: OpenAI's parameters, then the rules, each once more for findings exposed by a repair."""

_PACKAGE: Final = str(Path(__file__).parents[1])


def known(mode: LintMode) -> LintMode:
    """Return ``mode``. Raises InvalidRequestError for an unknown one."""
    if mode not in get_args(LintMode):
        raise InvalidRequestError(f"lint must be one of {', '.join(get_args(LintMode))}, got {mode!r}")
    return mode


class Linter:
    """Checks requests and remembers its warnings: each kind is reported once."""

    def __init__(self, mode: LintMode = "warn", note: Callable[[str], object] | None = None) -> None:
        self.mode: LintMode = mode
        self._note = note
        self._said: set[str] = set()

    def in_mode(self, mode: LintMode) -> Linter:
        """Return a linter with another mode, which shares the memory of reported warnings."""
        if mode == self.mode:
            return self
        other = Linter(mode, self._note)
        other._said = self._said
        return other

    def checked(
        self,
        body: Mapping[str, Any],
        wire: bytes,
        mode: LintMode,
        deliberate: Iterable[str] = (),
    ) -> Mapping[str, Any]:
        """Return ``body``, or a repaired copy in mode ``fix``.

        ``wire`` is the body as JSON; ``deliberate`` names undocumented parameters that are intentional. Raises
        InvalidRequestError, with ``findings``, in mode ``error``.
        """
        if mode == "off" or (len(wire) < _SHORT and is_beyond_doubt(body)):
            return body
        request: Request = orjson.loads(wire)
        meant = frozenset(deliberate)
        found = list(findings(request, wire, meant))
        if not found:
            return body
        if mode == "error":
            _refuse([finding for finding in found if finding.refused])
        if mode == "fix":
            found = _repaired_throughout(request, found, meant)
        for finding in found:
            self.tell(finding)
        return request if mode == "fix" else body

    def checked_message(
        self,
        body: Mapping[str, Any],
        mode: LintMode,
        deliberate: Iterable[str] = (),
    ) -> Mapping[str, Any]:
        """Like ``checked``, for a request in Anthropic's format."""
        if mode == "off":
            return body
        meant = frozenset(deliberate)
        found = list(message_findings(body, meant))
        if not found:
            return body
        if mode == "error":
            _refuse([finding for finding in found if finding.refused])
        request = dict(body)
        if mode == "fix":
            _repair(request, found)
            found = list(message_findings(request, meant))
        for finding in found:
            self.tell(finding)
        return request

    def tell(self, finding: Finding) -> None:
        """Report ``finding`` once per kind, as a warning or a log note.

        An unknown parameter or choice may be misspelt and is worth a warning.
        """
        if finding.code in self._said:
            return
        self._said.add(finding.code)
        if finding.severity == "note" and not finding.code.startswith(("ignored_parameter", "tool_choice")):
            if self._note is not None:
                self._note(redact(str(finding)))
        elif finding.code.startswith("ignored_parameter"):
            warnings.warn(redact(finding.message), IgnoredParameterWarning, stacklevel=_callers_level())
        else:
            warnings.warn(redact(str(finding)), RequestLintWarning, stacklevel=_callers_level())


def findings(
    request: Request,
    wire: bytes | None = None,
    deliberate: frozenset[str] = frozenset(),
) -> Iterator[Finding]:
    """Yield all findings for ``request``, plain JSON, without changing it."""
    wire = orjson.dumps(request) if wire is None else wire
    found = list(foreign_findings(request, deliberate))
    yield from found
    if any(finding.refused for finding in found):
        # The other rules check the request as translated to DeepSeek's parameters.
        request = orjson.loads(wire)
        _repair(request, found)
    known, notes = known_part(request)
    yield from notes
    problem = shape_problem(known)
    if problem is not None:
        yield Finding("shape", *problem)
        return
    yield from rule_findings(known, estimate_prompt_tokens(wire))
    yield from extension_findings(request, known)


def _repaired_throughout(request: Request, found: list[Finding], deliberate: frozenset[str]) -> list[Finding]:
    """Repair ``request`` in place and return the findings without a repair.

    A field of a wrong type hides findings for other fields, and a repair may remove it: a repaired request is checked
    again.
    """
    for _ in range(_ROUNDS):
        if not any(finding.repair for finding in found):
            break
        _repair(request, found)
        found = list(findings(request, deliberate=deliberate))
    return found


def _repair(request: Request, found: list[Finding]) -> None:
    for finding in found:
        if finding.repair is not None:
            finding.repair(request)


def _refuse(found: list[Finding]) -> None:
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidRequestError(f"DeepSeek would reject this request: {found[0]}{more}", findings=found)


def _callers_level() -> int:
    """Return the stack level of the first frame outside this package, for warnings."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001  the documented way to one frame
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
