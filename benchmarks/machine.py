"""The machine that a run was made on, and who else used it."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path


def description() -> str:
    """Processor, cores, memory and system, in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    shared = "" if cores > 1 else "; server and client had to share it"
    return f"{model}, {cores} cores{shared}, {memory:.0f} GB, {platform.system()} {platform.release()}"


def cpu_seconds() -> tuple[float, float]:
    """CPU seconds since the machine started: used by others than this run's processes, and available in all."""
    first = Path("/proc/stat").read_text().splitlines()[0]
    ticks = [int(number) for number in first.split()[1:9]]
    everything = sum(ticks) / os.sysconf("SC_CLK_TCK")
    idle = (ticks[3] + ticks[4]) / os.sysconf("SC_CLK_TCK")
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return everything - idle - own, everything
