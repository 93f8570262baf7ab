"""Warning, once per model, that a model has no known price and how its answers are charged."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

_LOG: Final = logging.getLogger("deepseek_async")


@lru_cache(maxsize=256)
def say_unpriced(model: str, charged_as: str) -> None:
    """Warn that ``model`` has no price and is charged as ``charged_as``."""
    _LOG.warning("no price known for model %.100r: charged as %s", model, charged_as)
