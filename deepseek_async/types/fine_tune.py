"""Fine-tuning jobs, in the format of ``/v1/fine_tunes``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import msgspec

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.answer_part import LinkedPart


class Hyperparameters(LinkedPart):
    """Training parameters."""

    n_epochs: int | None = None
    """Passes over the training data."""
    batch_size: int | None = None
    """Rows per step."""


class FineTune(OpenAnswer):
    """One fine-tuning job."""

    id: str = ""
    object: str = "fine-tune"
    model: str = ""
    """Base model."""
    fine_tuned_model: str | None = None
    """Name of the tuned model; None until the job has succeeded."""
    status: str = ""
    """``pending``, ``running``, ``succeeded``, ``failed`` or ``cancelled``."""
    training_file: str | None = None
    validation_file: str | None = None
    hyperparams: Hyperparameters = msgspec.field(default_factory=Hyperparameters)
    created_at: int = 0
    """Unix time in seconds."""
    updated_at: int = 0


class FineTuneList(OpenAnswer):
    """Fine-tuning jobs of the account; iterable."""

    object: str = "list"
    data: list[FineTune] = []

    def __iter__(self) -> Iterator[FineTune]:
        return iter(self.data)

    async def __aiter__(self) -> AsyncIterator[FineTune]:
        for entry in self.data:
            yield entry


class FineTuneEvent(LinkedPart):
    """One event of a job's log."""

    object: str = "fine-tune-event"
    created_at: int = 0
    level: str = ""
    message: str = ""


class FineTuneEventList(OpenAnswer):
    """Log of a job, oldest event first; iterable."""

    object: str = "list"
    data: list[FineTuneEvent] = []

    def __iter__(self) -> Iterator[FineTuneEvent]:
        return iter(self.data)
