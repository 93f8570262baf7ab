"""Several runs of one job: their counts are those of one."""

from __future__ import annotations

import msgspec
import pytest

from deepseek_async.batch.combined_runs import NOTHING, progress_of, report_of
from deepseek_async.batch.report import BatchReport, ExitCode


def told(**counts) -> object:
    return msgspec.structs.replace(NOTHING, **counts)


def report(progress, **facts) -> BatchReport:
    return BatchReport(
        **{"progress": progress, "failures": {}, "resumed_failed": 0, "damaged": 0, "stopped": None, **facts}
    )


def test_what_a_lost_attempt_did_is_counted_once_as_done_in_this_run():
    lost = told(total=10, done=6, ok=5, failed=0, resumed=1, requests=7, cost=0.5)
    present = told(total=10, done=10, ok=3, failed=1, resumed=6, requests=4, cost=0.25)
    progress = progress_of({1: [lost, present]}, 1, 3.0)
    assert (progress.total, progress.done, progress.ok, progress.failed, progress.resumed) == (10, 10, 8, 1, 1)
    assert (progress.requests, progress.cost, progress.elapsed) == (11, 0.75, 3.0)


def test_the_total_is_not_known_before_every_part_has_counted_its_rows():
    one = told(total=10, done=2, ok=2)
    assert progress_of({1: [one]}, 2, 1.0).total is None
    assert progress_of({1: [one], 2: [told(total=None)]}, 2, 1.0).total is None
    assert progress_of({1: [one], 2: [told(total=5)]}, 2, 1.0).total == 15


def test_a_job_waits_for_off_peak_hours_when_all_of_its_parts_do():
    waiting, running = told(resumes_at=50.0), told()
    assert progress_of({1: [waiting], 2: [running]}, 2, 1.0).resumes_at is None
    assert progress_of({1: [waiting], 2: [told(resumes_at=40.0)]}, 2, 1.0).resumes_at == 40.0


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, ExitCode.OK),
        ({"resumed_failed": 1}, ExitCode.ROWS_FAILED),
        ({"stopped": "interrupted"}, ExitCode.STOPPED),
    ],
)
def test_one_part_decides_how_the_command_ends(facts, code):
    parts = [report(told(total=1, done=1, ok=1)), report(told(total=1, done=1, ok=1), **facts)]
    progress = progress_of({number: [part.progress] for number, part in enumerate(parts)}, 2, 1.0)
    assert report_of(parts, progress).exit_code is code


def test_a_part_that_never_began_leaves_the_job_unfinished():
    part = report(told(total=1, done=1, ok=1))
    assert report_of([part], progress_of({1: [part.progress]}, 2, 1.0)).exit_code is ExitCode.STOPPED
