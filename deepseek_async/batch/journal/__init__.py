"""Output journal: locking, recovery, group commit, reading back and merging."""

from deepseek_async.batch.journal.disk import Disk
from deepseek_async.batch.journal.file import LOW_WATER, Durability
from deepseek_async.batch.journal.writer import Journal, Written

__all__ = ["LOW_WATER", "Disk", "Durability", "Journal", "Written"]
