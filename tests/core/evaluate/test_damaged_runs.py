"""Run files that are damaged, hostile, cut off or no files at all: a sentence, within bounded time, and Delete works."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.evaluate import Metrics, RunStore, run_index
from core.evaluate import report as reports
from core.evaluate.metrics import MEASURES, cell_keys, curves
from core.evaluate.plan import NO_DEFENSE
from core.evaluate.tasks import task_count, tasks
from core.inputs import InvalidInput
from tests.core.evaluate.stored_runs import FILLED as PLAN

pytestmark = pytest.mark.usefixtures("folder")
LIMIT = 10.0  # seconds, far more than any of it takes


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


FIVE = "WHERE task LIKE '%/0'"  # a batch of five; in a smaller one five values are damage whatever they are


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
    "predicted beyond": changed(f"UPDATE predictions SET predicted = ? {FIVE}", np.full(5, 10, "<i4").tobytes()),
    "predicted below": changed(f"UPDATE predictions SET predicted = ? {FIVE}", np.full(5, -7, "<i4").tobytes()),
    "confidence empty": changed("UPDATE predictions SET confidence = x''"),
    "confidence beyond": changed(f"UPDATE predictions SET confidence = ? {FIVE}", np.full(5, 1e30, "<f4").tobytes()),
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


def test_a_run_that_takes_too_long_says_so(good: bytes, folder: Path) -> None:
    (folder / "slow.sqlite").write_bytes(good)
    with (
        RunStore(folder / "slow.sqlite", query_timeout=0.05) as run,
        pytest.raises(InvalidInput, match="takes too long"),
    ):
        run.database.query(f"{ENDLESS} max(i) FROM n")
