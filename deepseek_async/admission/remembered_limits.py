"""Storage of learned concurrency limits for the next run, which then starts near the limit. Losing it is harmless."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from deepseek_async.files.private_files import make_private_folder

NEWEST: Final = 3600.0
"""Seconds for which a stored limit is used; limits depend on the balance and the time of day."""

_LOG: Final = logging.getLogger("deepseek_async")
_FILE: Final = "ceilings.json"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_MOST_BYTES: Final = 1 << 20


class RememberedLimits:
    """A small JSON file in ``folder``, readable by its owner only. Contains no account, key or model name.

    Reads on first use and writes in ``store``: both are short and outside the path of a call. A foreign file of that
    name is never changed.
    """

    def __init__(self, folder: Path, origin: str, account: str) -> None:
        self._path = folder / _FILE
        self._whose = f"{origin}\0{account}\0"
        self._known: dict[str, list[float]] | None = None

    def recall(self, model: str, now: float) -> int | None:
        """Return the limit of ``model`` found less than an hour ago, else None; ``now`` is Unix time."""
        if self._known is None:
            self._known = self._read()
        ceiling, at = self._known.get(self._name(model), (0.0, 0.0))
        return int(ceiling) if ceiling >= 1 and 0 <= now - at < NEWEST else None

    def store(self, ceilings: Mapping[str, int], now: float) -> None:
        """Store the limit of each model; keeps recent entries of other processes."""
        if not ceilings:
            return
        try:
            found = self._found()
        except (OSError, ValueError) as error:
            _LOG.warning("cannot store concurrency limits in %s: %s", self._path, error)
            return
        known = {name: entry for name, entry in found.items() if 0 <= now - entry[1] < NEWEST}
        known.update({self._name(model): [float(ceiling), now] for model, ceiling in ceilings.items()})
        with suppress(OSError):
            self._write(orjson.dumps({"ceilings": known}))

    def _name(self, model: str) -> str:
        return hashlib.sha256(f"{self._whose}{model}".encode()).hexdigest()[:32]

    def _read(self) -> dict[str, list[float]]:
        try:
            return self._found()
        except (OSError, ValueError):
            return {}

    def _found(self) -> dict[str, list[float]]:
        """Read the entries of the file. Raises OSError, and ValueError if the file is foreign."""
        try:
            if not stat.S_ISREG(self._path.lstat().st_mode):
                raise ValueError("not a regular file")
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        with os.fdopen(descriptor, "rb") as file:
            wire = file.read(_MOST_BYTES)
        return _decoded(wire) if wire else {}

    def _write(self, wire: bytes) -> None:
        make_private_folder(self._path.parent)
        # mkstemp creates mode 0600; a reader sees either the old or the new file.
        descriptor, name = tempfile.mkstemp(prefix=_FILE, dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(wire)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _decoded(wire: bytes) -> dict[str, list[float]]:
    try:
        loaded: Any = orjson.loads(wire)
        (ceilings,) = [loaded["ceilings"]] if len(loaded) == 1 else []
        found = {str(name): [float(ceiling), float(at)] for name, (ceiling, at) in ceilings.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("not a limits file of this library") from None
    if not all(map(_NAME.fullmatch, found)):
        raise ValueError("not a limits file of this library")
    return found
