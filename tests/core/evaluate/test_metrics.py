"""Counts against scikit-learn and by hand; tables; the detector."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from core import domains
from core.defenses import BitDepth, SpatialSmoothing
from core.detectors import FeatureSqueezing, flagged, threshold_at
from core.evaluate.compute import Predictions, TaskResult
from core.evaluate.metrics import CellKey, Curve, Metrics, best_worst, cell_keys, cluster_order, confusion, curves
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.evaluate.report import classes_table, matrix, only_in_one, recovery, report
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task
from core.figures.evaluation import accuracy_figure
from core.inputs import InvalidInput
from core.recipe import Method

PLAN = Plan(
    domain="mnist",
    n_images=60,
    batch=20,
    attacks=(
        Method(name="pgd", params={"eps": 0.2}),
        Method(name="pgd", params={"eps": 0.1}),
        Method(name="deepfool"),
    ),
    defenses=((Method(name="median"),), (Method(name="jpeg"),)),
)


def answer(predicted: np.ndarray) -> Predictions:
    values = np.full(len(predicted), 0.5, np.float32)
    return Predictions(predicted.astype(np.int32), values, values, 0.002 * len(predicted))


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    """A run whose answers are thrown, two of its three batches done."""
    made = RunStore.create(PLAN, "cpu", tmp_path / "made.sqlite")
    chance = np.random.default_rng(0)
    for batch in range(2):
        labels = made.labels[batch * 20 : batch * 20 + 20]

        def thrown(share: float, labels: np.ndarray = labels) -> Predictions:
            wrong = chance.random(len(labels)) > share
            return answer(np.where(wrong, chance.integers(0, 10, len(labels)), labels))

        none = np.full(20, -1, np.int32)
        made.add(
            Task(0, NO_ATTACK, NO_DEFENSE, batch), TaskResult({n: thrown(0.9) for n in (NO_DEFENSE, 0, 1)}, none, 0.1)
        )
        for attack in range(3):
            made.add(
                Task(0, attack, NO_DEFENSE, batch), TaskResult({n: thrown(0.4) for n in (NO_DEFENSE, 0, 1)}, none, 0.5)
            )
            for known in (0, 1):
                made.add(Task(0, attack, known, batch), TaskResult({known: thrown(0.2)}, none, 0.5))
    return made


def test_confusion_is_scikit_learns() -> None:
    chance = np.random.default_rng(1)
    true, predicted = chance.integers(0, 7, 500), chance.integers(0, 7, 500)
    assert np.array_equal(confusion(true, predicted, 7), confusion_matrix(true, predicted, labels=range(7)))
    assert confusion(np.array([], int), np.array([], int), 3).tolist() == [[0] * 3] * 3


def test_shares_are_counted_image_by_image(run: RunStore) -> None:
    metrics = Metrics(run)
    labels = run.labels[:40]
    for attack in (0, 2):
        for defense, attacker in ((NO_DEFENSE, "none"), (0, "grey"), (1, "adaptive")):
            place = CellKey(0, attack, defense, attacker)  # type: ignore[arg-type]
            said = run.cell(0, attack, place.known_defense, defense).predicted[:40]
            clean = run.cell(0, NO_ATTACK, NO_DEFENSE, defense).predicted[:40]
            assert metrics.proportion(place) == Proportion(sum(a == b for a, b in zip(said, labels, strict=True)), 40)
            right_before = [c == t for c, t in zip(clean, labels, strict=True)]
            fooled = sum(b and s != t for b, s, t in zip(right_before, said, labels, strict=True))
            assert metrics.proportion(place, "success") == Proportion(fooled, sum(right_before))
            if defense == NO_DEFENSE:
                assert metrics.proportion(place, "recovered") is None
                continue
            bare_clean = run.cell(0, NO_ATTACK, NO_DEFENSE, NO_DEFENSE).predicted[:40]
            bare = run.cell(0, attack, NO_DEFENSE, NO_DEFENSE).predicted[:40]
            were = [c == t and b != t for c, b, t in zip(bare_clean, bare, labels, strict=True)]
            back = sum(w and s == t for w, s, t in zip(were, said, labels, strict=True))
            assert metrics.proportion(place, "recovered") == Proportion(back, sum(were))
    bare, behind = (run.cell(0, NO_ATTACK, NO_DEFENSE, d).predicted[:40] for d in (NO_DEFENSE, 0))
    broken = sum(b == t != d for b, d, t in zip(bare, behind, labels, strict=True))
    assert metrics.clean_loss(CellKey(0, 0, 0, "grey")) == Proportion(broken, int((bare == labels).sum()))
    assert metrics.seconds(0) == pytest.approx(0.002)


def test_a_slow_first_batch_does_not_count_as_the_defenses_time(run: RunStore) -> None:
    base = sqlite3.connect(run.path)
    with base:
        run.add(
            Task(0, NO_ATTACK, NO_DEFENSE, 2),
            TaskResult({0: answer(run.labels[40:])}, np.full(len(run.labels) - 40, -1, np.int32)),
        )
        base.execute(
            "UPDATE predictions SET seconds = 100 * seconds WHERE task = ?", (Task(0, NO_ATTACK, NO_DEFENSE, 0).key,)
        )
        base.execute("UPDATE predictions SET seconds = 0 WHERE task = ?", (Task(0, NO_ATTACK, NO_DEFENSE, 2).key,))
    base.close()
    assert Metrics(run).seconds(0) == pytest.approx(0.002)


def test_confusions_and_the_images_behind_them(run: RunStore) -> None:
    metrics, place = Metrics(run), CellKey(0, 0, 0, "grey")
    said, clean = run.cell(0, 0, NO_DEFENSE, 0).predicted[:40], run.cell(0, NO_ATTACK, NO_DEFENSE, 0).predicted[:40]
    expected = {"true": run.labels[:40], "clean": clean}
    for against in ("true", "clean"):
        rows = expected[against]
        counts = metrics.confusion(place, 10, against)  # type: ignore[arg-type]
        assert np.array_equal(counts, confusion_matrix(rows, said, labels=range(10)))
        for row, column in ((3, 3), (1, 7)):
            chosen = metrics.select_images(place, row, column, against)  # type: ignore[arg-type]
            assert len(chosen) == counts[row, column]
            assert all(rows[n] == row and said[n] == column for n in chosen)
    assert len(metrics.select_images(place)) == 40
    by_class = metrics.by_class(10, place)
    assert [share.successes for share in by_class] == np.diag(metrics.confusion(place, 10)).tolist()


def test_the_accuracy_by_class_of_several_cells_counts_what_is_right_in_all(run: RunStore) -> None:
    metrics = Metrics(run)
    keys = [CellKey(0, attack, 0, "grey") for attack in (0, 1)]
    both = metrics.is_correct(keys[0])[:40] & metrics.is_correct(keys[1])[:40]
    assert both.sum() < min(metrics.is_correct(key)[:40].sum() for key in keys)
    for number, share in enumerate(metrics.by_class(10, *keys)):
        of_class = run.labels[:40] == number
        assert share == Proportion(int((both & of_class).sum()), int(of_class.sum()))


def test_classes_that_are_taken_for_each_other_lie_side_by_side() -> None:
    counts = np.diag([10] * 6)
    counts[0, 4] = counts[4, 0] = 8
    counts[1, 5] = 7
    order = cluster_order(counts)
    assert sorted(order) == list(range(6))
    place = {number: n for n, number in enumerate(order)}
    assert abs(place[0] - place[4]) == 1 and abs(place[1] - place[5]) == 1
    assert cluster_order(np.zeros((2, 2), int)) == [0, 1]


def test_best_and_worst_classes() -> None:
    shares = [Proportion(9, 10), Proportion(0, 0), Proportion(1, 10), Proportion(5, 10)]
    assert best_worst(shares, 2) == ([0, 3], [2])
    assert best_worst(shares, 1) == ([0], [2])
    assert best_worst([Proportion(2, 2), Proportion(0, 2), Proportion(2, 2)], 1) == ([0], [1])
    assert best_worst([Proportion(0, 2), Proportion(0, 1)]) == ([], [1, 0]) and best_worst([Proportion(1, 1)]) == (
        [0],
        [],
    )


def test_a_curve_goes_by_eps_and_begins_at_the_clean_images(run: RunStore) -> None:
    found = curves(Metrics(run))
    assert len(found) == 5  # no defense, two defenses by two attackers
    for curve in found:
        assert curve.eps == (0.0, 0.1, 0.2)
        clean = Metrics(run).proportion(CellKey(0, NO_ATTACK, curve.column.defense, "none"))
        assert curve.proportions[0] == clean and all(share.count == 40 for share in curve.proportions)


def test_tables_hold_every_cell_with_its_count_and_interval(run: RunStore) -> None:
    metrics = Metrics(run)
    rows = matrix(metrics)
    assert rows[0]["Attack"] == "no attack" and len(rows) == 4
    assert all(len(row) == 6 for row in rows)
    assert all("of 40; " in str(value) for row in rows for head, value in row.items() if head != "Attack")
    assert len(cell_keys(PLAN)) == 4
    assert [row["Defense"] for row in recovery(metrics)] == ["Median filter", "JPEG"]
    text = report(metrics)
    assert "60 test images of MNIST" in text and "parts are done" in text
    assert {row[""] for row in classes_table(metrics, CellKey(0, 0, NO_DEFENSE, "none"), 3)} == {"best", "worst"}


def test_at_most_the_given_share_of_clean_scores_exceeds_the_threshold() -> None:
    chance = np.random.default_rng(0)
    for count in (1, 7, 20, 100, 1000):
        scores = chance.random(count)
        for share in (0.0, 0.05, 0.5):
            threshold = threshold_at(scores, share)
            assert (scores > threshold).sum() <= share * count
            lower = scores[scores < threshold]
            assert not len(lower) or (scores > lower.max()).sum() > share * count  # none that is lower would do
    with pytest.raises(InvalidInput, match="there are none"):
        threshold_at(np.array([]))
    with pytest.raises(InvalidInput, match="less than 1"):
        threshold_at(np.array([1.0]), 1.0)


def test_no_image_has_a_part_in_its_own_threshold() -> None:
    clean = np.array([0.0, 0.5, 0.0, 0.5, 0.0, 0.5])
    assert flagged(clean, np.full(6, 0.4), 0.0).tolist() == [False, True] * 3
    assert flagged(np.zeros(1), np.ones(1)).tolist() == [False]  # nothing to compare with


def test_feature_squeezing_is_the_largest_distance_of_the_predictions() -> None:
    domain = domains.get("photos")
    classifier = domain.classifier(None, "cpu")
    images, _ = domain.sample(4)
    squeezers = (BitDepth(bits=2), SpatialSmoothing(window=3))
    scores = FeatureSqueezing(classifier, squeezers).score(images)
    for image, score in zip(images, scores, strict=True):
        with torch.no_grad():
            plain = torch.softmax(classifier(image[None])[0], 0)
            far = max(
                sum(
                    abs(float(a) - float(b))
                    for a, b in zip(plain, torch.softmax(classifier(s(image[None]))[0], 0), strict=True)
                )
                for s in squeezers
            )
        assert float(score) == pytest.approx(far, abs=1e-4)
    assert float(scores.min()) >= 0 and float(scores.max()) <= 2
    assert FeatureSqueezing(classifier).threshold(images, 0.5) >= 0
    with pytest.raises(InvalidInput, match="at least one"):
        FeatureSqueezing(classifier, ())


@pytest.mark.parametrize(("domain", "title", "last"), [("mnist", "eps", 0.2), ("cifar10", "eps (n/255)", 51.0)])
def test_the_curves_axis_is_in_the_unit_in_which_the_domain_writes_eps(domain: str, title: str, last: float) -> None:
    share = Proportion(1, 2)
    curve = Curve("PGD", CellKey(0, 0, NO_DEFENSE, "none"), (0.0, 0.2), (share, share))
    (axes,) = accuracy_figure(PLAN.model_copy(update={"domain": domain}), [curve]).axes
    assert axes.get_xlabel() == title and axes.lines[0].get_xdata()[-1] == pytest.approx(last)


def test_what_only_one_run_has_is_named(run: RunStore, tmp_path: Path) -> None:
    other = PLAN.model_copy(
        update={"attacks": (*PLAN.attacks[1:], Method(name="fgsm")), "defenses": ((Method(name="median"),),)}
    )
    with RunStore.create(other, "cpu", tmp_path / "other.sqlite") as second:
        names = only_in_one(Metrics(run), Metrics(second))
        assert names == ["PGD (eps 0.2)", "FGSM (eps 0.3)", "JPEG", "JPEG (not known)", "JPEG (known)"]
        assert only_in_one(Metrics(run), Metrics(run)) == []
