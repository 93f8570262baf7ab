"""The group of the processes of one machine, in a small file."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_async.admission.sharing import group_file
from deepseek_async.admission.sharing.group_file import FileGroup
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.files.private_files import cache_folder

MODEL = "deepseek-flash"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def beat(group: FileGroup, member: str = "a", *, model: str = MODEL, **told) -> Reply | None:
    answers: list[Reply | None] = []
    told = {"bulk": 100, "window": 60, "ceiling": 60, "process": group.process} | told
    group.exchange(model, Heartbeat(member=member, **told), answers.append)
    (answer,) = answers
    return answer


def the_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_processes_that_name_the_same_account_find_each_other(folder: Path):
    first, second = FileGroup(folder, "account"), FileGroup(folder, "account")
    assert beat(first, "a").members == 1
    assert beat(second, "b").members == 2


def test_accounts_and_models_do_not_meet(folder: Path):
    beat(FileGroup(folder, "account"), "a")
    assert beat(FileGroup(folder, "another"), "b").members == 1
    assert beat(FileGroup(folder, "account"), "b", model="deepseek-v4-pro").members == 1


def test_only_the_owner_can_read_the_file_and_it_names_neither_account_nor_model(folder: Path):
    beat(FileGroup(folder, "sk-account"))
    file = the_file(folder)
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert b"sk-account" not in file.read_bytes() + file.name.encode()
    assert MODEL.encode() not in file.read_bytes() + file.name.encode()


def test_the_last_to_leave_takes_the_file_away(folder: Path):
    group = FileGroup(folder, "account")
    beat(group, "a")
    beat(group, "b")
    group.leave(MODEL, "a")
    assert the_file(folder)
    group.leave(MODEL, "b")
    assert list(folder.iterdir()) == []
    assert beat(group, "c").members == 1


def test_a_file_that_was_not_written_to_its_end_is_begun_anew(folder: Path):
    group = FileGroup(folder, "account")
    beat(group, "a")
    file = the_file(folder)
    file.write_bytes(file.read_bytes()[:-20])
    assert beat(group, "b").members == 1
    assert beat(group, "a").members == 2


@pytest.mark.parametrize("content", [b"{}", b"my notes\n", b"deepseek-async group 2\n{}", b"\0"])
def test_another_file_of_that_name_is_left_as_it_is(folder: Path, content: bytes, caplog: pytest.LogCaptureFixture):
    group = FileGroup(folder, "account")
    beat(group, "a")
    file = the_file(folder)
    file.write_bytes(content)
    assert beat(group, "a") is None
    assert file.read_bytes() == content
    assert len(caplog.records) == 1


def test_a_link_is_not_followed(folder: Path, tmp_path: Path):
    group = FileGroup(folder, "account")
    beat(group, "a")
    file = the_file(folder)
    file.unlink()
    other = tmp_path / "other"
    other.write_bytes(b"")
    file.symlink_to(other)
    assert beat(group, "a") is None
    assert other.read_bytes() == b""


def test_a_file_that_another_has_locked_is_not_waited_for(folder: Path, caplog: pytest.LogCaptureFixture):
    group = FileGroup(folder, "account")
    beat(group, "a")
    with the_file(folder).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert beat(group, "a") is None
    assert beat(group, "a") is not None
    assert not caplog.records


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() == 0:
        # Nothing is forbidden to root but what the file system refuses.
        yield Path("/proc/self/fdinfo/cache")
        return
    tmp_path.chmod(0o500)
    yield tmp_path / "cache"
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_written_is_said_once(unwritable: Path, caplog: pytest.LogCaptureFixture):
    group = FileGroup(unwritable, "account")
    assert [beat(group, "a"), beat(group, "a"), beat(group, "b")] == [None] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(unwritable) in record.getMessage()


def test_a_disk_that_is_full_is_said_once_and_leaves_nothing_half_written(folder: Path, caplog, monkeypatch):
    group = FileGroup(folder, "account")
    written = os.pwrite
    monkeypatch.setattr(group_file.os, "pwrite", lambda descriptor, wire, at: written(descriptor, wire[:9], at))
    assert beat(group, "a") is None
    assert the_file(folder).read_bytes() == b""
    assert "No space left" in caplog.records[0].getMessage()
    monkeypatch.undo()
    assert beat(FileGroup(folder, "account"), "a").members == 1


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "fuse.glusterfs"])
def test_a_network_file_system_is_not_used(folder: Path, kind: str, monkeypatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(group_file, "_file_system_of", lambda _: kind)
    assert beat(FileGroup(folder, "account"), "a") is None
    assert kind in caplog.records[0].getMessage()
    assert not folder.exists()


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount():
    assert group_file._file_system_of(Path("/proc/self")) == "proc"


def test_a_killed_process_is_told_from_one_that_stands_still():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        named = f"{group_file._namespace()}-{process.pid}-{group_file._started(process.pid)}"
        process.send_signal(signal.SIGSTOP)
        assert group_file._is_there(named)
        assert not group_file._is_there(f"{group_file._namespace()}-{process.pid}-1")
        assert group_file._is_there(f"1-{process.pid}-1") is None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
        assert group_file._is_there(named) is False
    finally:
        process.kill()
        process.communicate()
    assert not group_file._is_there(named)


def test_a_folder_that_a_link_to_itself_leads_to_is_said_once_and_fails_nothing(tmp_path: Path, caplog):
    link = tmp_path / "link"
    link.symlink_to(link)
    group = FileGroup(link / "cache", "account")
    assert [beat(group, "a"), beat(group, "a")] == [None, None]
    assert len(caplog.records) == 1


def test_a_process_that_moves_to_another_folder_stays_in_its_group(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = cache_folder({"DEEPSEEK_ASYNC_CACHE_DIR": "a cache"})
    group = FileGroup(folder, "account")
    beat(group, "a")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert beat(group, "b").members == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []
