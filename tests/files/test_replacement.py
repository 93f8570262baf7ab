"""A written file appears whole, in the place of nothing that was not given up; devices and pipes are written to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.foreign_files import FILES, PLACES, untouched

from deepseek_async.errors import ConfigurationError, OutputWriteError
from deepseek_async.files.replacement import replaced


def write(path: Path, *inputs: Path, force: bool = False, content: bytes = b"new") -> None:
    with replaced(path, *inputs, force=force) as file:
        file.write(content)


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_file_that_is_there_is_replaced_with_force_only(tmp_path: Path, kind: str):
    target = tmp_path / "target"
    FILES[kind](target)
    with untouched(tmp_path), pytest.raises(ConfigurationError, match=r"it exists; name another file, or .*--force"):
        write(target)
    others = {path: path.read_bytes() for path in tmp_path.iterdir() if path != target}
    write(target, force=True)
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert {path: path.read_bytes() for path in others} == others


def test_a_folder_is_refused_with_force_too(tmp_path: Path):
    PLACES["folder"](tmp_path / "target")
    for force in (False, True):
        with untouched(tmp_path), pytest.raises(ConfigurationError, match="is a folder; name a file"):
            write(tmp_path / "target", force=force)


def test_a_link_to_nothing_is_somebodys_too(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with untouched(tmp_path), pytest.raises(ConfigurationError, match="exists"):
        write(tmp_path / "link")


def test_an_empty_file_may_be_replaced(tmp_path: Path):
    (tmp_path / "target").touch()
    write(tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["the file itself", "a link", "a link to a link", "a hard link", "an empty file"])
def test_an_input_is_never_an_output(tmp_path: Path, name: str, force: bool):
    given = tmp_path / "given"
    given.write_bytes(b"" if name == "an empty file" else b"prompts\n")
    target = tmp_path / "target"
    if name == "a hard link":
        target.hardlink_to(given)
    elif name.startswith("a link"):
        (tmp_path / "link").symlink_to(given)
        target.symlink_to(tmp_path / "link" if name.endswith("link to a link") else given)
    else:
        target = given
    with untouched(tmp_path), pytest.raises(ConfigurationError, match="it is the input"):
        write(target, tmp_path / "other", given, force=force)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("way", ["itself", "a link"])
def test_a_device_is_written_to_and_stays_one(tmp_path: Path, way: str, force: bool):
    before = os.lstat("/dev/null")
    device = Path("/dev/null")
    if way == "a link":
        device = tmp_path / "null"
        device.symlink_to("/dev/null")
    write(device, force=force)
    after = os.lstat("/dev/null")
    assert (after.st_ino, after.st_rdev, after.st_mode) == (before.st_ino, before.st_rdev, before.st_mode)
    assert device == Path("/dev/null") or device.is_symlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_device_is_an_error_that_names_it():
    with pytest.raises(OutputWriteError, match="cannot write /dev/full: No space left on device"):
        write(Path("/dev/full"), content=b"x" * 100_000)


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    before = pipe.stat()
    write(pipe, content=b"through the pipe")
    reader.join()
    assert os.path.samestat(pipe.stat(), before)
    assert list(tmp_path.iterdir()) == [pipe]
    assert read == [b"through the pipe"]


WRITE = """
import sys
from pathlib import Path
from deepseek_async.files.replacement import replaced
with replaced(Path(sys.argv[1])) as file:
    file.write(b"new")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_gets_what_is_written_behind_what_is_there(tmp_path: Path, name: str):
    if not Path(name).parent.exists():
        pytest.skip("not on this system")
    place = tmp_path / "appended to"
    place.write_bytes(b"old ")
    (tmp_path / "link").symlink_to("/dev/stdout")
    before = os.lstat("/dev/stdout").st_ino
    with place.open("ab") as file:
        subprocess.run([sys.executable, "-c", WRITE, name], stdout=file, cwd=tmp_path, check=True, timeout=120)
    assert place.read_bytes() == b"old new"
    assert os.lstat("/dev/stdout").st_ino == before
    assert (tmp_path / "link").is_symlink()


def test_a_file_is_replaced_when_it_is_whole_and_not_before(tmp_path: Path):
    target = tmp_path / "answers.csv"
    target.write_text("old")

    with suppress(RuntimeError), replaced(target, force=True) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]

    with replaced(target, force=True) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch):
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    target = tmp_path / "answers.csv"
    write(target)
    target.unlink()

    def write_while_one_comes() -> None:
        with replaced(target) as file:
            file.write(b"ours")
            target.write_bytes(b"somebody's")

    with pytest.raises(ConfigurationError, match="exists"):
        write_while_one_comes()
    assert target.read_bytes() == b"somebody's"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(OutputWriteError, match=r"cannot write .*nowhere"):
        write(tmp_path / "nowhere" / "a.csv")
