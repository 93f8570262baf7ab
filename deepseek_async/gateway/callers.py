"""Callers of a gateway, each with a key of its own. Keys are kept as SHA-256 hashes."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import make_private_folder, reason_of
from deepseek_async.gateway.folder import unusable, write_whole
from deepseek_async.text.redaction import mask_in, mask_known

Lane = Literal["interactive", "bulk"]

_PREFIX: Final = "dsg-"
"""Tells a gateway's key from one of DeepSeek's (``sk-``), in a log or a leak."""
_BYTES: Final = 32
"""256 bits of chance: a plain hash of them cannot be searched, so no slow hash is needed."""
_NOBODYS: Final = "0" * 64
_SHAPE: Final = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{8,}}")
_WHOLE: Final = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}".encode())
"""A key as ``add`` makes it: in data, which may hold words that only begin like one."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class CallerProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A caller and what it may do."""

    name: str
    hash: str
    """SHA-256 of its key, in hexadecimal."""
    created_at: int
    """Unix time in seconds."""
    daily: float | None = None
    """US dollars per day; None: no limit of its own."""
    max_concurrency: int | None = None
    """Requests in flight at most; None: no cap of its own."""
    models: tuple[str, ...] = ()
    """Models it may use; empty: all."""
    lane: Lane = "interactive"
    """``bulk`` yields to interactive requests."""
    operator: bool = False
    """Whether it sees the spending, failures and batches of all callers."""

    @property
    def sees_all(self) -> bool:
        """Whether it sees what others do: an operator, and anybody on a gateway without keys."""
        return self.operator or not self.hash


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    callers: list[CallerProfile] = []


class Callers:
    """The callers in a keys file, read again when the file has changed.

    Adding and revoking take effect in a running gateway at the next request.
    """

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError for a file that cannot be read or is none of this library's."""
        self._path = path
        self._named = str(path)
        self._seen: tuple[int, int, int] | None = None
        self._callers: list[CallerProfile] = []
        self._by_hash: dict[str, CallerProfile] = {}
        self.required = False
        """Whether a key is required: there are callers, or have been. To revoke the last key opens nothing."""
        self.refresh()

    def __len__(self) -> int:
        return len(self._callers)

    def __iter__(self) -> Iterator[CallerProfile]:
        return iter(self._callers)

    def refresh(self) -> None:
        """Read the file again if it has changed. Raises ConfigurationError."""
        try:
            status = os.stat(self._named)  # noqa: PTH116  for every request: a Path would treble its time
        except (FileNotFoundError, NotADirectoryError):
            self._seen, self._callers, self._by_hash = None, [], {}
            return
        except OSError as error:
            raise ConfigurationError(f"cannot read {self._path}: {reason_of(error)}") from None
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        try:
            self._callers = msgspec.json.decode(self._path.read_bytes(), type=_Keys).callers
        except OSError as error:
            raise ConfigurationError(f"cannot read {self._path}: {reason_of(error)}") from None
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{self._path} is not a keys file of a gateway: {error}") from None
        self._by_hash = {caller.hash: caller for caller in self._callers}
        self.required = self.required or bool(self._callers)
        self._seen = seen

    def find(self, key: str) -> CallerProfile | None:
        """Return the caller of ``key``. Takes the same time whichever key is wrong, and however it is wrong."""
        given = _hashed(key)
        found = self._by_hash.get(given)
        # The table is of hashes, of which nobody can choose a part; and the last word has a comparison that is blind.
        known = hmac.compare_digest(given, _NOBODYS if found is None else found.hash)
        return found if known else None

    def named(self, name: str) -> CallerProfile | None:
        """Return the caller of this name."""
        return next((caller for caller in self._callers if caller.name == name), None)

    def add(
        self,
        name: str,
        *,
        daily: float | None = None,
        max_concurrency: int | None = None,
        models: tuple[str, ...] = (),
        lane: Lane = "interactive",
        operator: bool = False,
    ) -> str:
        """Add a caller and return its key, which is kept nowhere. Raises ConfigurationError."""
        self.refresh()
        if not _NAME.match(name):
            raise ConfigurationError(
                f"the name of a caller must be 1 to 64 letters, digits, '.', '_' or '-', got {name!r:.80}"
            )
        if any(caller.name == name for caller in self._callers):
            raise ConfigurationError(f"there is a caller {name!r} already; revoke it first, or choose another name")
        if daily is not None and not 0 < daily < float("inf"):
            raise ConfigurationError(f"daily must be a positive number of US dollars, got {daily!r}")
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency must be at least 1, got {max_concurrency!r}")
        if lane not in {"interactive", "bulk"}:
            raise ConfigurationError(f"lane must be 'interactive' or 'bulk', got {lane!r}")
        key = _PREFIX + secrets.token_urlsafe(_BYTES)
        caller = CallerProfile(
            name=name,
            hash=_hashed(key),
            created_at=int(time.time()),
            daily=daily,
            max_concurrency=max_concurrency,
            models=models,
            lane=lane,
            operator=operator,
        )
        self._write([*self._callers, caller])
        return key

    def revoke(self, name: str) -> None:
        """Remove a caller; its files and batches stay. Raises ConfigurationError if there is none of this name."""
        self.refresh()
        left = [caller for caller in self._callers if caller.name != name]
        if len(left) == len(self._callers):
            known = ", ".join(caller.name for caller in self._callers) or "none"
            raise ConfigurationError(f"no caller {name!r}; there are: {known}")
        self._write(left)

    def _write(self, callers: list[CallerProfile]) -> None:
        try:
            make_private_folder(self._path.parent)  # keys may be made before the gateway has ever run
        except OSError as error:
            raise ConfigurationError(unusable(self._path.parent, error)) from None
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(_Keys(callers))) + b"\n")
        self.refresh()


def mask_keys(text: str) -> str:
    """Replace keys of live clients, and those of callers, in ``text``."""
    return _SHAPE.sub(f"{_PREFIX}…", mask_known(text))


def mask_keys_in(wire: bytes) -> bytes:
    """Replace the same in data, such as an answer: keys of live clients, and whole keys of callers."""
    wire = mask_in(wire)
    return _WHOLE.sub(f"{_PREFIX}…".encode(), wire) if _PREFIX.encode() in wire else wire


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
