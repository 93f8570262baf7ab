"""Batch processing: rows in, results out, in bounded memory, resumable."""

from deepseek_async.batch.batch import Batch
from deepseek_async.batch.endpoints import Resource
from deepseek_async.batch.job import Job
from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport, ExitCode, StoppableJob
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row_executor import Calls
from deepseek_async.batch.simulated import Server

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
