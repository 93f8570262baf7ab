"""Check of a batch input file, with the errors of OpenAI's API. Pure but for the lines it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.json_lines import TOO_DEEP, is_too_deep
from deepseek_async.batch.row import is_id
from deepseek_async.files.bounded_lines import LongLine
from deepseek_async.gateway.batches.record import BatchError

MOST_REQUESTS: Final = 50_000
"""As OpenAI's limit; ``deepseek-async batch run`` has none."""

_MOST_ERRORS: Final = 100
_BOM: Final = b"\xef\xbb\xbf"
_REQUIRED: Final = ("custom_id", "method", "url", "body")


class CheckedInput(msgspec.Struct):
    """What a file holds."""

    requests: int = 0
    model: str | None = None
    """The model of its rows; None if they name none."""
    errors: list[BatchError] = msgspec.field(default_factory=list)
    """The first 100; without any, the batch can start."""


def check_input(
    lines: Iterable[bytes | LongLine],
    endpoint: str,
    *,
    longest: int,
    refusal_of: Callable[[dict[str, Any]], BatchError | None] = lambda _: None,
) -> CheckedInput:
    """Check each line of a file for ``endpoint``.

    ``longest`` is the length limit of a line, in bytes; ``refusal_of`` says why the caller may not send a body.
    """
    found = CheckedInput()
    seen: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        if len(found.errors) >= _MOST_ERRORS:
            break
        if isinstance(line, LongLine):
            message = f"This line has {line.size:,} bytes; at most {longest:,} are allowed."
            found.errors.append(BatchError("invalid_json_line", message, number))
            continue
        text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
        if not text:
            continue
        found.requests += 1
        error = _error_in(text, endpoint, found, seen, refusal_of)
        if error is not None:
            found.errors.append(BatchError(error.code, error.message, number, error.param))
    if not found.errors and found.requests > MOST_REQUESTS:
        message = f"The batch input file has {found.requests:,} requests; at most {MOST_REQUESTS:,} are allowed."
        found.errors.append(BatchError("too_many_tasks", message))
    elif not found.errors and not found.requests:
        found.errors.append(BatchError("empty_file", "The batch input file has no requests."))
    return found


def _error_in(
    text: bytes,
    endpoint: str,
    found: CheckedInput,
    seen: set[bytes],
    refusal_of: Callable[[dict[str, Any]], BatchError | None],
) -> BatchError | None:
    try:
        line: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        line = None
    if not isinstance(line, dict):
        return BatchError("invalid_json_line", "This line is not parseable as valid JSON.")
    if is_too_deep(text, line):
        return BatchError("invalid_json_line", f"This line is {TOO_DEEP}.")
    for name in _REQUIRED:
        if line.get(name) is None:
            return BatchError("missing_required_parameter", f"Missing required parameter: '{name}'.", param=name)
    custom_id = line["custom_id"]
    if not isinstance(custom_id, str) or not is_id(custom_id):
        message = "The custom_id must be a non-empty string without control characters."
        return BatchError("invalid_custom_id", message, param="custom_id")
    if custom_id.encode("utf-8", "surrogatepass") in seen:
        message = "The custom_id of this request is that of another request in the batch."
        return BatchError("duplicate_custom_id", message, param="custom_id")
    seen.add(custom_id.encode("utf-8", "surrogatepass"))
    return _request_error(line, endpoint, found) or refusal_of(line["body"])


def _request_error(line: dict[str, Any], endpoint: str, found: CheckedInput) -> BatchError | None:
    if line["method"] != "POST":
        return BatchError("invalid_method", "The method must be 'POST'.", param="method")
    if line["url"] != endpoint:
        message = f"The URL of this request does not match the endpoint of the batch, {endpoint}."
        return BatchError("url_mismatch", message, param="url")
    body = line["body"]
    if not isinstance(body, dict):
        return BatchError("invalid_request", "The body must be a JSON object.", param="body")
    if body.get("stream"):
        return BatchError("invalid_request", "Streams are not supported in a batch.", param="body.stream")
    model = body.get("model")
    if found.model is None and isinstance(model, str):
        found.model = model
    return None
