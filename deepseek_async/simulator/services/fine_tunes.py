"""Fine-tuning jobs that advance one step each time they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deepseek_async.simulator.model.catalogue import TUNED
from deepseek_async.simulator.services.request import (
    Outcome,
    ServiceRequest,
    WrongRequestError,
    missing,
    number,
    text,
)

_COURSE = ("pending", "running", "succeeded")
_SAID = {
    "pending": "Created fine-tune",
    "running": "Fine-tune started",
    "succeeded": "Fine-tune succeeded",
    "cancelled": "Fine-tune cancelled",
}


@dataclass(slots=True)
class _Job:
    id: str
    model: str
    training_file: str
    validation_file: str | None
    created_at: int
    hyperparams: dict[str, Any]
    status: str = ""
    updated_at: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def become(self, status: str, now: int) -> None:
        self.status, self.updated_at = status, now
        self.events.append(
            {"object": "fine-tune-event", "created_at": now, "level": "info", "message": f"{_SAID[status]}: {self.id}"}
        )

    @property
    def over(self) -> bool:
        return self.status in ("succeeded", "cancelled")

    def described(self) -> dict[str, Any]:
        tuned = f"{TUNED}{self.model}:{self.id}" if self.status == "succeeded" else None
        return {
            "id": self.id,
            "object": "fine-tune",
            "model": self.model,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "status": self.status,
            "fine_tuned_model": tuned,
            "training_file": self.training_file,
            "validation_file": self.validation_file,
            "hyperparams": self.hyperparams,
        }


class FineTunes:
    """`/fine_tunes`. A training file is an uploaded file of the account, or an external URL (`s3://…`)."""

    def __init__(self, knows_file: Callable[[str, str], bool]) -> None:
        self._knows_file = knows_file
        self._jobs: dict[str, dict[str, _Job]] = {}
        self._serial = 0

    def create(self, request: ServiceRequest) -> Outcome:
        """`POST /fine_tunes`."""
        body = request.body
        self._serial += 1
        job = _Job(
            id=f"ft-{self._serial:012x}",
            model=text(body, "model"),
            training_file=self._file(request, "training_file") or "",
            validation_file=self._file(request, "validation_file", required=False),
            created_at=request.now,
            hyperparams={
                "n_epochs": number(body, "n_epochs", 1, 100, 4),
                "batch_size": number(body, "batch_size", 1, 4096, 32),
            },
        )
        job.become(_COURSE[0], request.now)
        self._jobs.setdefault(request.account, {})[job.id] = job
        return job.described()

    def _file(self, request: ServiceRequest, name: str, *, required: bool = True) -> str | None:
        file = text(request.body, name, required=required)
        if file and "://" not in file and not self._knows_file(request.account, file):
            raise WrongRequestError(f"Invalid '{name}': no such file: {file}")
        return file or None

    def list(self, request: ServiceRequest) -> Outcome:
        """`GET /fine_tunes`, newest first."""
        jobs = list(self._jobs.get(request.account, {}).values())
        return {"object": "list", "data": [job.described() for job in jobs[::-1]]}

    def retrieve(self, request: ServiceRequest) -> Outcome:
        """`GET /fine_tunes/{id}`."""
        job = self._found(request)
        if not job.over:
            job.become(_COURSE[_COURSE.index(job.status) + 1], request.now)
        return job.described()

    def cancel(self, request: ServiceRequest) -> Outcome:
        """`POST /fine_tunes/{id}/cancel`."""
        job = self._found(request)
        if job.over:
            raise WrongRequestError(f"Fine-tune {job.id} has already {job.status}", 409)
        job.become("cancelled", request.now)
        return job.described()

    def events(self, request: ServiceRequest) -> Outcome:
        """`GET /fine_tunes/{id}/events`, oldest first."""
        return {"object": "list", "data": self._found(request).events}

    def _found(self, request: ServiceRequest) -> _Job:
        try:
            return self._jobs[request.account][request.ids[0]]
        except KeyError:
            raise missing("fine-tune", request.ids[0]) from None
