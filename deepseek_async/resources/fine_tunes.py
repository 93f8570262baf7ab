"""``client.fine_tunes``: train a model on your own dialogues, on a server that offers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.answer_decoder import AnswerDecoder, MembersDecoder
from deepseek_async.errors import APIError, InvalidRequestError
from deepseek_async.resources.lost_uploads import LOOKS, LostUpload, has_failed_inside, is_unanswered
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.route import Route, entries, given, named
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import FineTune, FineTuneEventList, FineTuneList
from deepseek_async.types.operation import TRAINING, Operation

_LIST: Final = Operation("fine_tunes.list")
_RETRIEVE: Final = Operation("fine_tunes.retrieve")
_CANCEL: Final = Operation("fine_tunes.cancel")
_EVENTS: Final = Operation("fine_tunes.events")

_decode_job: Final = AnswerDecoder(FineTune).decode
_decode_jobs: Final = AnswerDecoder(FineTuneList).decode
_decode_events: Final = MembersDecoder(FineTuneEventList, "data").decode


class FineTunes(Rawable):
    """``client.fine_tunes``. DeepSeek has none: name a server with ``endpoints={"fine_tunes": "https://…/v1"}``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "fine_tunes")

    async def create(
        self,
        *,
        training_file: str,
        model: str,
        validation_file: str | None = None,
        n_epochs: int | None = None,
        batch_size: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float | Timeouts | None = None,
    ) -> FineTune:
        """Start a job. It is sent once: a second one would train, and cost, again. Where the answer is lost, the job is
        looked for in the list, and given back if it is there.

        - ``training_file``, ``validation_file``: ids of uploaded files, or addresses such as ``s3://…``;
          ``deepseek-async finetune prepare`` makes both from one file of dialogues.
        - ``model``: the model to tune, for example ``deepseek-base``.
        - ``n_epochs``: how often the data is gone through. ``batch_size``: rows in one step.
        - ``extra_body``: further hyperparameters, sent unchecked.

        Raises NotFoundError, naming the setting that helps, where the server does no fine-tuning, and the error that
        lost the answer, with ``may_exist`` set, where no such job is listed.
        """
        if not training_file or not model:
            raise InvalidRequestError("training_file and model must not be empty")
        for name, number in (("n_epochs", n_epochs), ("batch_size", batch_size)):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise InvalidRequestError(f"{name} must be a whole number of at least 1, not {number!r}")
        body = given(
            training_file=training_file,
            validation_file=validation_file,
            model=model,
            n_epochs=n_epochs,
            batch_size=batch_size,
        )
        body.update(extra_body or {})
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

    async def list(self, *, timeout: float | Timeouts | None = None) -> FineTuneList:
        """All jobs of the account."""
        route = self._route
        jobs = await route.answer(route.call(_LIST, "GET", "/fine_tunes", timeout=timeout), _decode_jobs)
        jobs.data = entries(jobs, _decode_job)
        return jobs

    async def retrieve(self, fine_tune_id: str, *, timeout: float | Timeouts | None = None) -> FineTune:
        """One job as it is now. Raises NotFoundError if there is none of that id."""
        return await self._job(_RETRIEVE, "GET", fine_tune_id, "", timeout)

    async def cancel(self, fine_tune_id: str, *, timeout: float | Timeouts | None = None) -> FineTune:
        """Stop a job that has not ended. Raises ConflictError for one that has."""
        return await self._job(_CANCEL, "POST", fine_tune_id, "/cancel", timeout)

    async def events(self, fine_tune_id: str, *, timeout: float | Timeouts | None = None) -> FineTuneEventList:
        """The log of a job, oldest line first."""
        route = self._route
        path = f"/fine_tunes/{named('fine_tune_id', fine_tune_id)}/events"
        return await route.answer(route.call(_EVENTS, "GET", path, timeout=timeout), _decode_events)

    async def _job(
        self,
        operation: Operation,
        method: str,
        name: str,
        action: str,
        timeout: float | Timeouts | None,
    ) -> FineTune:
        route = self._route
        path = f"/fine_tunes/{named('fine_tune_id', name)}{action}"
        return await route.answer(route.call(operation, method, path, timeout=timeout), _decode_job)
