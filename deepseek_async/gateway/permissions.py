"""What a caller with a key may reach: the paths that answer it, its models and its own files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from deepseek_async.gateway.batches.record import BatchError
from deepseek_async.gateway.callers import CallerProfile, Callers
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.replies import GatewayError
from deepseek_async.types.json_text import read

METHODS: Final = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH"})
"""Methods that are relayed; the others have meanings for proxies and browsers, and none for the API."""

_ANSWERING: Final = frozenset(
    {
        "/chat/completions",
        "/completions",
        "/responses",
        "/messages",
        "/anthropic/messages",
        "/anthropic/v1/messages",
        "/embeddings",
        "/images/generations",
        "/tools/search",
        "/tools/fetch",
        "/tools/ocr",
        "/tools/asr",
        "/tools/tts",
    }
)
"""Paths to POST to. A path that is not among these may read what belongs to others, as lists of the account do."""
_READ: Final = re.compile(r"/(?:models(?:/[A-Za-z0-9_:-][A-Za-z0-9._:-]*)*|user/balance|tools/tts)")
_BASES: Final = ("/v1/", "/beta/")

_NAMES_FILES: Final = frozenset({"file_id", "file_ids"})
_LIKE_AN_ID: Final = "file-"
"""How ids of files begin, DeepSeek's and the gateway's."""
_MAY_NAME_FILES: Final = (b"file_id", b"file-", b"\\u00")
"""Bytes without which a JSON text names no file; the last spells any letter as an escape."""


def check_path(method: str, path: str, caller: CallerProfile) -> None:
    """Raise GatewayError for a request that no gateway relays, or none from ``caller``."""
    if method not in METHODS:
        raise GatewayError(
            405, f"{method!r:.40} is not a method of this API", headers={"Allow": "GET, POST, DELETE"}, code="method"
        )
    if caller.sees_all:
        return
    bare = next((path[len(base) - 1 :] for base in _BASES if path.startswith(base)), path)
    if bare not in _ANSWERING if method == "POST" else method != "GET" or not _READ.fullmatch(bare):
        raise GatewayError(
            404,
            f"no such endpoint for this key: {method} {path!r:.200}; only the key of an operator reaches paths that "
            "may show what belongs to others",
            code="unknown_url",
        )


def check_body(body: bytes, caller: CallerProfile, files: FileStore) -> None:
    """Raise GatewayError for a JSON body that names a model or a file which is not the caller's."""
    if not caller.hash or not (caller.models or any(sign in body for sign in _MAY_NAME_FILES)):
        return
    try:
        said: Any = read(body)
    except (ValueError, RecursionError):
        return  # refused by whoever reads it next, with the same reader
    check_request(said, caller, files)


def check_request(said: Any, caller: CallerProfile, files: FileStore) -> None:
    """Raise GatewayError for a request that names a model or a file which is not the caller's."""
    if not caller.hash:
        return
    model = said.get("model") if isinstance(said, dict) else None
    if caller.models and model is not None and model not in caller.models:
        allowed = ", ".join(caller.models)
        raise GatewayError(
            403, f"the model {model!r:.80} is not one of this key's: {allowed}", code="model_not_allowed", param="model"
        )
    for file_id, certain in _files_named(said):
        own = files.find(file_id, caller.name) is not None
        if not own and (certain or files.is_kept(file_id)):
            raise GatewayError(404, f"No such File object: {file_id!r:.80}", code="not_found", param="file_id")


class RowCheck:
    """The same check for rows of batches, whose callers are known by name."""

    def __init__(self, callers: Callers, files: FileStore) -> None:
        self._callers = callers
        self._files = files

    def refusal_of(self, owner: str, body: dict[str, Any]) -> BatchError | None:
        """Return why the caller named ``owner`` may not send ``body``."""
        if not owner:
            return None
        # One who has been removed owns its files still.
        caller = self._callers.named(owner) or CallerProfile(name=owner, hash="-", created_at=0)
        try:
            check_request(body, caller, self._files)
        except GatewayError as error:
            return BatchError(error.code or "invalid_request", error.message, param=f"body.{error.param}")
        return None


def _files_named(said: Any) -> Iterator[tuple[str, bool]]:
    """Yield each string that names a file, at any depth, and whether it can be nothing else.

    The three protocols name files by ``file_id`` in different places, and others may come: a string in any other field
    that is the id of a file here is one, too.
    """
    waiting: list[tuple[Any, bool]] = [(said, False)]
    while waiting:
        value, certain = waiting.pop()
        if isinstance(value, str):
            if certain or value.startswith(_LIKE_AN_ID):
                yield value, certain
        elif isinstance(value, dict):
            waiting.extend((each, name in _NAMES_FILES) for name, each in value.items())
        elif isinstance(value, list):
            waiting.extend((each, certain) for each in value)
