"""Several answers to one prompt, put together as the choices of one. Pure.

DeepSeek answers 400 to ``n`` above 1 (DeepSeek docs, create-chat-completion), so each choice is a request of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Final

import msgspec

from deepseek_async.codec.undeclared_fields import further_of, rewritten
from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.types import BilledAttempt, ChatCompletion
from deepseek_async.types.answer import bills_of
from deepseek_async.types.usage import added

MOST_CHOICES: Final = 128
"""As in OpenAI's API."""


def choices_asked(n: Any) -> int:
    """Return the number of requests for ``n``: 1 if it is unset, or is no number and left to the linter.

    Raises InvalidRequestError for more than 128.
    """
    if type(n) is not int or n <= 1:
        return 1
    if n > MOST_CHOICES:
        raise InvalidRequestError(f"n must be at most {MOST_CHOICES}, got {n}: each choice is a request of its own")
    return n


def together(answers: Mapping[int, ChatCompletion], bills: Sequence[BilledAttempt] | None = None) -> ChatCompletion:
    """Return one completion with the first choice of each of ``answers``, numbered by their keys.

    Its usage is the sum over ``bills``, by default those of the answers; of answers that all came from a cache, the sum
    of what they once used.
    """
    whole = list(answers.values())
    first = whole[0]
    if bills is None:
        bills = [bill for answer in whole for bill in bills_of(answer)]
    numbered = [
        msgspec.structs.replace(answer.choices[0], index=index) for index, answer in answers.items() if answer.choices
    ]
    usages = [bill.usage for bill in bills] or [answer.usage for answer in whole if answer.usage is not None]
    made = type(first)(
        id=first.id,
        created=first.created,
        model=first.model,
        choices=numbered,
        usage=added(usages).detached() if usages else None,
        system_fingerprint=first.system_fingerprint,
        fallback=next((answer.fallback for answer in whole if answer.fallback is not None), None),
        cached=first.cached if all(answer.cached is not None for answer in whole) else None,
        resumed=any(answer.resumed for answer in whole),
        repaired=tuple(note for answer in whole for note in answer.repaired),
        _billed=tuple(bills),
        _sent_at=first._sent_at,  # noqa: SLF001  written only by the call
    )
    further = [(further_of(answer).get("choices") or [{}])[0] for answer in whole if answer.choices]
    return rewritten(made, {"choices": further})


def failed_choices(
    failures: Mapping[int, DeepSeekError],
    answers: Mapping[int, ChatCompletion],
    n: int,
) -> DeepSeekError:
    """Return the first of ``failures`` as the error of the whole call: ``partial`` has all choices that arrived."""
    index, first = next(iter(sorted(failures.items())))
    bills = [bill for answer in answers.values() for bill in bills_of(answer)]
    kept = dict(answers)
    for at, failure in failures.items():
        bills += failure.billed_attempts
        if isinstance(failure.partial, ChatCompletion) and failure.partial.choices:
            kept[at] = failure.partial
    error = copy(first).with_traceback(first.__traceback__)
    others = f"; {len(answers)} of {n} choices arrived and are in partial" if answers else ""
    error.message = f"choice {index} of {n}: {first.message}{others}"
    error.args = (error.message,)
    error.choices_asked = n
    error.billed_attempts = tuple(bills)
    error.partial = together(dict(sorted(kept.items())), bills) if kept else first.partial
    error.__cause__ = first.__cause__
    return error
