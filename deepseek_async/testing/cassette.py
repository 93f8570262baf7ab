"""The file of recorded exchanges: JSON lines, one for each request and its response.

The first line names the format and the run that began the file. Lines are appended whole, under a lock, so tests and
processes may share a file; what a killed process left of a line is ignored and overwritten.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import open_private, reason_of
from deepseek_async.testing.recorded_request import RecordedRequest

_FORMAT: Final = "deepseek_async"
_VERSION: Final = 1

RUN: Final = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)
"""Identifies this run of the tests: one process, or all workers of pytest-xdist."""

Ending = Literal["whole", "left", "broken"]


class CassetteError(ConfigurationError):
    """A request has no recorded answer, or a cassette cannot be read or written. Never retried."""


class Exchange(msgspec.Struct):
    """A recorded request and its response."""

    server: str
    """Base URL of the server that answered."""
    request: RecordedRequest
    status: int
    headers: dict[str, str]
    """Lower-case names."""
    chunks: list[bytes]
    """The body, in the pieces that arrived."""
    ending: Ending = "whole"
    """How it ended: completely, left by its reader, or broken off."""
    line: int = 0
    """Line in the file; 0 for one that was recorded by this process."""


class Cassette:
    """One file of exchanges."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = Path(path).absolute()
        self.name: Final = str(path)

    def run(self) -> str | None:
        """Return the run that began the file; None if there is no file or it is empty. Raises CassetteError."""
        first = next(self._lines(), None)
        return None if first is None else self._run(first)

    def read(self) -> list[Exchange]:
        """Return the exchanges in the order of the file. Raises CassetteError."""
        lines = self._lines()
        return [self._exchange(text, number) for number, text in enumerate(lines, 1) if number > 1 and text.strip()]

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines without one that a killed process left unfinished."""
        try:
            with self.path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n") or _is_whole(line))
        except FileNotFoundError:
            return
        except OSError as error:
            raise CassetteError(f"cannot read {self.name}: {reason_of(error)}") from None

    def check_writable(self) -> None:
        """Raise CassetteError if the file cannot be opened for writing; creates it, empty, if it does not exist."""
        try:
            os.close(open_private(self.path, os.O_RDWR | os.O_APPEND))
        except OSError as error:
            raise CassetteError(f"cannot write {self.name}: {reason_of(error)}") from None

    def append(self, exchange: Exchange, *, anew: bool = False) -> None:
        """Add an exchange. ``anew`` replaces the file, unless this run has begun it. Raises CassetteError."""
        line = _line(_record(exchange))
        try:
            with self._locked() as number:
                run = self._run_of(number)
                if run is None or (anew and run != RUN):
                    self._begin(_line({"cassette": _FORMAT, "version": _VERSION, "run": RUN}) + line)
                    return
                _end_last_line(number)
                _write(number, line)
        except OSError as error:
            raise CassetteError(f"cannot write {self.name}: {reason_of(error)}") from None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the open file, which nobody else of this library writes meanwhile."""
        while True:
            number = open_private(self.path, os.O_RDWR | os.O_APPEND)
            try:
                fcntl.flock(number, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    # Somebody may have replaced it while this process waited.
                    if os.path.samestat(os.fstat(number), self.path.stat()):
                        yield number
                        return
            finally:
                os.close(number)

    def _begin(self, content: bytes) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        number = open_private(temporary, os.O_WRONLY | os.O_EXCL)
        try:
            _write(number, content)
            temporary.replace(self.path)
        finally:
            os.close(number)
            temporary.unlink(missing_ok=True)

    def _run_of(self, number: int) -> str | None:
        """Return the run that began the open file; None for an empty file, or one with an unfinished first line."""
        first, end, _ = os.pread(number, 4096, 0).partition(b"\n")
        return self._run(first) if end or _is_whole(first) else None

    def _run(self, line: bytes) -> str:
        head = _loaded(line)
        if not isinstance(head, dict) or head.get("cassette") != _FORMAT:
            raise CassetteError(f"{self.name} is not a cassette of this library; name another file")
        if head.get("version") != _VERSION:
            raise CassetteError(
                f"{self.name} is a cassette of version {head.get('version')}, this library reads {_VERSION}; delete it "
                "to record it again"
            )
        return str(head.get("run"))

    def _exchange(self, line: bytes, number: int) -> Exchange:
        try:
            said = json.loads(line)
            response = said["response"]
            return Exchange(
                server=str(said["server"]),
                request=msgspec.convert(said["request"], RecordedRequest),
                status=msgspec.convert(response["status"], int),
                headers=msgspec.convert(response["headers"], dict[str, str]),
                chunks=[block for chunk in response["chunks"] if (block := _bytes_of(chunk))],
                ending=msgspec.convert(response.get("ending", "whole"), Ending),
                line=number,
            )
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise CassetteError(
                f"{self.name}, line {number}, is not a recorded exchange ({type(error).__name__}); remove the line or "
                "record the file again"
            ) from None


def _record(exchange: Exchange) -> dict[str, Any]:
    request = exchange.request
    asked = {"method": request.method, "path": request.path}
    if request.kind != "none":
        asked |= {"kind": request.kind, "body": request.body}
    response: dict[str, Any] = {
        "status": exchange.status,
        "headers": exchange.headers,
        "chunks": [_text_of(chunk) for chunk in exchange.chunks],
    }
    if exchange.ending != "whole":
        response["ending"] = exchange.ending
    return {"server": exchange.server, "request": asked, "response": response}


def _line(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(value).encode() + b"\n"


def _text_of(chunk: bytes) -> str | dict[str, str]:
    """Return a chunk as text; if it is none, for example because it ends inside a character, as Base64."""
    try:
        return chunk.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(chunk).decode()}


def _bytes_of(chunk: Any) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else b64decode(chunk["base64"], validate=True)


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_whole(line: bytes) -> bool:
    """Whether a line without an end is a whole one of which an editor has removed the end."""
    return isinstance(_loaded(line), dict)


def _end_last_line(number: int) -> None:
    """End the last line if it is whole; cut off what a killed process left of one."""
    size = os.fstat(number).st_size
    end = size
    while end:
        start = max(0, end - 65_536)
        found = os.pread(number, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size and _is_whole(os.pread(number, size - end, end)):
        _write(number, b"\n")
    elif end < size:
        os.ftruncate(number, end)


def _write(number: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(number, view) :]
