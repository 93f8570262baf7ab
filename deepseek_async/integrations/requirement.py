"""Check of the framework that an integration is written for: missing, too old, or newer than what is known."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_NUMBERS: Final = re.compile(r"\d+")


def require(distribution: str, extra: str, oldest: tuple[int, ...], before: tuple[int, ...]) -> None:
    """Check that ``distribution`` is installed in a version from ``oldest`` up to, not including, ``before``.

    Raises ImportError if it is missing or older. A newer one is tried, with one warning.
    """
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        raise ImportError(f'{distribution} is not installed: pip install "deepseek-async[{extra}]"') from None
    numbers = tuple(map(int, _NUMBERS.findall(installed)[:3]))
    if numbers < oldest:
        raise ImportError(
            f"{distribution} must be version {_text(oldest)} or newer, got {installed}: "
            f'pip install "deepseek-async[{extra}]"'
        )
    if numbers >= before:
        warnings.warn(
            f"{distribution} {installed} is newer than this version of deepseek-async knows: it was tested with "
            f"versions before {_text(before)}",
            stacklevel=3,
        )


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
