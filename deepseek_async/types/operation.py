"""Operations of the API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

Output = Literal["text", "vectors", "pictures", "training", "service", "nothing"]
"""What is generated and billed; ``service`` for operations with a fee and no tokens, ``nothing`` for reads and changes
that are free."""


class Operation(msgspec.Struct, frozen=True):
    """Kind of a call, as used by budget, cache, content filter and listeners."""

    name: str
    """OpenTelemetry's operation name if there is one (chat, text_completion, embeddings, generate_content), else
    resource and method, e.g. ``files.list``."""
    output: Output = "nothing"
    thinks: bool = False
    """Whether the model may reason before it answers, unless the request disables it."""

    @property
    def has_fee(self) -> bool:
        """Whether it is billed by the unit."""
        return self.output == "service"


CHAT: Final = Operation("chat", "text", thinks=True)
"""Chat completions, responses and messages, which OpenTelemetry calls the same."""
TEXT_COMPLETION: Final = Operation("text_completion", "text")
EMBEDDINGS: Final = Operation("embeddings", "vectors")
IMAGES: Final = Operation("generate_content", "pictures")
SEARCH: Final = Operation("tools.search", "service")
FETCH: Final = Operation("tools.fetch", "service")
OCR: Final = Operation("tools.ocr", "service")
TRANSCRIBE: Final = Operation("tools.transcribe", "service")
SPEECH: Final = Operation("tools.speech", "service")
DOCUMENT: Final = Operation("files.create", "service")
"""Upload of a document that is parsed before it is stored, and billed by the page."""
TRAINING: Final = Operation("fine_tunes.create", "training")


def effort_of(request: Mapping[str, Any]) -> str | None:
    """Return the reasoning effort of ``request``, in any of the three formats; "none" if disabled, None if unset."""
    thinking, effort = request.get("thinking"), request.get("reasoning_effort")
    for inner in (request.get("reasoning"), request.get("output_config")):
        if isinstance(inner, Mapping):
            effort = inner.get("effort", effort)
    switch = thinking.get("type") if isinstance(thinking, Mapping) else None
    if switch == "disabled":
        return "none"
    return None if effort == "none" and switch is not None else effort
