"""What is remembered of ceilings from one run to the next: never wrong for others, never fatal, never secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from support.foreign_files import KINDS, untouched

from deepseek_async.admission.remembered_limits import NEWEST, RememberedLimits

NOW = 1_795_450_000.0


def memory(folder: Path, origin: str = "https://api.deepseek.com", account: str = "mine") -> RememberedLimits:
    return RememberedLimits(folder / "cache", origin, account)


def test_a_ceiling_is_there_for_the_next_run(tmp_path: Path):
    memory(tmp_path).store({"deepseek-flash": 60}, NOW)
    assert memory(tmp_path).recall("deepseek-flash", NOW + 10) == 60


@pytest.mark.parametrize("later", [NEWEST, NEWEST * 100, -1.0])
def test_a_ceiling_is_forgotten_after_an_hour_and_when_the_clock_went_back(tmp_path: Path, later: float):
    memory(tmp_path).store({"m": 60}, NOW)
    assert memory(tmp_path).recall("m", NOW + later) is None


def test_others_do_not_get_it(tmp_path: Path):
    memory(tmp_path).store({"m": 60}, NOW)
    assert memory(tmp_path).recall("other", NOW) is None
    assert memory(tmp_path, account="yours").recall("m", NOW) is None
    assert memory(tmp_path, origin="https://backup.example").recall("m", NOW) is None


def test_what_others_have_stored_stays(tmp_path: Path):
    memory(tmp_path).store({"m": 60}, NOW)
    memory(tmp_path, account="yours").store({"m": 5}, NOW + 1)
    assert memory(tmp_path).recall("m", NOW + 2) == 60


def test_only_the_owner_reads_the_file_and_it_names_nobody(tmp_path: Path):
    memory(tmp_path, account="secret-account").store({"deepseek-flash": 60}, NOW)
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"secret" not in file.read_bytes()
    assert b"deepseek" not in file.read_bytes()


def test_an_empty_file_is_no_file(tmp_path: Path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "ceilings.json").touch()
    assert memory(tmp_path).recall("m", NOW) is None
    memory(tmp_path).store({"m": 60}, NOW)
    assert memory(tmp_path).recall("m", NOW) == 60


ODD = [b"nonsense", b"[]", b'{"ceilings": 5}', b'{"ceilings": {"a": 1}}', b'{"ceilings": {"a": [2, 1]}}', b"{}"]


@pytest.mark.parametrize("kind", [*sorted(KINDS), *ODD])
def test_a_file_that_is_not_ours_is_left_as_it_is_and_said(
    tmp_path: Path, kind: str | bytes, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "cache"
    folder.mkdir()
    file = folder / "ceilings.json"
    if isinstance(kind, str):
        KINDS[kind](file)
    else:
        file.write_bytes(kind)
    with untouched(folder):
        assert memory(tmp_path).recall("m", NOW) is None
        memory(tmp_path).store({"m": 60}, NOW)
    assert f"cannot store concurrency limits in {file}" in caplog.text


def test_a_link_is_not_followed(tmp_path: Path):
    memory(tmp_path).store({"m": 60}, NOW)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "cache" / "ceilings.json").rename(elsewhere)
    (tmp_path / "cache" / "ceilings.json").symlink_to(elsewhere)
    assert memory(tmp_path).recall("m", NOW) is None


def test_a_folder_that_cannot_be_is_no_trouble(tmp_path: Path):
    (tmp_path / "cache").write_text("a file")
    memory(tmp_path).store({"m": 60}, NOW)
    assert memory(tmp_path).recall("m", NOW) is None


def test_nothing_found_writes_nothing(tmp_path: Path):
    memory(tmp_path).store({}, NOW)
    assert not (tmp_path / "cache").exists()
