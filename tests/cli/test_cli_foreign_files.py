"""Every command that takes a path leaves a file of somebody else's as it is, and says what to do."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import KEY
from support.foreign_files import FILES, KINDS, untouched

from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.cli.app import run
from deepseek_async.errors import APIConnectionError

PATH = "PATH"
WRITING = {
    "batch run": ("batch", "run", "in.jsonl", "-o", PATH),
    "batch export": ("batch", "export", "out.jsonl", "--format", "jsonl", "-o", PATH),
    "batch export, csv": ("batch", "export", "out.jsonl", "--format", "csv", "-o", PATH),
    "batch report": ("batch", "report", "out.jsonl", "-o", PATH),
    "batch merge": ("batch", "merge", "out.jsonl", "-o", PATH),
    "finetune prepare": ("finetune", "prepare", "dialogues.jsonl", "-o", PATH),
    "config init": ("config", "init", PATH),
    "cache clear": ("cache", "clear", PATH),
    "cache stats": ("cache", "stats", PATH),
    "budget": ("budget", PATH),
}
"""Those that write to a path, or might be thought to."""

LOOKING = {
    "batch status": ("batch", "status", PATH),
    "batch status, input": ("batch", "status", "out.jsonl", "--input", PATH),
    "batch export": ("batch", "export", PATH),
    "batch plan": ("batch", "plan", PATH, "--model", "deepseek-flash"),
    "check": ("check", PATH),
    "config show": ("config", "show", PATH),
    "audit query": ("audit", "query", "--folder", PATH),
    "cache stats": ("cache", "stats", PATH),
    "budget": ("budget", PATH),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run commands in, with an input and an output of a job in it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("deepseek_async.cli.batch_job.relax_garbage_collection", lambda: None)
    (folder / "in.jsonl").write_text('{"custom_id":"r1","prompt":"my only prompts","model":"deepseek-flash"}\n')
    (folder / "dialogues.jsonl").write_text('{"prompt":"Hello","completion":"Hi"}\n')
    (folder / "out.jsonl").write_bytes(encode_line(BatchResult(index=0, error=APIConnectionError("x")), "r1", 1))
    return folder


def code_of(*arguments: str) -> int:
    try:
        return run(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)


def at(path: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path if argument == PATH else argument for argument in arguments)


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("command", sorted(WRITING))
def test_a_command_that_would_write_there_refuses(
    folder: Path, kind: str, command: str, capsys: pytest.CaptureFixture[str]
):
    FILES[kind](folder / "somebody's")
    with untouched(folder):
        assert code_of(*at("somebody's", WRITING[command])) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "somebody's" in said.err
    assert said.err.startswith("error: ")


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"pipe"}))
@pytest.mark.parametrize("command", sorted(LOOKING))
def test_a_command_that_looks_touches_nothing(folder: Path, kind: str, command: str):
    KINDS[kind](folder / "somebody's")
    with untouched(folder):
        code_of(*at("somebody's", LOOKING[command]))


@pytest.mark.parametrize("command", ["cache stats", "cache clear", "budget", "batch run", "batch merge"])
def test_a_pipe_is_refused_without_waiting_for_anybody(folder: Path, command: str):
    KINDS["pipe"](folder / "somebody's")
    with untouched(folder):
        assert code_of(*at("somebody's", WRITING[command])) == 2


@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        (("batch", "export", "out.jsonl", "--format", "jsonl"), ["out.jsonl"]),
        (("batch", "report", "out.jsonl"), ["out.jsonl"]),
        (("batch", "run", "in.jsonl"), ["in.jsonl"]),
    ],
    ids=["export", "report", "run"],
)
@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to], ids=["itself", "link", "hard link"])
def test_an_input_is_no_output_whatever_it_is_called(
    folder: Path,
    arguments: tuple[str, ...],
    inputs: list[str],
    link: Callable[[Path, str], None] | None,
):
    for name in inputs:
        place = Path(name) if link is None else folder / f"other {name}"
        if link is not None:
            link(place, name)
        force = [] if arguments[1] == "run" else ["--force"]
        with untouched(folder):
            assert code_of(*arguments, "-o", str(place), *force) == 2


def test_an_export_that_goes_into_its_own_journal_by_the_shell_is_refused(folder: Path):
    command = [sys.executable, "-m", "deepseek_async", "batch", "export", "out.jsonl"]
    with untouched(folder), (folder / "out.jsonl").open("ab") as journal:
        ended = subprocess.run(command, stdout=journal, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert ended.returncode == 2
    assert "cannot write to standard output: it is the input out.jsonl" in ended.stderr


@pytest.mark.parametrize("command", ["batch export", "batch export, csv", "batch report"])
def test_a_device_is_written_to(folder: Path, command: str):
    before = Path("/dev/null").lstat()
    with untouched(folder):
        assert code_of(*at("/dev/null", WRITING[command])) == 0
    assert (Path("/dev/null").lstat().st_ino, Path("/dev/null").lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/stdout", "/dev/full"])
@pytest.mark.parametrize("command", ["batch run", "batch merge"])
def test_a_journal_is_no_device(folder: Path, command: str, place: str):
    before = Path(place).lstat()
    with untouched(folder):
        assert code_of(*at(place, WRITING[command])) == 2
    assert Path(place).lstat().st_ino == before.st_ino
    assert not Path(f"{place}.lock").exists()


def test_files_of_an_earlier_preparation_are_replaced_with_force_only(folder: Path):
    arguments = ("finetune", "prepare", "dialogues.jsonl")
    assert code_of(*arguments) == 0
    with untouched(folder):
        assert code_of(*arguments) == 2
    assert code_of(*arguments, "--force") == 0


def test_a_merge_into_one_of_its_outputs_keeps_what_it_leaves_out(folder: Path):
    output = folder / "out.jsonl"
    output.write_bytes(output.read_bytes() + b"notes between the lines\n" + output.read_bytes())
    assert code_of("batch", "merge", "out.jsonl", "-o", "out.jsonl") == 1
    assert output.read_bytes().count(b"\n") == 1
    assert (folder / "out.jsonl.damaged").read_bytes() == b"notes between the lines\n"


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_merge_into_a_file_that_is_no_output_refuses_though_it_is_named_twice(folder: Path, kind: str):
    FILES[kind](folder / "somebody's")
    with untouched(folder):
        assert code_of("batch", "merge", "somebody's", "out.jsonl", "-o", "somebody's") == 2
