"""Run files that are damaged, hostile, cut off or no files at all: a sentence, within bounded time, and Delete works."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.evaluate import Metrics, Plan, RunStore, database, run_index, store
from core.evaluate import report as reports
from core.evaluate.metrics import MEASURES, cell_keys, curves
from core.evaluate.plan import NO_DEFENSE
from core.evaluate.tasks import task_count, tasks
from core.inputs import InvalidInput
from core.recipe import Method
from tests.core.evaluate.filled import fill, task_result

PLAN = Plan(
    domain="mnist",
    n_images=12,
    batch=5,
    attacks=(
        Method(name="fgsm", params={"eps": 40 / 255}),
        Method(name="fgsm", params={"eps": 80 / 255}),
        Method(name="universal_patch"),
    ),
    target="3",
    defenses=((Method(name="median"),), (Method(name="bitdepth"),)),
    detectors=(Method(name="feature_squeezing"),),
)
LIMIT = 10.0  # seconds, far more than any of it takes


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    store.folder().mkdir()
    return store.folder()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a whole run."""
    path = tmp_path_factory.mktemp("good") / "good.sqlite"
    fill(PLAN, path, target=3)
    return path.read_bytes()


def read_all(name: str) -> None:
    """Everything that a screen or a report asks of a run; InvalidInput is the only complaint."""
    with run_index.open_run(name) as run:
        metrics = Metrics(run)
        run.progress(), run.pending(), run.attack_seconds(), run.database.content()
        reports.report(metrics), curves(metrics), reports.compare_runs(metrics, metrics)
        for line in cell_keys(run.plan):
            for place in line:
                for measure in MEASURES:
                    metrics.proportion(place, measure)
                reports.classes_table(metrics, place)
                metrics.confusion(place, 10), metrics.confusion(place, 10, "clean"), metrics.seconds(NO_DEFENSE)
                for position in range(run.plan.n_images):
                    run.image(place.classifier, place.attack, place.known_defense, position)
        for task in tasks(run.plan):
            run.extras(task)


def changed(statement: str, *values: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as base, base:
            base.execute("PRAGMA writable_schema = ON")
            base.execute(statement, values)

    return damage


def planned(**changes: object) -> Callable[[Path], None]:
    """Another plan in the file."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as base, base:
            (text,) = base.execute("SELECT value FROM meta WHERE key = 'plan'").fetchone()
            base.execute("UPDATE meta SET value = ? WHERE key = 'plan'", (json.dumps({**json.loads(text), **changes}),))

    return damage


def meta(key: str, value: object) -> Callable[[Path], None]:
    return changed(f"UPDATE meta SET value = ? WHERE key = '{key}'", value)


def instead(table: str, sql: str) -> Callable[[Path], None]:
    """Something else under the name of a table."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as base:
            base.executescript(f"DROP TABLE {table}; {sql}")

    return damage


ENDLESS = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT"
TOLD: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"these are no results " * 100),
    "no tasks": instead("tasks", ""),
    "no meta": instead("meta", ""),
    "no predictions": instead("predictions", ""),
    "no table of images": instead("images", ""),
    "an endless view": instead(
        "tasks", f"CREATE VIEW tasks AS {ENDLESS} i AS key, 0 AS classifier, 0 AS attack FROM n;"
    ),
    "an endless meta": instead("meta", f"CREATE VIEW meta AS {ENDLESS} 'plan' AS key, i AS value FROM n;"),
    "a trigger": changed("CREATE TRIGGER t AFTER INSERT ON tasks BEGIN DELETE FROM predictions; END"),
    "another table": changed("CREATE TABLE more (a)"),
    "a virtual table": changed("CREATE VIRTUAL TABLE v USING fts5(a)"),
    "a generated column": instead("extras", "CREATE TABLE extras (task TEXT, name TEXT, shape AS (1), data BLOB);"),
    "another version": meta("version", 7),
    "version text": meta("version", "one"),
    "version missing": changed("DELETE FROM meta WHERE key = 'version'"),
    "plan missing": changed("DELETE FROM meta WHERE key = 'plan'"),
    "plan bytes": meta("plan", b"\xff\xfe"),
    "plan number": meta("plan", 3),
    "plan no JSON": meta("plan", "{"),
    "plan nested": meta("plan", "[" * 100_000),
    "plan large": meta("plan", json.dumps({"x": "y" * 2_000_000})),
    "a million images": planned(n_images=1_000_000, batch=1),
    "no images": planned(n_images=0),
    "an unknown attack": planned(attacks=[{"name": "nobody", "params": {}}]),
    "an attack out of range": planned(attacks=[{"name": "fgsm", "params": {"eps": 1e99}}]),
    "an unknown defense": planned(defenses=[[{"name": "nobody"}]]),
    "an unknown detector": planned(detectors=[{"name": "nobody"}]),
    "an unknown domain": planned(domain="moon"),
    "an unknown class": planned(target="elephant"),
    "an unknown classifier": planned(classifiers=["nobody"]),
    "fewer images": planned(n_images=11),
    "other batches": planned(batch=4),
    "fewer defenses": planned(defenses=[]),
    "fewer attacks": planned(attacks=[]),
    "indices text": meta("indices", "text"),
    "indices none": changed("DELETE FROM meta WHERE key = 'indices'"),
    "indices odd": meta("indices", b"\0" * 13),
    "indices few": meta("indices", b"\0" * 16),
    "indices negative": meta("indices", np.full(12, -1, "<i8").tobytes()),
    "labels beyond": meta("labels", np.full(12, 10, "<i8").tobytes()),
    "labels negative": meta("labels", np.full(12, -1, "<i8").tobytes()),
    "labels huge": meta("labels", np.full(12, 2**62, "<i8").tobytes()),
    "start text": meta("started_at", "yesterday"),
    "start far away": meta("started_at", 1e300),
    "start before": meta("started_at", -5.0),
    "start infinite": meta("started_at", float("inf")),
    "device bytes": meta("device", b"\xff"),
    "device long": meta("device", "x" * 10_000),
    "batch text": changed("UPDATE tasks SET batch = 'first' WHERE batch = 1"),
    "batch negative": changed("UPDATE tasks SET batch = -1 WHERE batch = 1"),
    "batch huge": changed("UPDATE tasks SET batch = 9000000000000000000 WHERE batch = 1"),
    "batch real": changed("UPDATE tasks SET batch = 1.5 WHERE batch = 2"),
    "batch none": changed("UPDATE tasks SET batch = NULL"),
    "classifier beyond": changed("UPDATE tasks SET classifier = 5"),
    "attack text": changed("UPDATE tasks SET attack = 'fgsm'"),
    "known beyond": changed("UPDATE tasks SET known_defense = 9 WHERE known_defense = 1"),
    "key none": changed("UPDATE tasks SET key = NULL WHERE batch = 1"),
    "key not UTF-8": changed("UPDATE tasks SET key = CAST(x'ff30' AS TEXT) WHERE key = '0/0/-1/1'"),
    "more tasks than planned": changed(
        "INSERT INTO tasks SELECT 'more' || i.value, 0, 0, -1, 0, 0.1, x'' FROM json_each('[1,2,3,4,5,6,7,8,9]') AS i"
    ),
    "seconds infinite": changed("UPDATE tasks SET seconds = 9e999"),
    "seconds negative": changed("UPDATE tasks SET seconds = -1"),
    "seconds none": changed("UPDATE tasks SET seconds = NULL"),
    "seconds text": changed("UPDATE tasks SET seconds = 'long'"),
    "defense seconds text": changed("UPDATE predictions SET seconds = 'long'"),
    "defense seconds none": changed("UPDATE predictions SET seconds = NULL"),
    "targets none": changed("UPDATE tasks SET targets = NULL"),
    "targets beyond": changed("UPDATE tasks SET targets = ? WHERE batch = 0", np.full(5, 99, "<i4").tobytes()),
    "scores text": changed("UPDATE scores SET scores = 'many'"),
    "scores short": changed("UPDATE scores SET scores = x'00000000'"),
    "predicted none": changed("UPDATE predictions SET predicted = NULL"),
    "predicted text": changed("UPDATE predictions SET predicted = 'seven'"),
    "predicted short": changed("UPDATE predictions SET predicted = x'0000'"),
    "predicted long": changed("UPDATE predictions SET predicted = zeroblob(4000)"),
    "predicted beyond": changed("UPDATE predictions SET predicted = ?", np.full(5, 10, "<i4").tobytes()),
    "predicted below": changed("UPDATE predictions SET predicted = ?", np.full(5, -7, "<i4").tobytes()),
    "confidence empty": changed("UPDATE predictions SET confidence = x''"),
    "confidence beyond": changed("UPDATE predictions SET confidence = ?", np.full(5, 1e30, "<f4").tobytes()),
    "an image that is not one": changed("UPDATE images SET png = x'00'"),
    "an image of text": changed("UPDATE images SET png = 'image'"),
    "an image of millions of pixels": changed(
        "UPDATE images SET png = ?", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x17\x70\0\0\x17\x70\x08\0\0\0\0" + b"\0" * 50
    ),
    "an extra without a shape": changed("UPDATE extras SET shape = NULL"),
    "an extra of another shape": changed("UPDATE extras SET shape = '[1, 6, 6]'"),
    "an extra of a negative shape": changed("UPDATE extras SET shape = '[-1, 5, -5]'"),
    "an extra of a huge shape": changed("UPDATE extras SET shape = '[1000000, 1000000, 1000000]'"),
    "an extra of text": changed("UPDATE extras SET data = 'patch'"),
    "an extra that is infinite": changed("UPDATE extras SET data = ?", np.full((1, 5, 5), np.inf, "<f4").tobytes()),
    "a value of 70 MB": changed("UPDATE images SET png = zeroblob(70000000) WHERE rowid = 1"),
}


@pytest.mark.parametrize("name", TOLD)
def test_damage_is_told_in_a_sentence(name: str, good: bytes, folder: Path) -> None:
    bad = folder / "bad.sqlite"
    bad.write_bytes(good)
    TOLD[name](bad)
    (folder / "good.sqlite").write_bytes(good)
    began = time.monotonic()
    lines = {line.name: line for line in run_index.list_runs()}
    assert set(lines) == {"good", "bad"} and lines["good"].done == lines["good"].total == task_count(PLAN)
    with pytest.raises(InvalidInput) as told:
        read_all("bad")
    assert time.monotonic() - began < LIMIT
    assert str(told.value).endswith((".", ".)")) and "Traceback" not in str(told.value)
    run_index.delete("bad")
    assert [line.name for line in run_index.list_runs()] == ["good"]


def cuts() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Damage to the bytes themselves; where nothing of it is met, the run may as well be read."""
    for part in range(1, 20):
        yield f"cut at {part}/20", lambda data, part=part: data[: len(data) * part // 20]  # type: ignore[misc]
    for page in range(0, 40, 3):
        yield (
            f"page {page} empty",
            lambda data, page=page: data[: 4096 * page] + bytes(4096) + data[4096 * (page + 1) :],  # type: ignore[misc]
        )
    for seed in range(40):

        def flipped(data: bytes, seed: int = seed) -> bytes:
            generator = np.random.default_rng(seed)
            values = np.frombuffer(data, np.uint8).copy()
            values[generator.integers(0, len(values), 1 + 3 * seed)] ^= np.uint8(1 << seed % 8)
            return values.tobytes()

        yield f"flipped {seed}", flipped


@pytest.mark.parametrize(("name", "damage"), list(cuts()))
def test_bytes_that_are_lost_or_changed_give_a_sentence_or_numbers(
    name: str, damage: Callable[[bytes], bytes], good: bytes, folder: Path
) -> None:
    (folder / "bad.sqlite").write_bytes(damage(good))
    began = time.monotonic()
    assert [line.name for line in run_index.list_runs()] == ["bad"]
    try:
        read_all("bad")
    except InvalidInput as told:
        assert str(told).strip()
    assert time.monotonic() - began < LIMIT
    run_index.delete("bad")
    assert not list(folder.iterdir())


def test_a_plan_of_a_million_images_is_listed_at_once(good: bytes, folder: Path) -> None:
    path = folder / "large.sqlite"
    path.write_bytes(good)
    planned(n_images=1_000_000, batch=1)(path)
    for key in ("indices", "labels"):
        meta(key, bytes(8_000_000))(path)
    began = time.monotonic()
    assert run_index.list_runs()[0].total == task_count(PLAN.model_copy(update={"n_images": 1_000_000, "batch": 1}))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("attacker", ["grey", "adaptive", "both"])
def test_tasks_are_counted_without_making_them(attacker: str) -> None:
    plan = PLAN.model_copy(update={"attacker": attacker})
    assert task_count(plan) == len(list(tasks(plan)))


# What is no file with a run in it


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


# What an interrupted program leaves behind


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


# A disk that does not do what it should


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


def test_a_run_that_takes_too_long_says_so(good: bytes, folder: Path) -> None:
    (folder / "slow.sqlite").write_bytes(good)
    with (
        RunStore(folder / "slow.sqlite", query_timeout=0.05) as run,
        pytest.raises(InvalidInput, match="takes too long"),
    ):
        run.database.query(f"{ENDLESS} max(i) FROM n")


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
