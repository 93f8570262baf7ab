"""Bag-of-words embeddings: texts with common words are close together. Pure."""

from __future__ import annotations

import base64
import math
import re
import struct
from hashlib import blake2b
from typing import Any

from deepseek_async.simulator.model.tokens import count_tokens
from deepseek_async.simulator.services.request import Outcome, ServiceRequest, WrongRequestError, number, one_of, text

DIMENSIONS = 1024
MAX_INPUTS = 2048
_PLACES = 8  # coordinates affected by one word
_WORDS = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


def embed(request: ServiceRequest) -> Outcome:
    """`POST /embeddings`."""
    body = request.body
    model = text(body, "model")
    dimensions = number(body, "dimensions", 1, 4096, DIMENSIONS) or DIMENSIONS
    packed = one_of(body, "encoding_format", ("float", "base64"), "float") == "base64"
    inputs = _inputs(body.get("input"))
    tokens = sum(len(given) if isinstance(given, list) else count_tokens(given) for given in inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(_vector(given, dimensions) for given in inputs)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(given: Any) -> list[str | list[int]]:
    """Return the inputs: one text, several, one list of tokens, or several."""
    many = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not many or len(many) > MAX_INPUTS:
        raise WrongRequestError(f"Invalid 'input': expected 1 to {MAX_INPUTS} inputs, got {len(many)}")
    for entry in many:
        if not (isinstance(entry, str) and entry) and not _is_tokens(entry):
            raise WrongRequestError("Invalid 'input': expected a non-empty string, or a list of them or of tokens")
    return many


def _is_tokens(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


def _vector(given: str | list[int], dimensions: int) -> list[float]:
    """Return a unit vector. Each word adds to a few fixed coordinates."""
    words = [str(token) for token in given] if isinstance(given, list) else _WORDS.findall(given.lower())
    sums = [0.0] * dimensions
    for word in words:
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
        for place in struct.unpack(f"<{_PLACES}I", digest):
            sums[(place >> 1) % dimensions] += 1.0 if place & 1 else -1.0
    length = math.sqrt(sum(value * value for value in sums))
    if not length:
        return [1.0, *sums[1:]]
    # Rounded to 32-bit floats, so that both encodings are equal.
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(v / length for v in sums))))


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
