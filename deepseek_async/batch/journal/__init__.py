"""The output file: locked, cut to whole lines, written in groups, durable before a row counts, read back, merged."""

from deepseek_async.batch.journal.disk import Disk
from deepseek_async.batch.journal.file import LOW_WATER, Durability
from deepseek_async.batch.journal.writer import Journal, Written

__all__ = ["LOW_WATER", "Disk", "Durability", "Journal", "Written"]
