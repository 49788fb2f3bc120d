"""Certificates in a plan: worked out for every system that they fit, stored, counted, and true of the plan's attacks."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.verdicts.evaluate import evaluate_verdict
from core import certify, domains
from core.cli import main
from core.domains.loading import load_images
from core.evaluate import Metrics, Plan, RunStore, evaluate, run_index
from core.evaluate import report as reports
from core.evaluate.eta import EtaEstimator
from core.evaluate.metrics import CellKey
from core.evaluate.plan import FIRST_CERTIFICATE, NO_ATTACK, NO_DEFENSE
from core.evaluate.running import describe_task
from core.evaluate.tasks import judged_defenses, task_count, task_kinds, tasks
from core.inputs import InvalidInput
from core.progress import Progress
from core.recipe import Method
from core.recipe.columns import MemberSpec, column_of

FLOW = Method(name="flow", params={"eps": 2.0, "bound": "joint"})
PLAN = Plan(
    domain="mnist",
    classifiers=("mlp",),
    n_images=12,
    batch=5,
    attacks=(Method(name="bounded_flow", params={"max_tv": 2.0, "steps": 10, "restarts": 1}),),
    defenses=(column_of((MemberSpec(classifier="mlp_certified"),)), (Method(name="median"),)),
    attacker="grey",
    certificates=(FLOW, Method(name="smoothing", params={"samples": 60, "selection": 10})),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The plan run from end to end."""
    run = RunStore.create(PLAN, "cpu", tmp_path_factory.mktemp("certified") / "whole.sqlite")
    assert evaluate(run, device="cpu")
    return run


def test_each_batch_of_each_system_is_a_task_that_no_defense_judges() -> None:
    done = [task for task in tasks(PLAN) if task.certificate is not None]
    assert len(done) == 2 * 3 * 3 and {task.certificate for task in done} == {0, 1}
    assert {task.attack for task in done} == {FIRST_CERTIFICATE, FIRST_CERTIFICATE - 1}
    assert task_count(PLAN) == len(list(tasks(PLAN))) == len({task.key for task in tasks(PLAN)})
    assert {task.kind for task in tasks(PLAN)} == set(task_kinds(PLAN))
    assert all(judged_defenses(PLAN, task) == () for task in done)
    assert describe_task(PLAN, done[0]) == "Flow certificate, batch 1 of 3"
    assert next(task for task in tasks(PLAN) if task.attack == NO_ATTACK).certificate is None


@pytest.mark.parametrize(
    ("method", "words"),
    [(Method(name="nothing"), "nothing"), (Method(name="linf", params={"eps": -1}), "eps")],
)
def test_an_unknown_certificate_or_value_gets_a_sentence(method: Method, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Plan(domain="mnist", certificates=(method,))


def test_a_plan_without_certificates_is_still_the_run_that_it_was() -> None:
    plain = Plan(domain="mnist", n_images=5, attacks=(Method(name="fgsm"),), defenses=())
    assert plain.name == "mnist-d9e626dfcf"
    assert plain.name != plain.model_copy(update={"certificates": (FLOW,)}).name
    assert Plan.from_json(PLAN.to_json()) == PLAN


@pytest.mark.parametrize(("defense", "name"), [(NO_DEFENSE, "mlp"), (0, "mlp_certified")])
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_stored_is_what_the_certificate_says_of_all_images_at_once(
    whole: RunStore, defense: int, name: str, number: int
) -> None:
    domain = domains.get("mnist")
    classifier = domain.classifier(name, "cpu")
    images, labels = load_images(domain, "test", whole.indices.tolist(), classifier)
    method = PLAN.certificates[number]
    direct = certify.build(method.name, method.params)(classifier, images, labels)
    assert direct is not None
    cell = whole.certified(0, number, defense)
    assert cell.evaluated.all() and cell.unit == direct.unit and cell.seconds > 0 and not cell.refusal
    assert np.array_equal(cell.predicted, direct.predicted.numpy())
    assert np.array_equal(cell.certified, direct.certified.numpy())
    assert torch.equal(torch.from_numpy(cell.radius), direct.radius.float())
    assert cell.certified.sum() > 0


def test_no_attack_of_the_threat_model_fools_what_is_certified(whole: RunStore) -> None:
    metrics = Metrics(whole)
    certified = metrics.certified(0).certified
    attacked = metrics.is_correct(CellKey(0, 0, NO_DEFENSE, "none"))
    assert certified.any() and attacked[certified].all()


def test_a_system_that_a_certificate_does_not_fit_is_told_with_the_reason(whole: RunStore) -> None:
    rows = reports.certificates(Metrics(whole))
    assert [row["System"] for row in rows[:3]] == ["no defense", PLAN.defense_title(0), PLAN.defense_title(1)]
    assert rows[2]["certified"] == rows[2]["right without an attack"] == rows[2]["ms per image"] == "–"
    (refusal,) = reports.refusals(Metrics(whole))
    begin = f"Flow certificate (eps 2 px, bound joint), not worked out for {PLAN.defense_title(1)}: A classifier behind"
    assert refusal.startswith(begin) and refusal.endswith("a single two-layer network.")
    count = int(whole.certified(0, 0, 0).certified.sum())
    assert f"({count} of 12;" in str(rows[1]["certified"]) and "total variation" in str(
        rows[1]["median radius of these"]
    )
    assert rows[5]["certified"] != "–", "smoothing takes any system"
    text = reports.report(Metrics(whole))
    assert refusal in text and reports.CERTIFIED in text and "Flows that move pixels" in text
    best = max(int(whole.certified(0, 0, n).certified.sum()) for n in (NO_DEFENSE, 0))
    assert f"By Flow certificate (eps 2 px, bound joint), {best} of 12 are certified" in evaluate_verdict(
        Metrics(whole)
    )


def test_a_stop_within_a_certificate_leaves_nothing_of_it(tmp_path: Path) -> None:
    slow = PLAN.model_copy(
        update={"attacks": (), "certificates": (Method(name="smoothing", params={"samples": 100_000}),)}
    )
    with RunStore.create(slow, "cpu", tmp_path / "slow.sqlite") as run:

        def stop(progress: Progress) -> bool:
            return "smoothing, batch" in progress.text and progress.text.count(",") > 1

        assert not evaluate(run, device="cpu", on_progress=stop)
        assert len(run.done()) == 1
        cell = run.certified(0, 0, NO_DEFENSE)
        assert not cell.evaluated.any() and not cell.certified.any() and np.isnan(cell.seconds)
        assert [row["certified"] for row in reports.certificates(Metrics(run))] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("predicted", b"\x00"),
        ("predicted", np.full(5, 99, "<i4").tobytes()),
        ("certified", np.full(5, 7, "<i4").tobytes()),
        ("radius", np.full(5, -1, "<f4").tobytes()),
        ("radius", None),
        ("unit", b"px"),
        ("refusal", "x" * 5000),
    ],
)
def test_damaged_promises_get_a_sentence(whole: RunStore, folder: Path, column: str, value: Any) -> None:
    path = folder / "damaged.sqlite"
    path.write_bytes(whole.database.content())
    with closing(sqlite3.connect(path)) as base, base:
        # One batch of five: another size would be damage whatever the values are.
        assert base.execute(f"UPDATE certified SET {column} = ? WHERE task = '0/-2/-1/0'", (value,)).rowcount == 1
    with run_index.open_run("damaged") as run, pytest.raises(InvalidInput, match="damaged"):
        reports.report(Metrics(run))


def test_a_plan_with_certificates_in_a_file_without_their_table_is_damaged(whole: RunStore, folder: Path) -> None:
    path = folder / "cut.sqlite"
    path.write_bytes(whole.database.content())
    with closing(sqlite3.connect(path)) as base:
        base.execute("DROP TABLE certified")
    with run_index.open_run("cut") as run, pytest.raises(InvalidInput, match="damaged"):
        reports.report(Metrics(run))


def test_the_command_line_takes_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--domain", "mnist", "--classifier", "mlp", "--images", "4", "--attack", "fgsm"]
    words += ["--certificate", "flow:eps=1,bound=local box", "--certificate", "linf:find_radius=false"]
    words += ["--store", str(tmp_path / "r.sqlite"), "--out", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Flow certificate" in printed and "L∞ bounds" in printed and reports.CERTIFIED in printed


def test_a_defense_without_a_true_gradient_is_certified_all_the_same(tmp_path: Path) -> None:
    plan = Plan(
        domain="mnist",
        classifiers=("mlp",),
        n_images=4,
        batch=4,
        attacks=(),
        defenses=((Method(name="jpeg"),),),
        attacker="grey",
        backward="true",
        certificates=(Method(name="smoothing", params={"samples": 20, "selection": 5}),),
    )
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        assert evaluate(run, device="cpu")
        assert run.certified(0, 0, 0).evaluated.all()


def test_what_a_certificate_cannot_do_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    exact = Method(name="flow", params={"bound": "exact"})
    plan = Plan(
        domain="mnist",
        classifiers=("mlp",),
        n_images=6,
        batch=4,
        attacks=(),
        defenses=(),
        certificates=(exact, Method(name="linf", params={"find_radius": False})),
    )
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        assert evaluate(run, device="cpu")
        assert "semidefinite program" in run.certified(0, 0, NO_DEFENSE).refusal
        assert run.certified(0, 1, NO_DEFENSE).evaluated.all()
        assert "By L∞ bounds (" in evaluate_verdict(Metrics(run))
    with RunStore.create(plan.model_copy(update={"certificates": (exact,)}), "cpu", tmp_path / "s.sqlite") as run:
        assert evaluate(run, device="cpu")
        assert evaluate_verdict(Metrics(run)).endswith("; the certificate does not fit.")


def test_the_smoothed_classifier_is_named_where_the_promise_is_about_it(whole: RunStore) -> None:
    smoothed = PLAN.model_copy(update={"certificates": PLAN.certificates[1:]})
    sentence = reports.threat_models(smoothed)
    assert "about the smoothed classifier, the likeliest class under noise; it is wrong" in sentence
    assert "probability of at most 0.001." in sentence and sentence in reports.report(Metrics(whole))


def test_the_time_of_others_does_not_count_and_the_time_left_follows_the_work(tmp_path: Path) -> None:
    plan = PLAN.model_copy(
        update={
            "attacks": (),
            "defenses": (),
            "batch": 12,
            "certificates": (Method(name="smoothing", params={"samples": 5000, "selection": 10}),),
        }
    )
    seen: list[Progress] = []
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:

        def wait_for_the_device(progress: Progress) -> None:
            seen.append(progress)
            time.sleep(0.02)

        began = time.perf_counter()
        assert evaluate(run, device="cpu", on_progress=wait_for_the_device)
        elapsed = time.perf_counter() - began
        waited = 0.02 * sum("smoothing" in progress.text for progress in seen)
        spent = 12 * run.certified(0, 0, NO_DEFENSE).seconds
    working = [progress for progress in seen if progress.text.endswith(" %") and "smoothing" in progress.text]
    assert working[0].text == "Randomized smoothing, batch 1 of 1, 0 %" and waited > 0.5
    halfway = next(progress for progress in working if progress.text.endswith(("49 %", "50 %", "51 %")))
    assert halfway.eta is not None and 0.2 * spent < halfway.eta < 2 * spent
    assert spent <= elapsed - waited


def test_a_certificate_that_fits_nothing_says_nothing_of_the_time_of_others(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"attacks": (), "defenses": ((Method(name="median"),),)})
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        todo = [task for task in tasks(plan) if task.batch == 0]
        eta = EtaEstimator(run, todo)
        refused = next(t for t in todo if t.certificate == 0 and t.known_defense == 0)
        eta.finish(refused, 0.0)
        assert eta.seconds() is None
        eta.finish(next(t for t in todo if t.certificate == 0 and t.known_defense == NO_DEFENSE), 3.0)
        assert eta.seconds() == pytest.approx(3 * 3.0)  # two of smoothing, and the clean images


def test_right_without_an_attack_is_what_the_certificate_speaks_of(whole: RunStore) -> None:
    for number in (0, 1):
        for defense in (NO_DEFENSE, 0):
            cell = whole.certified(0, number, defense)
            right = int((cell.predicted == whole.labels).sum())
            row = reports.certificates(Metrics(whole))[3 * number + defense + 1]
            assert f"({right} of 12;" in str(row["right without an attack"]) and cell.certified.sum() <= right
    plain = Metrics(whole).is_correct(CellKey(0, NO_ATTACK, NO_DEFENSE, "none"))
    assert np.array_equal(plain, whole.certified(0, 0, NO_DEFENSE).predicted == whole.labels)
