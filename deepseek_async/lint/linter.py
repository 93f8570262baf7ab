"""The one way in: a request and a mode go in, a request comes out, with warnings or an error on the way."""

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
"""Bytes that fit whatever the text and the cap: a token has at least one byte."""

_ROUNDS: Final = 4
"""Of repairs: words of OpenAI's API, then the rules, and each of the two once more for what a repair brought up."""

_PACKAGE: Final = str(Path(__file__).parents[1])


def known(mode: LintMode) -> LintMode:
    """``mode`` itself. Raises InvalidRequestError for a word that is none."""
    if mode not in get_args(LintMode):
        raise InvalidRequestError(f"lint must be one of {', '.join(get_args(LintMode))}, not {mode!r}")
    return mode


class Linter:
    """Looks requests over and remembers what it has said: a warning is given once per kind."""

    def __init__(self, mode: LintMode = "warn", note: Callable[[str], object] | None = None) -> None:
        self.mode: LintMode = mode
        self._note = note
        self._said: set[str] = set()

    def in_mode(self, mode: LintMode) -> Linter:
        """A linter in another mode, or this one; what one has said the other does not say again."""
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
        """``body`` itself, or in the mode ``fix`` perhaps a repaired copy.

        ``wire`` is the body as JSON; ``deliberate`` names parameters that are meant although the API does not
        know them. Raises InvalidRequestError, with ``findings``, in the mode ``error``.
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
        """The same for a request in Anthropic's format."""
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
        """Tell of ``finding``, once for its kind: by a warning, or to whoever takes notes.

        A parameter or a choice that is unknown may be misspelt: that is worth a warning.
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
    """Everything wrong with ``request``, which is plain JSON and is not changed by this."""
    wire = orjson.dumps(request) if wire is None else wire
    found = list(foreign_findings(request, deliberate))
    yield from found
    if any(finding.refused for finding in found):
        # The rest is judged as if it had been said in DeepSeek's words.
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
    """Repair ``request`` in place; returns what could not be repaired.

    A field of a wrong type hides what the rules would say of the others, and may be one that a repair leaves out:
    so a repaired request is looked over again.
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
        raise InvalidRequestError(f"DeepSeek would refuse this request: {found[0]}{more}", findings=found)


def _callers_level() -> int:
    """How far up the stack the first frame outside this package is: its line is what helps."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001  the documented way to one frame
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
