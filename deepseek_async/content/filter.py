"""The content filter: what may leave for the API, and what may reach the caller."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from deepseek_async.content.decision import BLOCKED, FLAGGED, REDACTED, Block, Check, Flag, Replace, Verdict
from deepseek_async.content.patterns import PERSONAL, SECRETS, Finding, Pattern, find, masked
from deepseek_async.errors import ConfigurationError, ContentBlockedError

Action: TypeAlias = Literal["redact", "block", "flag", "off"]

_ACTIONS: Final = frozenset({"redact", "block", "flag", "off"})
_TEXT_FIELDS: Final = ("content", "reasoning_content")


class ContentFilter:
    """Checks every text of a request before it is sent and every text of an answer before it is handed out.

    - ``secrets``: what to do with keys, tokens and passwords; redact by default.
    - ``personal``: what to do with addresses, telephone, card and identity numbers; flag by default.
    - ``input_checks``, ``output_checks``: the program's own, run in order after the built-in ones. Each takes a text
      and returns None to let it pass, or Flag, Block or Replace; it may be async.

    ``redact`` puts the kind in brackets in its place, ``block`` raises ContentBlockedError, ``flag`` only counts.
    A stream's text is held back by 256 characters, so that nothing is let out by halves; the program's own
    checks see a stream in stretches. Raises ConfigurationError for an unknown action.
    """

    def __init__(
        self,
        *,
        secrets: Action = "redact",
        personal: Action = "flag",
        input_checks: Iterable[Check] = (),
        output_checks: Iterable[Check] = (),
    ) -> None:
        for name, action in (("secrets", secrets), ("personal", personal)):
            if action not in _ACTIONS:
                raise ConfigurationError(f"content_filter.{name} must be redact, block, flag or off, not {action!r}")
        self.secrets: Final = secrets
        self.personal: Final = personal
        self._input_checks = tuple(input_checks)
        self._output_checks = tuple(output_checks)
        actions = ((SECRETS, secrets), (PERSONAL, personal))
        self.patterns: Final[tuple[Pattern, ...]] = tuple(
            pattern for patterns, action in actions if action != "off" for pattern in patterns
        )
        self._action = {pattern.kind: action for patterns, action in actions for pattern in patterns}

    async def request(self, body: Mapping[str, Any], verdict: Verdict) -> Mapping[str, Any]:
        """``body`` as it may be sent: the same object if nothing had to be replaced. Raises ContentBlockedError."""
        changed = dict(body)
        for field in ("prompt", "suffix"):
            if isinstance(changed.get(field), str):
                changed[field] = await self._input(changed[field], verdict)
        messages = changed.get("messages")
        if isinstance(messages, list | tuple):
            changed["messages"] = [await self._message(message, verdict) for message in messages]
        return changed if verdict.word == REDACTED else body

    async def output(self, text: str, verdict: Verdict) -> str:
        """``text`` of an answer as it may be handed out. Raises ContentBlockedError."""
        return await self.own_checks(self.built_in(text, verdict), verdict)

    async def own_checks(self, text: str, verdict: Verdict) -> str:
        """``text`` as the program's own checks of answers let it out. Raises ContentBlockedError."""
        return await self._own(text, self._output_checks, "output", verdict)

    def built_in(self, text: str, verdict: Verdict, direction: str = "output") -> str:
        """``text`` as the built-in checks let it through. Raises ContentBlockedError."""
        findings = list(find(text, self.patterns))
        return masked(text, self.dealt_with(findings, verdict, direction)) if findings else text

    def dealt_with(self, findings: Iterable[Finding], verdict: Verdict, direction: str) -> list[Finding]:
        """Note ``findings``; returns those that are to be redacted. Raises ContentBlockedError."""
        redacted = []
        for finding in findings:
            match self._action[finding.kind]:
                case "block":
                    verdict.add(BLOCKED, finding.kind)
                    raise blocked(direction, verdict)
                case "redact":
                    verdict.add(REDACTED, finding.kind)
                    redacted.append(finding)
                case _:
                    verdict.add(FLAGGED, finding.kind)
        return redacted

    async def _message(self, message: Any, verdict: Verdict) -> Any:
        """A message of the conversation, also one that an earlier answer brought."""
        if not isinstance(message, Mapping):
            to_request = getattr(message, "to_request", None)
            if to_request is None:
                return message
            message = to_request()
        changed = dict(message)
        for field in _TEXT_FIELDS:
            value = changed.get(field)
            if isinstance(value, str):
                changed[field] = await self._input(value, verdict)
            elif isinstance(value, list):
                changed[field] = [await self._part(part, verdict) for part in value]
        return changed

    async def _part(self, part: Any, verdict: Verdict) -> Any:
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            return {**part, "text": await self._input(part["text"], verdict)}
        return part

    async def _input(self, text: str, verdict: Verdict) -> str:
        text = self.built_in(text, verdict, "input")
        return await self._own(text, self._input_checks, "input", verdict) if self._input_checks else text

    async def _own(self, text: str, checks: tuple[Check, ...], direction: str, verdict: Verdict) -> str:
        for check in checks:
            decision = check(text)
            if inspect.isawaitable(decision):
                decision = await decision
            match decision:
                case Block(reason):
                    verdict.add(BLOCKED, reason)
                    raise blocked(direction, verdict)
                case Replace(other, reason):
                    verdict.add(REDACTED, reason)
                    text = other
                case Flag(reason):
                    verdict.add(FLAGGED, reason)
                case None:
                    pass
                case _:
                    raise ConfigurationError(
                        f"a content check must return None, Flag, Block or Replace, not {type(decision).__name__}",
                    )
        return text


def blocked(direction: str, verdict: Verdict) -> ContentBlockedError:
    """The error for a text that is not let through. Says what was found, never the text."""
    kinds = tuple(sorted(verdict.kinds))
    what = "request was not sent" if direction == "input" else "answer is withheld"
    return ContentBlockedError(
        f"the content filter found {', '.join(kinds)}: the {what}",
        direction=direction,
        kinds=kinds,
    )
