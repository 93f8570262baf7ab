"""The suite's own check: whatever a test leaves behind fails it, and the test after it knows nothing of that."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

LEAVING = {
    "a_file": "kept.append(open('some.txt', 'w'))",
    "a_socket": "kept.append(socket.create_server(('127.0.0.1', 0)))",
    "a_socket_in_a_cycle": "ring = [socket.create_server(('127.0.0.1', 0))]; ring.append(ring)",
    "a_pipe": "kept.append(os.pipe())",
    "a_database": "kept.append(sqlite3.connect('some.db')); kept[-1].execute('create table t (x)')",
    "a_thread": "threading.Thread(target=threading.Event().wait, name='left', daemon=True).start()",
    "a_child": "kept.append(subprocess.Popen(['cat'], stdin=subprocess.PIPE))",
    "a_zombie": "kept.append(subprocess.Popen(['true']))",
    "a_task": "asyncio.run(spawning())",
    "a_transport": "asyncio.run(connecting())",
    "an_environment_variable": "os.environ['SOME'] = 'value'",
    "a_folder": "os.chdir('/')",
    "a_signal_handler": "signal.signal(signal.SIGTERM, lambda *_: None)",
    "a_log_handler": "logging.root.addHandler(logging.NullHandler())",
    "a_log_level": "logging.getLogger('asyncio').setLevel(logging.DEBUG)",
    "a_failure_in_a_finalizer": "Complaining()",
}
if sys.version_info >= (3, 13):
    LEAVING["a_database_in_memory"] = "ring = [sqlite3.connect(':memory:')]; ring.append(ring)"

WHOLE = """
import asyncio, gc, logging, os, signal, socket, sqlite3, subprocess, threading

kept = []

async def spawning():
    kept.append(asyncio.create_task(asyncio.Event().wait()))

async def connecting():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    kept.append(server)
    kept.append(await asyncio.open_connection(*server.sockets[0].getsockname()))
    await asyncio.sleep(0)

class Complaining:
    def __del__(self):
        raise OSError("not closed")
"""

CONFTEST = """
from support import leftovers

leftovers.THREAD_SECONDS = 0.0
"""


async def test_each_thing_that_a_test_leaves_fails_that_test_alone(tmp_path: Path):
    tests = "".join(
        f"def test_{name}():\n    {step}\n\ndef test_after_{name}():\n    gc.collect()\n\n"
        for name, step in LEAVING.items()
    )
    (tmp_path / "test_some.py").write_text(WHOLE + tests)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "-p",
            "support.leftovers",
            "-rfE",
            "-q",
            ".",
        ),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    said = out.decode()
    lines = said.splitlines()
    failed = {line.split()[1].partition("::test_")[2] for line in lines if line.startswith(("ERROR ", "FAILED "))}
    assert failed == set(LEAVING), said
