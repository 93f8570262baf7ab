"""Retries that wait for nothing, for tests: what a scripted server asks for, it asks of a test that should be fast."""

from __future__ import annotations

from typing import Any

import msgspec

from deepseek_async.call.retry import Pause, RetryPolicy


class RetryAtOnce(RetryPolicy, frozen=True, kw_only=True):
    """As many attempts as with RetryPolicy, and no delay between them, also where the server says ``Retry-After``."""

    base_delay: float = 0.0
    max_delay: float = 0.0

    def pause(self, *arguments: Any, **facts: Any) -> Pause | None:
        """See ``RetryPolicy.pause``."""
        pause = super().pause(*arguments, **facts)
        return None if pause is None else msgspec.structs.replace(pause, seconds=0.0, everybody=False)

    def waits(self) -> bool:
        """See ``RetryPolicy.waits``: a limit that is looked for waits after a 429."""
        return False
