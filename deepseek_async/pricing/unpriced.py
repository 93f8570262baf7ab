"""Says, once for each model, that its price is not known and how its answers are charged."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

_LOG: Final = logging.getLogger("deepseek_async")


@lru_cache(maxsize=256)
def say_unpriced(model: str, charged_as: str) -> None:
    """``model`` has no price; its answers are charged as those of ``charged_as``."""
    _LOG.warning("the price of model %.100r is not known; its answers are charged as those of %s", model, charged_as)
