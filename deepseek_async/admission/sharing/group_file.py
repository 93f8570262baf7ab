"""Group of the processes of one machine: a small locked file per account and model.

It needs no server and no installation, and calls never wait for it: a heartbeat takes some 20 µs, and one that finds
the file locked is repeated soon.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from deepseek_async.admission.sharing.group import Group, GroupTerms, leave, step
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.files.private_files import open_private, reason_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOG: Final = logging.getLogger("deepseek_async")

TERMS: Final = GroupTerms(lease=1000, gone=2000)
"""Heartbeats are sent at least twice a second; slots of a killed process are free again after two seconds."""

_HEADER: Final = b"deepseek-async group 1\n"
"""First line, which identifies a group file. Other files are never written."""
_MOST_BYTES: Final = 1 << 20

_OVER_THE_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gpfs", "beegfs", "glusterfs", "ncpfs"}
)
"""File systems with slow or missing locks, and network file systems under FUSE."""

_MISSED: Final = 600
"""Milliseconds, longer than any interval between heartbeats; then the kernel is asked whether the process is alive."""
_PATIENCE: Final = 60.0
"""Seconds until the next attempt, which is not logged again."""

_TRIES: Final = 5
_FLAGS: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

_T = TypeVar("_T")

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Group)


class FileGroup:
    """Folder of groups. Logs once if it is unusable; ``exchange`` then answers None."""

    where = "machine"
    answers_later = False

    def __init__(self, folder: Path, account: str) -> None:
        """``account`` is any identifier of the account; it is not stored."""
        self.process = this_process()
        self._folder = folder
        self._account = account
        self._paths: dict[str, Path] = {}
        self._again_at = -math.inf
        self._looked = self._told = False

    @property
    def terms(self) -> GroupTerms:
        """Expiry times of silent members."""
        return TERMS

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called immediately; with None if the group is unreachable."""
        answer(None if self._is_unusable() else self._exchanged(model, beat))

    def leave(self, model: str, member: str) -> None:
        """End a membership."""
        if not self._is_unusable():
            self._locked(model, lambda group: leave(group, member))

    async def aclose(self) -> None:
        """Do nothing: no resource is open."""

    def _exchanged(self, model: str, beat: Heartbeat) -> Reply | None:
        now = int(1000 * time.monotonic())  # shared by all processes of the machine
        return self._locked(model, lambda group: step(group, beat, now, TERMS, _silent(group, now)))

    def _locked(self, model: str, look: Callable[[Group], _T]) -> _T | None:
        try:
            descriptor = self._opened(self._path(model))
            try:
                group = _read(descriptor)
                result = look(group)
                _write(descriptor, group)
                if not group.members:
                    self._path(model).unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        except BlockingIOError:
            return None
        except (OSError, ValueError) as error:
            self._give_up(error)
            return None
        return result

    def _opened(self, path: Path) -> int:
        """Open and lock the file. Raises BlockingIOError if it is locked, OSError, and ValueError if it is foreign."""
        for _ in range(_TRIES):
            try:
                descriptor = os.open(path, _FLAGS)
            except FileNotFoundError:
                descriptor = open_private(path, os.O_RDWR)
            try:
                _lock(descriptor)
                is_there = os.fstat(descriptor).st_nlink > 0
            except BaseException:
                os.close(descriptor)
                raise
            if is_there:
                return descriptor
            os.close(descriptor)  # its last member has just left
        raise BlockingIOError

    def _path(self, model: str) -> Path:
        path = self._paths.get(model)
        if path is None:
            name = hashlib.sha256(f"{self._account}\0{model}".encode()).hexdigest()[:32]
            path = self._paths[model] = self._folder / f"group-{name}"
        return path

    def _is_unusable(self) -> bool:
        now = time.monotonic()
        if not self._looked:
            self._looked = True
            reason = _why_not(self._folder)
            if reason is not None:
                self._give_up(OSError(reason))
                self._again_at = math.inf
        return now < self._again_at

    def _give_up(self, error: Exception) -> None:
        self._again_at = time.monotonic() + _PATIENCE
        if not self._told:
            self._told = True
            _LOG.warning(
                "cannot share limits with other processes of this machine in %s: %s",
                self._folder,
                reason_of(error),
            )


def _lock(descriptor: int) -> None:
    """Lock the file; holders need some microseconds. Raises BlockingIOError if it takes longer."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        os.sched_yield()
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(descriptor: int) -> Group:
    """Read the group. Raises ValueError if the file is not a group file."""
    wire = os.pread(descriptor, _MOST_BYTES, 0)
    if not wire:
        return Group()
    if not wire.startswith(_HEADER):
        raise ValueError("not a group file of this version")
    try:
        return _decoder.decode(wire[len(_HEADER) :])
    except msgspec.DecodeError:
        return Group()  # a process was killed during a write; members rejoin


def _write(descriptor: int, group: Group) -> None:
    wire = _HEADER + _encoder.encode(group)
    if os.pwrite(descriptor, wire, 0) != len(wire):
        os.ftruncate(descriptor, 0)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, len(wire))


def _why_not(folder: Path) -> str | None:
    """Return why ``folder`` cannot hold groups; None if it can."""
    if fcntl is None:
        return "file locks (fcntl) are not available on this platform"
    kind = _file_system_of(folder)
    return f"it is on a network file system ({kind})" if kind is not None and _is_remote(kind) else None


def _is_remote(kind: str) -> bool:
    return kind.removeprefix("fuse.") in _OVER_THE_NETWORK or kind in {"fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse"}


def _file_system_of(folder: Path) -> str | None:
    """Return the file system type of ``folder``, if the kernel reports it (proc_pid_mountinfo(5))."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        folder = folder.resolve()
    except (OSError, RuntimeError):  # RuntimeError: a link loop, before Python 3.13
        return None
    found, longest = None, -1
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= longest:
            found, longest = rest.split(" ", 1)[0], len(point)
    return found


def this_process() -> str:
    """Return an identifier of this process that is never reused on this machine."""
    pid = os.getpid()
    return f"{_namespace()}-{pid}-{_started(pid) or 0}"


def _silent(group: Group, now: int) -> dict[str, bool]:
    """Map members that missed a heartbeat to whether their process is alive, if that can be determined."""
    silent = {name: one.process for name, one in group.members.items() if now - one.seen >= _MISSED}
    known = {name: _is_there(process) for name, process in silent.items()}
    return {name: there for name, there in known.items() if there is not None}


def _is_there(process: str) -> bool | None:
    """Whether the process is alive, also if stopped; None if it belongs to another container."""
    namespace, _, named = process.partition("-")
    pid, _, started = named.partition("-")
    if not pid.isdecimal() or started in {"", "0"} or namespace != _namespace():
        return None
    return _started(int(pid)) == started


def _namespace() -> str:
    """Return the PID namespace of this process."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return the start time of a process in clock ticks; None if it has ended or the kernel does not report it."""
    try:
        # Fields after the name, which may contain anything: state first, start time twentieth (proc_pid_stat(5)).
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else fields[19].decode()
