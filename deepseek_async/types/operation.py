"""What a server is asked to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

Output = Literal["text", "vectors", "pictures", "training", "service", "nothing"]
"""What is made and billed; service for what has a fee of its own and no tokens, nothing for a look at what is there,
or a change of it."""


class Operation(msgspec.Struct, frozen=True):
    """Named by every call: budget, cache, content filter and listeners know from it what the call is about."""

    name: str
    """In OpenTelemetry's words where it has one (chat, text_completion, embeddings, generate_content), else the
    resource and the method, for example files.list."""
    output: Output = "nothing"
    thinks: bool = False
    """Whether a model may reason before it answers, unless the request says that it is not to."""

    @property
    def has_fee(self) -> bool:
        """Whether it is paid by the piece."""
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
"""An upload that is parsed before it is stored, and paid by the page."""
TRAINING: Final = Operation("fine_tunes.create", "training")


def effort_of(request: Mapping[str, Any]) -> str | None:
    """How much a model is to reason about ``request``, in the words of chat, responses or messages; "none" for not at
    all, and None where it does not say."""
    thinking, effort = request.get("thinking"), request.get("reasoning_effort")
    for inner in (request.get("reasoning"), request.get("output_config")):
        if isinstance(inner, Mapping):
            effort = inner.get("effort", effort)
    switch = thinking.get("type") if isinstance(thinking, Mapping) else None
    if switch == "disabled":
        return "none"
    return None if effort == "none" and switch is not None else effort
