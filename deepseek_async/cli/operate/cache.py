"""``deepseek-async cache``: statistics and deletion of cached answers."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.terminal import columns, say
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.cache import Cache

STATS: Final = "Show the number, size and age of cached answers."
CLEAR: Final = "Delete all cached answers."
EXAMPLES: Final = """\
For example:

    deepseek-async cache stats ~/.cache/deepseek_async/answers.sqlite
    deepseek-async cache clear --redis redis://127.0.0.1:6379/0"""


def stats(
    path: Annotated[
        Path | None, Parameter(help="Cache file. Default: answers.sqlite in the user's cache directory.")
    ] = None,
    /,
) -> int:
    from deepseek_async.cache.database import stored_in  # noqa: PLC0415

    file = _existing(path)
    try:
        stored = stored_in(file)
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"cannot read the cache {file}: {error}") from None
    oldest = "-" if stored.oldest is None else datetime.fromtimestamp(stored.oldest, UTC).isoformat(timespec="seconds")
    rows = [("answers", "bytes", "oldest"), (f"{stored.entries:,}", f"{stored.bytes:,}", oldest)]
    sys.stdout.write(columns(rows))
    return 0


def clear(
    path: Annotated[
        Path | None, Parameter(help="Cache file. Default: answers.sqlite in the user's cache directory.")
    ] = None,
    /,
    *,
    redis: Annotated[str | None, Parameter(help="URL of a Redis to clear too, or instead of a file.")] = None,
) -> int:
    from deepseek_async.cache import Cache  # noqa: PLC0415
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    file = None if path is None and redis is not None else _existing(path)
    with runner() as loop:
        loop.run(_clear(Cache(path=file, redis=redis)))
    say(f"cleared {' and '.join(str(place) for place in (file, redis and 'Redis') if place)}")
    return 0


async def _clear(cache: Cache) -> None:
    try:
        await cache.clear()
    except Exception as error:  # noqa: BLE001  redis-py has its own exceptions
        reason = f"{type(error).__name__}: {error}"
    else:
        reason = ""
    await cache.aclose()
    if reason:
        raise ConfigurationError(f"cannot clear {cache!r}: {reason}")


def _existing(path: Path | None) -> Path:
    from deepseek_async.files.private_files import cache_folder  # noqa: PLC0415

    file = (path or cache_folder() / "answers.sqlite").expanduser()
    if not file.exists():
        raise ConfigurationError(f"no cache file at {file}")
    return file
