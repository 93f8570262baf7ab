"""Fingerprint of an input file, by which a job notices that the file was written to while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from deepseek_async.errors import ConfigurationError


class Fingerprint(msgspec.Struct, frozen=True):
    """File metadata that reveals concurrent writes."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the file's current fingerprint. Raises ConfigurationError if it does not exist."""
        try:
            status = path.stat()
        except OSError as error:
            raise ConfigurationError(f"cannot read the input {path}: {error.strerror}") from None
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def difference(self, path: Path) -> str | None:
        """Describe how the file has changed since, or return None."""
        now = type(self).of(path)
        if now == self:
            return None
        if now.size != self.size:
            verb = "grew" if now.size > self.size else "shrank"
            return f"it {verb} from {self.size:,} to {now.size:,} bytes"
        return "it was written to, or replaced"
