"""The content filter: what may leave for the API, and what may reach the caller."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from deepseek_async.content.decision import BLOCKED, FLAGGED, REDACTED, Block, Check, Flag, Replace, Verdict
from deepseek_async.content.patterns import PERSONAL, SECRETS, Pattern, PatternMatch, find, likely, masked
from deepseek_async.content.texts import collected, copied
from deepseek_async.errors import ConfigurationError, ContentBlockedError

Action: TypeAlias = Literal["redact", "block", "flag", "off"]
Direction: TypeAlias = Literal["input", "output"]

_ACTIONS: Final = frozenset({"redact", "block", "flag", "off"})
_NOTHING: Final[Mapping[str, str]] = {}

_ADDRESSES: Final = ("http://", "https://")
_IN_ADDRESSES: Final = ":/?#[]@!$&'()*+,;="
"""What an address may hold as it is (RFC 3986)."""


class ContentFilter:
    """Checks every text of a request before it is sent and every text of an answer before it is handed out.

    Every text: of whatever kind of call, in whatever field, also one that nobody knows today; the file that is
    uploaded, if it is text in UTF-8; and what is sent to an endpoint elsewhere or to a fallback. Pictures and other
    bytes in base64 are no texts, and headers are the program's own.

    - ``secrets``: what to do with keys, tokens and passwords; redact by default.
    - ``personal``: what to do with addresses, telephone, card and identity numbers; flag by default.
    - ``input_checks``, ``output_checks``: the program's own, run in order after the built-in ones. Each takes a text
      and returns None to let it pass, or Flag, Block or Replace; it may be async. Names and words of the API, such
      as roles, models and ids, are looked at for secrets alone.

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
        self._secrets = tuple(pattern for pattern in self.patterns if pattern in SECRETS)
        self._action = {pattern.kind: action for patterns, action in actions for pattern in patterns}

    async def request(self, body: Mapping[str, Any], verdict: Verdict) -> Mapping[str, Any]:
        """``body`` as it may be sent: the same object if nothing had to be replaced. Raises ContentBlockedError."""
        allowed: Mapping[str, Any] = await self._looked_over(body, "input", verdict, {})
        return allowed

    async def answer(self, body: Any, verdict: Verdict, known: Mapping[str, str] = _NOTHING) -> Any:
        """``body`` of an answer as it may be handed out: the same object if nothing had to be replaced.

        ``known``: texts that were looked at before, and what was let out of them. Raises ContentBlockedError.
        """
        return await self._looked_over(body, "output", verdict, known)

    def path(self, path: str, verdict: Verdict) -> str:
        """``path`` of a request, in which names of models and files stand. Raises ContentBlockedError."""
        if not likely(unquote(path), self._secrets):
            return path
        names = [unquote(name) for name in path.split("/")]
        allowed = [self._built_in(name, self._secrets, verdict, "input") for name in names]
        return path if allowed == names else "/".join(quote(name, safe="") for name in allowed)

    def withheld(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """``body`` without its texts: what may be told of a request that was blocked."""
        copy, places = copied(body)
        for place in places:
            if place.prose or any(find(place.text, self._secrets)):
                place.put("[blocked]")
        told: Mapping[str, Any] = copy
        return told

    async def output(self, text: str, verdict: Verdict) -> str:
        """``text`` of an answer as it may be handed out. Raises ContentBlockedError."""
        return await self.own_checks(self.built_in(text, verdict), verdict)

    async def own_checks(self, text: str, verdict: Verdict) -> str:
        """``text`` as the program's own checks of answers let it out. Raises ContentBlockedError."""
        return await self._own(text, self._output_checks, "output", verdict)

    def built_in(self, text: str, verdict: Verdict, direction: str = "output") -> str:
        """``text`` as the built-in checks let it through. Raises ContentBlockedError."""
        return self._built_in(text, self.patterns, verdict, direction)

    def _built_in(self, text: str, patterns: tuple[Pattern, ...], verdict: Verdict, direction: str) -> str:
        findings = list(find(text, patterns)) if patterns else []
        return masked(text, self.dealt_with(findings, verdict, direction)) if findings else text

    def _passed(self, text: str, patterns: tuple[Pattern, ...], verdict: Verdict, direction: str) -> str:
        """As ``_built_in``; an address is looked at as what it means too, because escapes hide where a word begins."""
        allowed = self._built_in(text, patterns, verdict, direction)
        if allowed is not text or "%" not in text or not text.startswith(_ADDRESSES):
            return allowed
        meant = unquote(text)
        allowed = self._built_in(meant, patterns, verdict, direction)
        return text if allowed is meant else quote(allowed, safe=_IN_ADDRESSES)

    def dealt_with(self, findings: Iterable[PatternMatch], verdict: Verdict, direction: str) -> list[PatternMatch]:
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

    async def _looked_over(self, body: Any, direction: Direction, verdict: Verdict, known: Mapping[str, str]) -> Any:
        """``body`` with every text in it as it may pass; the same object if each is as it was."""
        checks = self._input_checks if direction == "input" else self._output_checks
        # What is in no text is in none of them: one look instead of one for each, and nothing to be copied.
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
