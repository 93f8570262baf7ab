"""A stream's text, let out only as far as it is known to be harmless."""

from __future__ import annotations

from typing import Final

from deepseek_async.content.decision import BLOCKED, Verdict
from deepseek_async.content.filter import ContentFilter, Direction, blocked
from deepseek_async.content.patterns import LONGEST_START, find

_MOST_HELD: Final = 16_384
"""Characters of one finding that go on and on; a stream that has more of it is blocked."""

_MAY_GROW: Final = 64
"""Characters that must follow a finding before it is taken as ended: the last line of a private key has so many."""

_CONTEXT: Final = 16
"""Characters before what is held that a pattern may look at: is this the beginning of a word?"""


class HoldBack:
    """Takes pieces of one text in and gives out what is checked: the same as checking the whole text at once."""

    def __init__(self, content_filter: ContentFilter, verdict: Verdict, direction: Direction = "output") -> None:
        self._direction: Direction = direction
        self._filter = content_filter
        self._verdict = verdict
        self._held = ""
        self._context = 0  # characters at the beginning of it that were given out already

    def push(self, piece: str) -> str:
        """What may be given out now that ``piece`` has come. Raises ContentBlockedError."""
        self._held += piece
        # Looking at every few characters anew would cost more than the stream itself.
        if len(self._held) - self._context < 2 * LONGEST_START:
            return ""
        return self._release(len(self._held) - LONGEST_START, last=False)

    def end(self) -> str:
        """The rest: no more will come. Raises ContentBlockedError."""
        return self._release(len(self._held), last=True)

    def _release(self, until: int, *, last: bool) -> str:
        text = self._held
        done = []
        for finding in find(text, self._filter.patterns, self._context):
            if finding.start >= until:
                break
            if not last and finding.end + _MAY_GROW > len(text):
                # It may go on, or turn out to be something else, with what comes next.
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
