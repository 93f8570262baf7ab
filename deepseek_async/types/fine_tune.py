"""Fine-tuning jobs, in the shapes of ``/v1/fine_tunes``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.part import LinkedPart


class Hyperparameters(LinkedPart):
    """How a model is tuned."""

    n_epochs: int | None = None
    """How often the training data is gone through."""
    batch_size: int | None = None
    """Rows in one step."""


class FineTune(OpenAnswer):
    """One job."""

    id: str = ""
    object: str = "fine-tune"
    model: str = ""
    """The model to tune."""
    fine_tuned_model: str | None = None
    """The name to call the tuned model by; None until the job has succeeded."""
    status: str = ""
    """pending, running, succeeded, failed or cancelled."""
    training_file: str | None = None
    validation_file: str | None = None
    hyperparams: Hyperparameters = msgspec.field(default_factory=Hyperparameters)
    created_at: int = 0
    """Seconds since 1970."""
    updated_at: int = 0


class FineTuneList(OpenAnswer):
    """The jobs of the account; iterate it for the jobs."""

    object: str = "list"
    data: list[FineTune] = []

    def __iter__(self) -> Iterator[FineTune]:
        return iter(self.data)


class FineTuneEvent(LinkedPart):
    """A line of a job's log."""

    object: str = "fine-tune-event"
    created_at: int = 0
    level: str = ""
    message: str = ""


class FineTuneEventList(OpenAnswer):
    """The log of a job, oldest line first; iterate it for the lines."""

    object: str = "list"
    data: list[FineTuneEvent] = []

    def __iter__(self) -> Iterator[FineTuneEvent]:
        return iter(self.data)
