"""Files of runs: what lies beside them, who writes and deletes them, and what they are called."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from core.evaluate import RunStore, database, run_index
from core.evaluate.tasks import task_count, tasks
from core.inputs import InvalidInput
from tests.core.evaluate.filled import fill, task_result
from tests.core.evaluate.stored_runs import FILLED as PLAN
from tests.core.evaluate.test_damaged_runs import read_all

pytestmark = pytest.mark.usefixtures("folder")


def test_what_is_no_file_is_a_line_with_a_sentence_and_can_be_deleted(good: bytes, folder: Path) -> None:
    (folder / "good.sqlite").write_bytes(good)
    (folder / "dangling.sqlite").symlink_to(folder / "nowhere")
    (folder / "loop.sqlite").symlink_to(folder / "loop.sqlite")
    (folder / "folder.sqlite").mkdir()
    (folder / "linked.sqlite").symlink_to(folder / "good.sqlite")
    os.mkfifo(folder / "pipe.sqlite")
    (folder / os.fsdecode(b"\xff\xfe.sqlite")).write_bytes(good)
    (folder / f"{'n' * 248}.sqlite").write_bytes(good)
    (folder / "*_a_*\n[b](c)\x07.sqlite").write_bytes(good)
    (folder / ".hidden.sqlite").write_bytes(good)
    (folder / ".sqlite").write_bytes(good)
    lines = {line.name: line for line in run_index.list_runs()}
    for name, word in (
        ("dangling", "link"),
        ("loop", "cannot be read"),
        ("folder", "no file"),
        ("pipe", "no file"),
        (os.fsdecode(b"\xff\xfe"), "UTF-8"),
    ):
        assert lines[name].plan is None and word in lines[name].problem, lines[name]
        assert lines[name].problem.isprintable() and len(lines[name].problem) < 400
        lines[name].problem.encode()
    for name in ("good", "linked", "n" * 248, "*_a_*\n[b](c)\x07"):
        assert lines[name].plan == PLAN.resolved()
    assert len(lines) == 9
    for name in lines:
        run_index.delete(name)
    assert run_index.list_runs() == []


def test_a_folder_with_something_in_it_is_not_deleted(folder: Path) -> None:
    (folder / "mine.sqlite").mkdir()
    (folder / "mine.sqlite" / "letter").write_text("keep me")
    with pytest.raises(InvalidInput, match="could not be deleted: Directory not empty"):
        run_index.delete("mine")
    assert (folder / "mine.sqlite" / "letter").exists()


@pytest.mark.parametrize("name", ["n" * 249, "n" * 5000, "a\0b", "\ud800", "\udcff", "ä" * 130, "..", "a/b", "", "x"])
def test_no_name_of_a_link_is_more_than_a_sentence(name: str) -> None:
    with pytest.raises(InvalidInput, match="no run called") as told:
        run_index.open_run(name)
    assert str(told.value).isprintable() and len(str(told.value)) < 120
    str(told.value).encode()


def test_a_file_that_vanishes_while_it_is_listed_is_no_line(
    good: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "good.sqlite").write_bytes(good)
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*real(path), "gone.sqlite"])
    assert [line.name for line in run_index.list_runs()] == ["good"]


def test_the_list_is_read_anew_when_a_run_grows(folder: Path) -> None:
    plan = fill(PLAN, folder / "a.sqlite", most=2)
    long_ago = time.time() - 100
    os.utime(folder / "a.sqlite", (long_ago, long_ago))
    assert run_index.list_runs()[0].done == 2 == run_index.list_runs()[0].done
    with RunStore(folder / "a.sqlite") as run:
        task = run.pending()[0][0]
        run.add(task, task_result(run, task))
    assert (run_index.list_runs()[0].plan, run_index.list_runs()[0].done) == (plan, 3)


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_what_a_killed_program_left_beside_a_run_does_not_get_into_the_next(
    ending: str, good: bytes, folder: Path
) -> None:
    path = folder / f"{PLAN.name}.sqlite"
    path.write_bytes(good)
    left, part = Path(f"{path}{ending}"), path.with_name(f"{path.stem}.999999-1.part")
    left.write_bytes(b"left"), part.write_bytes(b"left")
    run_index.delete(PLAN.name)
    assert not list(folder.iterdir())
    left.write_bytes(b"left"), part.write_bytes(b"left"), Path(f"{part}-journal").write_bytes(b"left")
    RunStore.create(PLAN, "cpu").close()
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_a_hot_journal_is_not_rolled_into_a_new_run(folder: Path, tmp_path: Path) -> None:
    path = folder / f"{PLAN.name}.sqlite"
    fill(PLAN, target=3)
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA cache_size = 1")  # pages are written before the transaction ends
        base.execute("BEGIN")
        base.execute("UPDATE predictions SET predicted = zeroblob(4000)")
        shutil.copy(f"{path}-journal", tmp_path / "journal")  # as kill -9 leaves it
        base.rollback()
    for gone in (lambda: run_index.delete(PLAN.name), path.unlink):  # by the button, and by hand
        shutil.copy(tmp_path / "journal", f"{path}-journal")
        gone()
        fill(PLAN, target=3)
        read_all(PLAN.name)
        assert run_index.list_runs()[0].done == task_count(PLAN)


def test_a_journal_is_rolled_back_into_its_own_run(folder: Path) -> None:
    path = folder / f"{PLAN.name}.sqlite"
    fill(PLAN, target=3)
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA cache_size = 1")
        base.execute("BEGIN")
        base.execute("UPDATE predictions SET predicted = zeroblob(4000)")
        torn, journal = path.read_bytes(), Path(f"{path}-journal").read_bytes()
        base.rollback()
    path.write_bytes(torn), Path(f"{path}-journal").write_bytes(journal)
    read_all(PLAN.name)


def test_a_run_that_is_deleted_while_it_runs_says_so(folder: Path) -> None:
    for after in (lambda path: None, lambda path: fill(PLAN)):
        with RunStore.create(PLAN, "cpu") as run:
            task = next(tasks(PLAN))
            made = task_result(run, task)
            run_index.delete(PLAN.name)
            after(run.path)
            with pytest.raises(InvalidInput, match="was deleted while it was in use; start it again"):
                run.add(task, made)
        run_index.delete(PLAN.name)


def test_a_run_that_another_program_writes_into_says_so(good: bytes, folder: Path) -> None:
    path = folder / "locked.sqlite"
    path.write_bytes(good)
    with closing(sqlite3.connect(path)) as base:
        base.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert "in use by another program" in run_index.list_runs()[0].problem
        assert time.monotonic() - began < 5
        base.rollback()
    assert run_index.list_runs()[0].problem == ""


def test_a_folder_that_cannot_be_written_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bytes
) -> None:
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file", Path("/proc/nowhere"), Path("/dev/null")):
        monkeypatch.setenv("MIRAGE_DATA", str(place))
        assert run_index.list_runs() == []
        with pytest.raises(InvalidInput, match=r"cannot be kept in .*MIRAGE_DATA"):
            RunStore.create(PLAN, "cpu")


def test_a_run_that_may_not_be_deleted_says_so(folder: Path, good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kept.sqlite").write_bytes(good)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InvalidInput, match="could not be deleted: Permission denied"):
        run_index.delete("kept")


def test_what_cannot_be_written_says_why(folder: Path) -> None:
    with RunStore.create(PLAN, "cpu") as run:
        task = next(tasks(PLAN))
        run.database.connection.close()
        run.database.connection = sqlite3.connect(f"{run.path.as_uri()}?mode=ro", uri=True)
        with pytest.raises(InvalidInput, match=r"read-only.*MIRAGE_DATA"):
            run.add(task, task_result(run, task))


def test_nothing_can_be_written_by_reading(folder: Path) -> None:
    with RunStore.create(PLAN, "cpu") as run:
        with pytest.raises(InvalidInput):
            run.database.query("DELETE FROM meta")
        with run.database.writing() as base:
            base.execute("DELETE FROM extras")
        with pytest.raises(InvalidInput):
            run.database.query("DELETE FROM meta")


@pytest.mark.parametrize("name", ["x" * 500, "a\nb", "\udcff\ud800", "it's"])
def test_names_are_quoted_in_one_short_line(name: str) -> None:
    text = database.quoted(name)
    assert text.isprintable() and len(text) < 80 and text[0] == text[-1] and text[0] in "'\""
    text.encode()
