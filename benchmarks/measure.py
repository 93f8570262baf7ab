"""CPU, time and memory of the process that asks."""

from __future__ import annotations

import resource
import statistics
import time
from pathlib import Path
from typing import Self


class Stopwatch:
    """CPU (user and system) and wall time spent inside ``with``."""

    cpu = 0.0
    wall = 0.0

    def __enter__(self) -> Self:
        self._wall = time.perf_counter()
        self._cpu = _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = _cpu_seconds() - self._cpu
        self.wall = time.perf_counter() - self._wall

    def per(self, units: int) -> dict[str, float]:
        """The two figures that most scenarios report."""
        return {"cpu_us": self.cpu / units * 1e6, "per_s": units / self.wall, "units": units}


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_kb() -> float:
    """Resident memory now. The kernel's quick counters lag behind by pages a thread; smaps_rollup is exact."""
    return _kilobytes(Path("/proc/self/smaps_rollup"), "Rss:")


def peak_resident_mb() -> float:
    """Highest resident memory so far. ``ru_maxrss`` would also know that of the process that started this one."""
    return _kilobytes(Path("/proc/self/status"), "VmHWM:") / 1024


def _kilobytes(path: Path, field: str) -> float:
    for line in path.read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1])
    raise LookupError(f"{path} has no {field}")


def milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile, as ``name_p50_ms`` and ``name_p99_ms``."""
    ranks = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}_p50_ms": ranks[49] * 1000, f"{name}_p99_ms": ranks[98] * 1000}
