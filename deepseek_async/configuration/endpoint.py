"""Another server: for a family of endpoints that the client's own server lacks, or as a fallback."""

from __future__ import annotations

from typing import Final, Literal, get_args

from deepseek_async.configuration.credential import ApiKey, Secret

Family = Literal["completions", "embeddings", "files", "fine_tunes", "images", "messages", "responses", "tools"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)


class Endpoint:
    """Server for one family of endpoints: ``endpoints={"embeddings": Endpoint("https://…/v1", "sk-…")}``.

    - ``base_url``: URL prefix of ``/embeddings`` and similar paths; https unless on loopback.
    - ``api_key``: API key of that server. If None, the client's key is sent to a server with the same origin as
      the client's ``base_url``, and no key to any other.

    - ``model``: model name on that server, if it differs; used by ``fallback`` only.

    Raises ConfigurationError if the key is invalid.
    """

    __slots__ = ("api_key", "base_url", "model")

    def __init__(self, base_url: str, api_key: str | ApiKey | None = None, *, model: str | None = None) -> None:
        self.base_url = base_url
        self.model = model
        self.api_key: ApiKey | None = None
        if isinstance(api_key, str):
            api_key = Secret(api_key)  # masked in tracebacks with locals
            api_key = ApiKey(api_key)
        self.api_key = api_key

    def __repr__(self) -> str:
        # An unchecked base URL may contain a password.
        return f"Endpoint({str(self.base_url).rpartition(chr(64))[2]!r}, {self.api_key!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return NotImplemented
        return (self.base_url, self.api_key, self.model) == (other.base_url, other.api_key, other.model)

    def __hash__(self) -> int:
        return hash((self.base_url, self.api_key, self.model))
