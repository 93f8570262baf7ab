"""Content filter: checks requests before they are sent and answers before they are returned."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from deepseek_async.content.decision import BLOCKED, FLAGGED, REDACTED, Block, Check, Flag, Replace, Verdict
from deepseek_async.content.patterns import PERSONAL, SECRETS, Pattern, PatternMatch, find, likely, masked
from deepseek_async.content.text_locations import collected, copied
from deepseek_async.errors import ConfigurationError, ContentBlockedError

Action: TypeAlias = Literal["redact", "block", "flag", "off"]
Direction: TypeAlias = Literal["input", "output"]

_ACTIONS: Final = frozenset({"redact", "block", "flag", "off"})
_NOTHING: Final[Mapping[str, str]] = {}

_ADDRESSES: Final = ("http://", "https://")
_IN_ADDRESSES: Final = ":/?#[]@!$&'()*+,;="
"""Characters that a URL may contain unescaped (RFC 3986)."""


class ContentFilter:
    """Checks every text of a request before it is sent and every text of an answer before it is returned.

    This covers all endpoints and all fields, unknown ones included; uploaded files in UTF-8; and requests to other
    ``endpoints`` and to a fallback. Images and other base64 data, and headers, are not checked.

    - ``secrets``: action for keys, tokens and passwords; redact by default.
    - ``personal``: action for addresses and for telephone, card and identity numbers; flag by default.
    - ``input_checks``, ``output_checks``: custom checks, run in order after the built-in ones. Each takes a text and
      returns None to let it pass, or Flag, Block or Replace; it may be async. API constants, such as roles, models
      and ids, are checked only for secrets.

    ``redact`` replaces a finding by its kind in brackets, ``block`` raises ContentBlockedError, ``flag`` only counts.
    Streams are held back by 256 characters, so that no finding leaves in part; custom checks see a stream in
    sections. Raises ConfigurationError for an unknown action.
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
                raise ConfigurationError(f"content_filter.{name} must be redact, block, flag or off, got {action!r}")
        self.secrets: Final = secrets
        self.personal: Final = personal
        self._input_checks = tuple(input_checks)
        self._output_checks = tuple(output_checks)
        actions = ((SECRETS, secrets), (PERSONAL, personal))
        self.patterns: Final[tuple[Pattern, ...]] = tuple(
            pattern for patterns, action in actions if action != "off" for pattern in patterns
        )
        self._secrets = tuple(pattern for pattern in self.patterns if pattern in SECRETS)
        self._action = {pattern.kind: action for patterns, action in actions for pattern in patterns}

    async def request(self, body: Mapping[str, Any], verdict: Verdict) -> Mapping[str, Any]:
        """Internal: return the filtered request body; the same object if unchanged. Raises ContentBlockedError."""
        allowed: Mapping[str, Any] = await self._looked_over(body, "input", verdict, {})
        return allowed

    async def answer(self, body: Any, verdict: Verdict, known: Mapping[str, str] = _NOTHING) -> Any:
        """Internal: return the filtered answer body; the same object if unchanged.

        ``known`` maps texts already checked to their filtered form. Raises ContentBlockedError.
        """
        return await self._looked_over(body, "output", verdict, known)

    def path(self, path: str, verdict: Verdict) -> str:
        """Internal: return the filtered request path, which may name models and files. Raises ContentBlockedError."""
        if not likely(unquote(path), self._secrets):
            return path
        names = [unquote(name) for name in path.split("/")]
        allowed = [self._built_in(name, self._secrets, verdict, "input") for name in names]
        return path if allowed == names else "/".join(quote(name, safe="") for name in allowed)

    def withheld(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Internal: return ``body`` without its texts, for events about a blocked request."""
        copy, places = copied(body)
        for place in places:
            if place.prose or any(find(place.text, self._secrets)):
                place.put("[blocked]")
        told: Mapping[str, Any] = copy
        return told

    async def output(self, text: str, verdict: Verdict) -> str:
        """Internal: return the filtered text of an answer. Raises ContentBlockedError."""
        return await self.own_checks(self.built_in(text, verdict), verdict)

    async def own_checks(self, text: str, verdict: Verdict) -> str:
        """Internal: return ``text`` after the custom output checks. Raises ContentBlockedError."""
        return await self._own(text, self._output_checks, "output", verdict)

    def built_in(self, text: str, verdict: Verdict, direction: str = "output") -> str:
        """Internal: return ``text`` after the built-in checks. Raises ContentBlockedError."""
        return self._built_in(text, self.patterns, verdict, direction)

    def _built_in(self, text: str, patterns: tuple[Pattern, ...], verdict: Verdict, direction: str) -> str:
        findings = list(find(text, patterns)) if patterns else []
        return masked(text, self.dealt_with(findings, verdict, direction)) if findings else text

    def _passed(self, text: str, patterns: tuple[Pattern, ...], verdict: Verdict, direction: str) -> str:
        """Like ``_built_in``, and also checks the decoded form of a URL path, because escapes hide word boundaries."""
        allowed = self._built_in(text, patterns, verdict, direction)
        if allowed is not text or "%" not in text or not text.startswith(_ADDRESSES):
            return allowed
        meant = unquote(text)
        allowed = self._built_in(meant, patterns, verdict, direction)
        return text if allowed is meant else quote(allowed, safe=_IN_ADDRESSES)

    def dealt_with(self, findings: Iterable[PatternMatch], verdict: Verdict, direction: str) -> list[PatternMatch]:
        """Internal: record ``findings`` and return those to redact. Raises ContentBlockedError."""
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

    async def _looked_over(self, body: Any, direction: Direction, verdict: Verdict, known: Mapping[str, str]) -> Any:
        """Return ``body`` with every text filtered; the same object if unchanged."""
        checks = self._input_checks if direction == "input" else self._output_checks
        # One search over the joined texts rules out most patterns, and then nothing is copied.
        texts, words = collected(body)
        said = "\n".join(texts)
        if "%" in said and "://" in said:
            said = f"{said}\n{unquote(said)}"
        patterns, secrets = likely(said, self.patterns), likely("\n".join(words), self._secrets)
        if not patterns and not secrets and not checks and not known:
            return body
        copy, places = copied(body)
        changed = False
        for place in places:
            text = known.get(place.text)
            if text is None:
                text = self._passed(place.text, patterns if place.prose else secrets, verdict, direction)
                if checks and place.prose:
                    text = await self._own(text, checks, direction, verdict)
            if text != place.text:
                place.put(text)
                changed = True
        return copy if changed else body

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
                        f"a content check must return None, Flag, Block or Replace, got {type(decision).__name__}",
                    )
        return text


def blocked(direction: str, verdict: Verdict) -> ContentBlockedError:
    """Return the error for a blocked text. It names the kinds found, never the text."""
    kinds = tuple(sorted(verdict.kinds))
    what = "request not sent" if direction == "input" else "answer withheld"
    return ContentBlockedError(
        f"content filter found {', '.join(kinds)}: {what}",
        direction=direction,
        kinds=kinds,
    )
