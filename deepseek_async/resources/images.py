"""``client.images``: image generation, on a server that offers it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Final, Literal, get_args

from deepseek_async.call.caller import Call
from deepseek_async.codec.answer_decoder import MembersDecoder
from deepseek_async.errors import InvalidRequestError
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient
from deepseek_async.resources.route import Route
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.types import ImagesResponse
from deepseek_async.types.operation import IMAGES

ImageStyle = Literal["realistic", "cartoon", "cyberpunk"]

MAX_IMAGES: Final = 4


_decode: Final = MembersDecoder(ImagesResponse, "data").decode


class Images(RoutedResource):
    """``client.images``. Not offered by DeepSeek: set ``endpoints={"images": "https://…/v1"}``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "images")

    @property
    def with_raw_response(self) -> RawImages:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawImages(self)

    @property
    def with_streaming_response(self) -> StreamedImages:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedImages(self)

    async def generate(
        self,
        *,
        prompt: str,
        model: str | None = None,
        size: str = "1024x1024",
        n: int | None = None,
        num_images: int | None = None,
        style: ImageStyle | None = None,
        response_format: Literal["url", "b64_json"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> ImagesResponse:
        """Generate images from ``prompt``.

        - ``size``: ``"WIDTHxHEIGHT"`` in pixels.
        - ``n``, or ``num_images`` for servers with that name: 1 to 4 images; default: the server's, 1.
        - ``style``: realistic, cartoon or cyberpunk.
        - ``response_format``: ``url``, or ``b64_json`` for the image files.
        - ``extra_body``: additional fields and values, sent unchecked.

        Raises InvalidRequestError for invalid arguments, and NotFoundError, naming the setting to change, if the
        server has no image generation.
        """
        asked = {
            "model": model,
            "size": size,
            "n": n,
            "num_images": num_images,
            "style": style,
            "response_format": response_format,
        }
        body = request_body(_check, {"prompt": prompt}, asked, extra_body)
        return await self.complete(self.call(body, headers=extra_headers, query=extra_query, timeout=timeout))

    def call(
        self,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> Call:
        """Internal: prepare a call, without starting it, from a body in the API's format."""
        return self._route.call(
            IMAGES, "POST", "/images/generations", body, headers=headers, query=query, timeout=timeout
        )

    def complete(self, call: Call) -> Coroutine[Any, Any, ImagesResponse]:
        """Internal: await the answer of a call."""
        return self._route.answer(call, _decode)


class RawImages:
    """Methods of ``client.images``, returning a RawResponse."""

    def __init__(self, resource: Images) -> None:
        self.generate = raw(resource, resource.generate)


class StreamedImages:
    """Methods of ``client.images``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Images) -> None:
        self.generate = streaming(resource, resource.generate)


def _check(body: Mapping[str, Any]) -> None:
    prompt, style = body.get("prompt"), body.get("style")
    if not prompt or not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt must be a non-empty string, got {prompt!r}")
    if "n" in body and "num_images" in body:
        raise InvalidRequestError("n and num_images are aliases: pass only one of them")
    for name in ("n", "num_images"):
        number = body.get(name)
        if number is not None and (not isinstance(number, int) or not 1 <= number <= MAX_IMAGES):
            raise InvalidRequestError(f"{name} must be 1 to {MAX_IMAGES}, got {number!r}")
    if style is not None and style not in get_args(ImageStyle):
        raise InvalidRequestError(f"style must be one of {', '.join(get_args(ImageStyle))}, got {style!r}")
