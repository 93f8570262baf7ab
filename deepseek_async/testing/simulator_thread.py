"""A simulator on a thread of its own, for tests of any kind: synchronous, with asyncio or anyio, or of a subprocess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepseek_async.simulator import Simulator, SimulatorSettings


@contextmanager
def simulator_thread(settings: SimulatorSettings) -> Iterator[Simulator]:
    """Run a simulator until the context ends.

    Script it from the calling thread; ``await simulator.until(...)`` may be awaited on any event loop.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="deepseek-simulator", daemon=True)
    thread.start()
    try:
        simulator = Simulator(settings)
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result()
        try:
            yield simulator
        finally:
            asyncio.run_coroutine_threadsafe(simulator.aclose(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
