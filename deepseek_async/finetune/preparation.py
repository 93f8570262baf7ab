"""Preparation of a training and a validation file, in two passes; memory holds only digests."""

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
"""Maximum rejections of each kind in a summary."""


def prepare(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    validation: float = DEFAULT_SHARE,
    seed: int = 0,
    max_tokens: int = LONGEST_ROW,
    force: bool = True,
) -> Summary:
    """Validate ``source`` line by line, exclude invalid rows, and split the rest.

    Writes ``NAME.train.jsonl`` and ``NAME.validation.jsonl`` beside ``source``, or into ``folder``, both
    atomically. The same file and ``seed`` produce the same split, and no question is in both files.

    - ``validation``: fraction of the rows for validation; 0.10 to 0.15 is recommended.
    - ``max_tokens``: longer rows, by estimate, are excluded.
    - ``force``: overwrite existing files, as repeated preparation requires; False is an error, as in the command
      without ``--force``. The source is never overwritten.

    Raises ConfigurationError if the source cannot be read, or with ``force=False`` if a file exists, and
    OutputWriteError if one cannot be written.
    """
    if not 0 < validation < 1:
        raise ConfigurationError(f"validation must be a fraction between 0 and 1, got {validation}")
    source = Path(source)
    if not source.is_file():
        raise ConfigurationError(f"{source} is not a file")
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
        raise OutputWriteError(f"cannot write {target}: {error.strerror or error}", path=str(target)) from None
    with ExitStack() as stack:
        files = [stack.enter_context(replaced(path, source, force=force)) for path in paths]
        _write(source, max_tokens, split, summary, files)
    return summary


def _rows(source: Path, max_tokens: int) -> Iterator[tuple[int, Dialogue | RejectedLineError]]:
    """Yield every non-blank line with its number; deterministic, because each pass reads again."""
    seen = DigestSet()
    try:
        with source.open("rb") as lines:
            for number, line in enumerate(lines_of(lines, MAX_ROW_BYTES), 1):
                if isinstance(line, LongLine):
                    reason = f"has {line.size:,} bytes, the limit is {MAX_ROW_BYTES:,}"
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
                            f"has about {dialogue.tokens:,} tokens, the limit is {max_tokens:,}",
                        )
                    if not seen.add(digest(dialogue.content)):
                        raise RejectedLineError("duplicate", "duplicate of an earlier line")  # noqa: TRY301
                except RejectedLineError as rejected:
                    yield number, rejected
                else:
                    yield number, dialogue
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror or error}") from None


def _write(source: Path, max_tokens: int, split: Split, summary: Summary, files: Sequence[IO[bytes]]) -> None:
    for _, found in _rows(source, max_tokens):
        if isinstance(found, RejectedLineError):
            continue
        side = split.is_validation(found.question)
        files[side].write(found.wire + b"\n")
        summary.validation_rows += side
        summary.train_rows += not side
    for file in files:
        sync(file)  # before either file is renamed into place
