"""Another server than the client's own: for a family of endpoints that it lacks, or for when it fails."""

from __future__ import annotations

from typing import Final, Literal, get_args

from deepseek_async.configuration.credential import ApiKey, Secret

Family = Literal["completions", "embeddings", "files", "fine_tunes", "images", "messages", "responses", "tools"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)


class Endpoint:
    """A server for one family of endpoints: ``endpoints={"embeddings": Endpoint("https://…/v1", "sk-…")}``.

    - ``base_url``: what stands before ``/embeddings`` and the like; https unless on loopback.
    - ``api_key``: that server's key. Without one, the client's key is sent if the server has the same origin as
      the client's ``base_url``, and no key at all if it has not.

    - ``model``: the model to ask there; used by ``fallback``, where another server may call it otherwise.

    Raises ConfigurationError for a key that cannot be one.
    """

    __slots__ = ("api_key", "base_url", "model")

    def __init__(self, base_url: str, api_key: str | ApiKey | None = None, *, model: str | None = None) -> None:
        self.base_url = base_url
        self.model = model
        self.api_key: ApiKey | None = None
        if isinstance(api_key, str):
            api_key = Secret(api_key)  # a traceback with locals must not show it
            api_key = ApiKey(api_key)
        self.api_key = api_key

    def __repr__(self) -> str:
        # A base URL that was not checked yet may hold a password.
        return f"Endpoint({str(self.base_url).rpartition(chr(64))[2]!r}, {self.api_key!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return NotImplemented
        return (self.base_url, self.api_key, self.model) == (other.base_url, other.api_key, other.model)

    def __hash__(self) -> int:
        return hash((self.base_url, self.api_key, self.model))
