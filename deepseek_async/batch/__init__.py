"""Batch processing: rows in, results out, in bounded memory, resumable."""

from deepseek_async.batch.answerer import Calls
from deepseek_async.batch.endpoints import Resource
from deepseek_async.batch.job import Job
from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport, ExitCode, StoppableJob
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.simulated import Server
from deepseek_async.batch.surface import Batch

__all__ = [
    "Batch",
    "BatchReport",
    "BatchResult",
    "Calls",
    "ExitCode",
    "Job",
    "Progress",
    "Resource",
    "Server",
    "StoppableJob",
]
