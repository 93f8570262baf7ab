"""All that a log, a crash reporter or another process could get to see, to look for the key in it."""

from __future__ import annotations

import copy
import pickle
import traceback
from pathlib import Path

from deepseek_async import DeepSeekError
from support.servers import CANARY

SECRET = CANARY.removeprefix("sk-").removesuffix("TAIL")
"""What must never be seen: the key without the parts that its ``repr`` may show."""

_TESTS = str(Path(__file__).parents[1])


def everything_shown_by(error: BaseException, *, capture_locals: bool = True) -> str:
    """All that anybody could get to see of ``error``, the local variables of its traceback included."""
    with_locals = traceback.TracebackException.from_exception(error, capture_locals=capture_locals)
    # The script of a server that echoes the key is a local of the test.
    ours = [frame for frame in with_locals.stack if not frame.filename.startswith(_TESTS)]
    with_locals.stack = traceback.StackSummary.from_list(ours)
    shown = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error), *with_locals.format()]
    if isinstance(error, DeepSeekError):
        shown += [repr(pickle.dumps(error)), repr(vars(pickle.loads(pickle.dumps(error)))), repr(copy.copy(error).args)]
    cause = error.__cause__ or error.__context__
    return "\n".join(shown) + (everything_shown_by(cause, capture_locals=capture_locals) if cause else "")
