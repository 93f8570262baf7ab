"""``client.fine_tunes``: fine-tuning jobs, on a server that offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.answer_decoder import AnswerDecoder, MembersDecoder
from deepseek_async.errors import APIError, InvalidRequestError
from deepseek_async.resources.listing import Listing
from deepseek_async.resources.lost_uploads import LOOKS, LostUpload, has_failed_inside, is_unanswered
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.types import FineTune, FineTuneEventList, FineTuneList
from deepseek_async.types.operation import TRAINING, Operation

_LIST: Final = Operation("fine_tunes.list")
_RETRIEVE: Final = Operation("fine_tunes.retrieve")
_CANCEL: Final = Operation("fine_tunes.cancel")
_EVENTS: Final = Operation("fine_tunes.events")

_decode_job: Final = AnswerDecoder(FineTune).decode
_decode_jobs: Final = AnswerDecoder(FineTuneList).decode
_decode_events: Final = MembersDecoder(FineTuneEventList, "data").decode


class FineTunes(RoutedResource):
    """``client.fine_tunes``. Not offered by DeepSeek: set ``endpoints={"fine_tunes": "https://…/v1"}``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "fine_tunes")

    @property
    def with_raw_response(self) -> RawFineTunes:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawFineTunes(self)

    @property
    def with_streaming_response(self) -> StreamedFineTunes:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedFineTunes(self)

    async def create(
        self,
        *,
        training_file: str,
        model: str,
        validation_file: str | None = None,
        n_epochs: int | None = None,
        batch_size: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> FineTune:
        """Start a fine-tuning job. Sent once: a duplicate would train, and cost, twice.

        If the response is lost, the job is looked up in the list and returned if found.

        - ``training_file``, ``validation_file``: ids of uploaded files, or URLs such as ``s3://…``;
          ``deepseek-async finetune prepare`` creates both from one file of dialogues.
        - ``model``: base model, e.g. ``deepseek-base``.
        - ``n_epochs``: passes over the data. ``batch_size``: rows per step.
        - ``extra_body``: additional hyperparameters, sent unchecked.

        Raises NotFoundError, naming the setting to change, if the server has no fine-tuning; and the error that lost
        the response, with ``may_exist`` set, if the job is not listed.
        """
        asked = {
            "validation_file": validation_file,
            "n_epochs": n_epochs,
            "batch_size": batch_size,
        }
        body = request_body(_check, {"training_file": training_file, "model": model}, asked, extra_body)
        route = self._route
        lookout = LostUpload()
        try:
            return await route.answer(
                route.call(TRAINING, "POST", "/fine_tunes", body, timeout=timeout, once=True),
                _decode_job,
            )
        except APIError as error:
            if not (is_unanswered(error) or has_failed_inside(error)):
                raise
            failure = error
        failure.may_exist = True
        try:
            found = await lookout.find(
                lambda: self.list(timeout=timeout),
                lambda job: (job.training_file, job.model) == (training_file, model),
                LOOKS[:1],
            )
        except APIError:
            found = None
        if found is None:
            raise failure
        return found

    def list(self, *, timeout: AnyTimeout | None = None) -> Listing[FineTuneList, FineTune]:
        """List all jobs of the account: await it, or iterate with ``async for``."""
        return Listing(lambda: self._listed(timeout), lambda jobs: jobs.data)

    async def _listed(self, timeout: AnyTimeout | None) -> FineTuneList:
        route = self._route
        jobs = await route.answer(route.call(_LIST, "GET", "/fine_tunes", timeout=timeout), _decode_jobs)
        jobs.data = entries(jobs, _decode_job)
        return jobs

    async def retrieve(self, fine_tune_id: str, *, timeout: AnyTimeout | None = None) -> FineTune:
        """Return the current state of a job. Raises NotFoundError for an unknown id."""
        return await self._job(_RETRIEVE, "GET", fine_tune_id, "", timeout)

    async def cancel(self, fine_tune_id: str, *, timeout: AnyTimeout | None = None) -> FineTune:
        """Cancel a job. Raises ConflictError if it has ended."""
        return await self._job(_CANCEL, "POST", fine_tune_id, "/cancel", timeout)

    async def events(self, fine_tune_id: str, *, timeout: AnyTimeout | None = None) -> FineTuneEventList:
        """Return the log of a job, oldest event first."""
        route = self._route
        path = f"/fine_tunes/{named('fine_tune_id', fine_tune_id)}/events"
        return await route.answer(route.call(_EVENTS, "GET", path, timeout=timeout), _decode_events)

    async def _job(
        self,
        operation: Operation,
        method: str,
        name: str,
        action: str,
        timeout: AnyTimeout | None,
    ) -> FineTune:
        route = self._route
        path = f"/fine_tunes/{named('fine_tune_id', name)}{action}"
        return await route.answer(route.call(operation, method, path, timeout=timeout), _decode_job)


class RawFineTunes:
    """Methods of ``client.fine_tunes``, returning a RawResponse."""

    def __init__(self, resource: FineTunes) -> None:
        self.create = raw(resource, resource.create)
        self.list = raw(resource, resource.list)
        self.retrieve = raw(resource, resource.retrieve)
        self.cancel = raw(resource, resource.cancel)
        self.events = raw(resource, resource.events)


class StreamedFineTunes:
    """Methods of ``client.fine_tunes``, returning a StreamingResponse to enter."""

    def __init__(self, resource: FineTunes) -> None:
        self.create = streaming(resource, resource.create)
        self.list = streaming(resource, resource.list)
        self.retrieve = streaming(resource, resource.retrieve)
        self.cancel = streaming(resource, resource.cancel)
        self.events = streaming(resource, resource.events)


def _check(body: Mapping[str, Any]) -> None:
    for name in ("training_file", "model"):
        if not body.get(name):
            raise InvalidRequestError(f"{name} must be a non-empty string, got {body.get(name)!r}")
    for name in ("n_epochs", "batch_size"):
        number = body.get(name)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise InvalidRequestError(f"{name} must be an integer of at least 1, got {number!r}")
