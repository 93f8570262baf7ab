"""Model catalogue: names, aliases, limits, prices. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT_WINDOW = 1_048_576
MAX_OUTPUT_TOKENS = 393_216


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    id: str
    title: str
    concurrency: int
    # Nano-dollars per token at off-peak prices, so that every sum is an integer
    # (DeepSeek docs, Models & Pricing page, 2026-11-15).
    hit_price: int
    miss_price: int
    output_price: int
    modalities: tuple[str, ...]


FLASH = Model(
    id="deepseek-flash",
    title="DeepSeek-V4.1-Flash",
    concurrency=2500,
    hit_price=3,
    miss_price=150,
    output_price=600,
    modalities=("text", "image"),
)
PRO = Model(
    id="deepseek-v4-pro",
    title="DeepSeek-V4-Pro",
    concurrency=500,
    hit_price=22,
    miss_price=660,
    output_price=1980,
    modalities=("text",),
)

OFFERED: dict[str, Model] = {FLASH.id: FLASH, PRO.id: PRO}

# Old names still returned 200 in October 2026 and are served as flash; two of them also set whether
# the model thinks unless the request says otherwise (public verification report, 2026-10-06).
ALIASES: dict[str, Model] = {
    "deepseek-chat": FLASH,
    "deepseek-reasoner": FLASH,
    "deepseek-v4-flash": FLASH,
    "deepseek-v4-flash-vision-exp": FLASH,
}

# Names from tutorials of 2024 and 2025; the live service rejects them. `ft:` prefixes a model fine-tuned here.
TUTORIAL_NAMES = frozenset({"deepseek-base", "deepseek-code", "deepseek-coder"})
TUNED = "ft:"

ACCEPTED: dict[str, Model] = OFFERED | ALIASES
THINKING_OFF_BY_DEFAULT = frozenset({"deepseek-chat"})


def live_name(name: str) -> str:
    """Return the live service's name for a simulator-only model."""
    return "deepseek-chat" if name in TUTORIAL_NAMES or name.startswith(TUNED) else name


def description(model: Model) -> dict[str, object]:
    """Return one entry of `/models`, with the fields of the live service since September 2026."""
    return {
        "id": model.id,
        "object": "model",
        "owned_by": "deepseek",
        "name": model.title,
        "context_window": CONTEXT_WINDOW,
        "max_output_tokens": MAX_OUTPUT_TOKENS,
        "input_modalities": list(model.modalities),
        "output_modalities": ["text"],
        "effort": {"supported_levels": ["low", "high", "max"], "default_level": "high"},
    }
