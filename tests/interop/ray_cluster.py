"""A Ray of two processors on loopback, for as long as the process lives that asked for it: PID FOLDER.

It is nobody's child, so that the tests of a module can share it. Its address is in FOLDER/address when it is ready, and
it ends when FOLDER/stop appears; FOLDER/stopped says that it has.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import ray


def main() -> None:
    owner, folder = int(sys.argv[1]), Path(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(os.open(folder / "log", os.O_RDWR | os.O_CREAT), number)
    try:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 << 20,
            _temp_dir=str(folder / "r"),
            _node_ip_address="127.0.0.1",
        )
        (folder / "address.part").write_text(ray.get_runtime_context().gcs_address)
        (folder / "address.part").rename(folder / "address")
        with suppress(ProcessLookupError):
            while not (folder / "stop").exists():
                os.kill(owner, 0)
                time.sleep(0.1)
    finally:
        ray.shutdown()
        (folder / "stopped").touch()


if __name__ == "__main__":
    main()
