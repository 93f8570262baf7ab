"""Report on the prefix cache: figures, and the causes of misses by what they cost. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from deepseek_async.text.number_format import counted, dollars, share

_SHOWN: Final = 12

CAUSES: Final = {
    "changed": "differs from an earlier prompt in {place}, and repeats it after that",
    "concurrent": "sent before an earlier prompt with the same beginning had been answered",
    "server": "begins as an earlier prompt, but the service did not have it (its cache is best effort)",
    "user_id": "begins as a prompt of another user_id, whose cache is separate",
    "model": "begins as a prompt to another model, whose cache is separate",
}
"""Why tokens missed that could have been hit, as a sentence."""


@dataclass(frozen=True)
class CacheFigures:
    """Prompts of one model or user."""

    prompts: int = 0
    prompt_tokens: int = 0
    hit_tokens: int = 0
    """Billed as served from the cache."""
    expected_tokens: int = 0
    """Expected from the cache, by the earlier prompts."""
    lost_tokens: int = 0
    """Billed as missed, although they could have been hit."""
    lost_dollars: float = 0.0
    """The difference of the two prices, for those."""

    @property
    def hit_share(self) -> float:
        """Share of the prompt tokens that was served from the cache, from 0 to 1."""
        return self.hit_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def plus(self, *, prompt: int, hit: int, expected: int, lost: int, lost_dollars: float) -> CacheFigures:
        """Return these figures with one more prompt."""
        return CacheFigures(
            self.prompts + 1,
            self.prompt_tokens + prompt,
            self.hit_tokens + hit,
            self.expected_tokens + expected,
            self.lost_tokens + lost,
            self.lost_dollars + lost_dollars,
        )


@dataclass(frozen=True)
class CacheCause:
    """One reason for misses, with all prompts that it concerns."""

    reason: str
    """``changed``: the prompt differs from an earlier one and repeats it after that; ``concurrent``: the earlier one
    had not been answered; ``server``: the service did not have it; ``user_id``, ``model``: it was sent for another."""
    model: str
    where: str = ""
    """The first message, tool or other field that differs, for example ``messages[0] (system)``."""
    character: int = 0
    """The first character of it that differs, from 0."""
    exact: bool = True
    """Whether the difference is at that character; False: within the 16 characters from it on."""
    prompts: int = 0
    lost_tokens: int = 0
    lost_dollars: float = 0.0
    example: str | None = None
    """Id of the latest such answer, or custom_id of the row."""
    texts: tuple[str, str] | None = None
    """What stands there in the earlier and the later prompt, if texts are kept."""

    @property
    def told(self) -> str:
        """The reason as a sentence."""
        place = f"{self.where} {'at' if self.exact else 'near'} character {self.character:,}"
        shown = "" if self.texts is None else f": {self.texts[0]!r} became {self.texts[1]!r}"
        return CAUSES[self.reason].format(place=place) + shown

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{dollars(self.lost_dollars)}  {counted(self.prompts, 'prompt')} to {self.model}: {self.told} "
            f"({counted(self.lost_tokens, 'token')})"
        )


@dataclass(frozen=True)
class CacheReport:
    """Why prompts missed the service's prefix cache. ``str(report)`` is a text, ``report.to_json()`` JSON."""

    total: CacheFigures = field(default_factory=CacheFigures)
    models: dict[str, CacheFigures] = field(default_factory=dict)
    users: dict[str, CacheFigures] = field(default_factory=dict)
    """By ``user_id``, which separates the cache; empty if none was sent."""
    causes: tuple[CacheCause, ...] = ()
    """The dearest first."""
    fresh_prompts: int = 0
    """Prompts whose missed tokens were new, or too short for the cache."""
    unread: int = 0
    """Prompts that could not be rendered, and are in no figure."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __str__(self) -> str:
        """Return the report as text."""
        total = self.total
        if not total.prompts:
            return "prefix cache: no prompts seen"
        said = (
            f"prefix cache: {counted(total.prompts, 'prompt')}, {total.prompt_tokens:,} prompt tokens, "
            f"{share(total.hit_tokens, total.prompt_tokens)} from the cache, "
            f"{share(total.expected_tokens, total.prompt_tokens)} expected; {dollars(total.lost_dollars)} lost"
        )
        lines = [said]
        lines += [f"  {cause}" for cause in self.causes[:_SHOWN]]
        if len(self.causes) > _SHOWN:
            rest = self.causes[_SHOWN:]
            lines.append(f"  {dollars(sum(cause.lost_dollars for cause in rest))}  {len(rest):,} further causes")
        if self.unread:
            lines.append(f"  {counted(self.unread, 'prompt')} could not be read")
        return "\n".join(lines)
