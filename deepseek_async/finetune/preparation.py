"""A file of dialogues to a training and a validation file, in two passes and constant memory but for digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from deepseek_async.batch.digests import DigestSet
from deepseek_async.batch.row import MAX_ROW_BYTES
from deepseek_async.batch.row_identity import digest
from deepseek_async.errors import ConfigurationError, OutputWriteError
from deepseek_async.files.bounded_lines import LongLine, lines_of
from deepseek_async.files.replacement import check_replaceable, replaced, sync
from deepseek_async.finetune.dialogue import Dialogue, read_dialogue
from deepseek_async.finetune.rejection import RejectedLineError
from deepseek_async.finetune.split import Split
from deepseek_async.finetune.summary import Rejection, Summary

DEFAULT_SHARE: Final = 0.12
LONGEST_ROW: Final = 1_048_576
"""Tokens: the context window of the live models (DeepSeek docs, Models & Pricing, 2026-11-15)."""

_EXAMPLES: Final = 3
"""Lines of each kind of rejection that a summary shows."""


def prepare(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    validation: float = DEFAULT_SHARE,
    seed: int = 0,
    max_tokens: int = LONGEST_ROW,
    force: bool = True,
) -> Summary:
    """Check ``source`` line by line, leave out what is no row, and split the rest.

    Writes ``NAME.train.jsonl`` and ``NAME.validation.jsonl`` beside ``source``, or into ``folder``; both appear
    only when they are whole. The same file and ``seed`` give the same split, and no question is in both files.

    - ``validation``: the part of the rows for validation; 0.10 to 0.15 is recommended.
    - ``max_tokens``: rows longer than this, by estimate, are left out.
    - ``force``: replace files that are there, as a program expects that prepares again; False refuses, as the command
      does without ``--force``. The source is never replaced.

    Raises ConfigurationError if the source cannot be read, or with ``force=False`` if a file is there, and
    OutputWriteError if one cannot be written.
    """
    if not 0 < validation < 1:
        raise ConfigurationError(f"validation must be a part of the rows between 0 and 1, not {validation}")
    source = Path(source)
    if not source.is_file():
        raise ConfigurationError(f"{source} is no file")
    target = source.parent if folder is None else Path(folder)
    summary = Summary(
        source=str(source),
        train_file=str(target / f"{source.stem}.train.jsonl"),
        validation_file=str(target / f"{source.stem}.validation.jsonl"),
    )
    paths = [Path(summary.train_file), Path(summary.validation_file)]
    for path in paths:
        check_replaceable(path, source, force=force)
    split = Split(validation, seed)
    kinds: Counter[str] = Counter()
    for number, found in _rows(source, max_tokens):
        summary.lines += 1
        if isinstance(found, RejectedLineError):
            kinds[found.kind] += 1
            if kinds[found.kind] <= _EXAMPLES:
                summary.examples.append(Rejection(number, found.kind, str(found)))
            continue
        split.count(found.question)
        summary.tokens += found.tokens
        if found.tokens > summary.longest_tokens:
            summary.longest_tokens, summary.longest_line = found.tokens, number
    summary.rejected = dict(kinds)
    split.draw()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputWriteError(f"{target} cannot be written: {error.strerror or error}", path=str(target)) from None
    with ExitStack() as stack:
        files = [stack.enter_context(replaced(path, source, force=force)) for path in paths]
        _write(source, max_tokens, split, summary, files)
    return summary


def _rows(source: Path, max_tokens: int) -> Iterator[tuple[int, Dialogue | RejectedLineError]]:
    """Every line that holds something, with its number; the same for each pass."""
    seen = DigestSet()
    try:
        with source.open("rb") as lines:
            for number, line in enumerate(lines_of(lines, MAX_ROW_BYTES), 1):
                if isinstance(line, LongLine):
                    reason = f"has {line.size:,} bytes; {MAX_ROW_BYTES:,} are allowed"
                    yield number, RejectedLineError("too_long", reason)
                    continue
                text = line.strip().removeprefix(b"\xef\xbb\xbf")
                if not text:
                    continue
                try:
                    dialogue = read_dialogue(text)
                    if dialogue.tokens > max_tokens:
                        raise RejectedLineError(  # noqa: TRY301
                            "too_long",
                            f"has about {dialogue.tokens:,} tokens; {max_tokens:,} are allowed",
                        )
                    if not seen.add(digest(dialogue.content)):
                        raise RejectedLineError("duplicate", "says what an earlier line says")  # noqa: TRY301
                except RejectedLineError as rejected:
                    yield number, rejected
                else:
                    yield number, dialogue
    except OSError as error:
        raise ConfigurationError(f"{source} cannot be read: {error.strerror or error}") from None


def _write(source: Path, max_tokens: int, split: Split, summary: Summary, files: Sequence[IO[bytes]]) -> None:
    for _, found in _rows(source, max_tokens):
        if isinstance(found, RejectedLineError):
            continue
        side = split.is_validation(found.question)
        files[side].write(found.wire + b"\n")
        summary.validation_rows += side
        summary.train_rows += not side
    for file in files:
        sync(file)  # before either appears
