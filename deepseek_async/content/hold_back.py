"""Hold-back buffer of a filtered stream: releases text once no finding can start in it."""

from __future__ import annotations

from typing import Final

from deepseek_async.content.decision import BLOCKED, Verdict
from deepseek_async.content.filter import ContentFilter, Direction, blocked
from deepseek_async.content.patterns import LONGEST_START, find

_MOST_HELD: Final = 16_384
"""Longest finding in characters; a stream that exceeds it is blocked."""

_MAY_GROW: Final = 64
"""Characters after a finding before it counts as complete: the length of a private key's last line."""

_CONTEXT: Final = 16
"""Already released characters that patterns may look back at, for word boundaries."""


class HoldBack:
    """Filters a text that arrives in pieces; the result equals filtering the whole text at once."""

    def __init__(self, content_filter: ContentFilter, verdict: Verdict, direction: Direction = "output") -> None:
        self._direction: Direction = direction
        self._filter = content_filter
        self._verdict = verdict
        self._held = ""
        self._context = 0  # leading characters that were already released

    def push(self, piece: str) -> str:
        """Add ``piece`` and return the text that can be released. Raises ContentBlockedError."""
        self._held += piece
        # Rescanning for every few characters would cost more than the stream itself.
        if len(self._held) - self._context < 2 * LONGEST_START:
            return ""
        return self._release(len(self._held) - LONGEST_START, last=False)

    def end(self) -> str:
        """Return the remaining text at the end of the stream. Raises ContentBlockedError."""
        return self._release(len(self._held), last=True)

    def _release(self, until: int, *, last: bool) -> str:
        text = self._held
        done = []
        for finding in find(text, self._filter.patterns, self._context):
            if finding.start >= until:
                break
            if not last and finding.end + _MAY_GROW > len(text):
                # Later text may extend the finding or change its kind.
                if len(text) - finding.start > _MOST_HELD:
                    self._verdict.add(BLOCKED, finding.kind)
                    raise blocked(self._direction, self._verdict)
                until = finding.start
                break
            done.append(finding)
            until = max(until, finding.end)
        redacted = self._filter.dealt_with(done, self._verdict, self._direction)
        pieces, at = [], self._context
        for finding in redacted:
            pieces += [text[at : finding.start], f"[{finding.kind}]"]
            at = finding.end
        pieces.append(text[at:until])
        kept_from = max(0, until - _CONTEXT)
        self._held, self._context = text[kept_from:], until - kept_from
        return "".join(pieces)
