"""Defendr's tables: who crafts on what, who judges, and what is counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import Ensemble, Guarded, InvalidInput, attacks, defenses, domains
from core.evaluate.proportion import Proportion
from core.models.artifacts import save
from core.models.denoisers import DUNet
from core.models.networks import DigitA
from core.recipe import Method
from core.reproduce import TABLES, Settings
from core.reproduce.base import MeasuredTable, PaperTable
from core.reproduce.defendr_table import DefendrTable
from core.reproduce.dornadula2018 import Table1, Table2, Table3
from core.reproduce.dornadula2018_training import TRAINED_ON, Table4

COUNT = 20
EPS = 0.08
PGD = 1.2  # times that budget has the attack that stands in for PGD
STRONGER = 1.5  # and for APGD


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tables on scikit-learn's digits, with robust networks that were not trained."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.setattr(DefendrTable, "plain", "digits")
    monkeypatch.setattr(DefendrTable, "measured_on", ("mnist",))
    for name, share in (("fgsm", 1.0), ("pgd", PGD), ("apgd", STRONGER)):

        def attack(_self: object, _domain: str, eps: float, share: float = share) -> Method:
            return Method(name="fgsm", params={"eps": EPS * eps / 0.12 * share})

        monkeypatch.setattr(DefendrTable, name, attack)
    folder = tmp_path / "artifacts"
    common = {"domain": "mnist", "channels": 1, "size": 28, "title": "Trial"}
    fields = {**common, "kind": "classifier", "architecture": "digit_a", "mean": (0.13,), "std": (0.31,)}
    for number, name in enumerate(("robust", "alp", "clp")):
        torch.manual_seed(number)
        save(DigitA(), f"mnist_digits_{name}", folder, cam_layer="features.5", **fields)
    network = DUNet(1, (16, 32, 64, 64))
    torch.nn.init.normal_(network.noise.weight, std=0.05)
    save(network, "hgd_mnist_digits", folder, kind="denoiser", architecture="dunet", trained_against="digits", **common)
    return tmp_path


def measured(table: PaperTable, folder: Path) -> MeasuredTable:
    found = table.measure(Settings(n_images=COUNT, domain="mnist", store=folder / f"{table.name}.sqlite"))
    assert found is not None
    return found


def right(answer: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    return (answer.argmax(1) == labels).numpy()


def test_table_1_counts_clean_mixed_attacked_and_the_worst_case(small: Path) -> None:
    rows = {row["System"]: row for row in measured(Table1(), small).rows}
    assert list(rows)[:3] == ["baseline", "baseline, adversarial training", "CLP"] and len(rows) == 7
    domain = domains.get("mnist")
    images, labels = domain.sample(COUNT, seed=0)
    plain = domain.classifier("digits", "cpu")
    denoised = Guarded(plain, defenses.HGD(weights="mnist_digits"), backward="best")
    attack = attacks.FGSM(eps=EPS)
    grey = attack(plain, images, labels).rounded
    for name, system in (("baseline", plain), ("HGD (DUNET)", denoised)):
        clean, attacked = right(system(images), labels), right(system(grey), labels)
        mixed = np.where(np.arange(COUNT) % 2 == 0, clean, attacked)
        known = [attacks.FGSM(eps=EPS * share)(system, images, labels).rounded for share in (1.0, STRONGER)]
        left = [right(system(adaptive), labels) for adaptive in known]
        worst = np.logical_and.reduce(left)
        assert name != "baseline" or worst.sum() < left[0].sum(), "the other attack counts, too"
        for column, expected in (
            ("0 % adversarial", clean),
            ("50 % adversarial", mixed),
            ("100 % adversarial", attacked),
            ("knows it, worst case", worst),
        ):
            assert f"({int(expected.sum())} of {COUNT};" in str(rows[name][column]), (name, column)
        for eps in (0.06, 0.3):
            other = attacks.FGSM(eps=EPS * eps / 0.12)(plain, images, labels).rounded
            expected = right(system(other), labels)
            assert f"({int(expected.sum())} of {COUNT};" in str(rows[name][f"100 % adversarial, ε {eps}"])
    assert rows["HGD (DUNET)"]["100 % adversarial, published"] == "86.6 %"
    assert rows["HGD (DUNET)"]["50 % adversarial, published"] == "", "the paper has none"


def test_the_conclusion_says_who_is_first_and_what_an_attacker_who_knows_it_leaves(small: Path) -> None:
    report = measured(Table1(), small).report
    assert "adversarial training is not above none" in report or "adversarial training is above none" in report
    assert "Against an attacker who does not know the defense" in report and "on normalized images" in report


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"A": 0, "B": 30}, "An attacker who knows it overturns this: A is left with 0.0 %, and B is first (30.0 %)."),
        ({"A": 30, "B": 30}, "It is first too when the attacker knows it (30.0 %)."),
        ({"A": 40, "B": 30}, "It is first too when the attacker knows it (40.0 %)."),
        ({"A": 17, "B": 20}, "When the attacker knows it B is first (20.0 %), within the intervals of A (17.0 %)."),
        ({"A": 0, "B": 0}, "An attacker who knows it leaves nothing of any of them."),
    ],
)
def test_the_verdict_says_in_words_whether_the_adaptive_attacker_overturns_the_order(
    known: dict[str, int], sentence: str
) -> None:
    grey = {"A": Proportion(9, 10), "B": Proportion(8, 10)}
    words = Table3().order(grey, {name: Proportion(count, 100) for name, count in known.items()})
    assert words == f"Against an attacker who does not know the defense A is first (90.0 %). {sentence}"


def test_table_2_has_both_attackers_for_each_attack(small: Path) -> None:
    table = measured(Table2(), small)
    rows = {row["System"]: row for row in table.rows}
    assert set(rows) == {"baseline", "ALP", "HGD (DUNET)"} and "PGD 0.12: Against an attacker" in table.report
    assert "FGSM 0.06, published" not in rows["ALP"] and "PGD 0.06, knows it" in rows["ALP"]
    assert rows["ALP"]["FGSM 0.12, published"] == "70.55 %" and rows["ALP"]["PGD 0.3, published"] == "62.64 %"
    images, labels = domains.get("mnist").sample(COUNT, seed=0)
    alp = domains.get("mnist").classifier("digits_alp", "cpu")
    plain = domains.get("mnist").classifier("digits", "cpu")
    eps = EPS * 0.06 / 0.12
    known = [attacks.FGSM(eps=eps * share)(plain, images, labels).rounded for share in (1.0, PGD)]
    left = [right(plain(adaptive), labels) for adaptive in known]
    worst = np.logical_and.reduce(left).sum()
    assert worst < left[0].sum()
    assert f"({worst} of {COUNT};" in str(rows["baseline"]["0.06, knows it, worst case"])
    for column, crafted_on in (("FGSM 0.3", plain), ("FGSM 0.3, knows it", alp)):
        attacked = attacks.FGSM(eps=EPS * 0.3 / 0.12)(crafted_on, images, labels).rounded
        assert f"({int(right(alp(attacked), labels).sum())} of {COUNT};" in str(rows["ALP"][column])


def test_table_3_judges_by_the_vote(small: Path) -> None:
    table = measured(Table3(), small)
    rows = {row["Ensemble"]: row for row in table.rows}
    domain = domains.get("mnist")
    images, labels = domain.sample(COUNT, seed=0)
    plain = domain.classifier("digits", "cpu")
    vote = Ensemble([Guarded(plain, defenses.HGD(weights="mnist_digits")), domain.classifier("digits_alp", "cpu")])
    attacked = attacks.FGSM(eps=EPS)(plain, images, labels).rounded
    assert f"({int(right(vote(attacked), labels).sum())} of {COUNT};" in str(rows["HGD + ALP"]["FGSM 0.12"])
    assert rows["HGD + ALP + CLP"]["published"] == "84.86 %"
    assert "Against an attacker" in table.report and "Published first is HGD + ALP + CLP (84.9 %)." in table.report


def test_tables_5_and_6_rank_the_classes_and_figure_15_counts_every_image(small: Path) -> None:
    best, worst = (measured(TABLES[f"defendr-table-{n}"], small).rows for n in (5, 6))
    domain = domains.get("mnist")
    images, labels = domain.sample(COUNT, seed=0)
    plain = domain.classifier("digits", "cpu")
    members = [domain.classifier(f"digits_{name}", "cpu") for name in ("alp", "clp")]
    vote = Ensemble([Guarded(plain, defenses.HGD(weights="mnist_digits")), *members])
    known = [attacks.FGSM(eps=EPS * share)(vote, images, labels).rounded for share in (1.0, STRONGER)]
    left = np.logical_and.reduce([right(vote(adaptive), labels) for adaptive in known])
    for row in best:
        of_class = (labels == domain.classes.index(row["Class"])).numpy()
        assert f"({int(left[of_class].sum())} of {of_class.sum()};" in str(row["knows it, worst case"])
    share = [float(str(row["accuracy"]).partition("%")[0]) for row in best]
    assert share == sorted(share, reverse=True) and [row["Rank"] for row in best] == [
        str(n + 1) for n in range(len(best))
    ]
    assert [float(str(row["accuracy"]).partition("%")[0]) for row in worst] == sorted(share)
    sentence = f"In the worst case of an attacker who knows the vote {Proportion(int(left.sum()), COUNT)} are right."
    assert sentence in measured(TABLES["defendr-table-5"], small).report
    figure = measured(TABLES["defendr-figure-15"], small)
    counts = np.array([[int(str(row[name])) for name in list(row)[1:]] for row in figure.rows])
    assert counts.shape == (10, 10) and counts.sum() == COUNT
    kept = int(np.trace(counts))
    assert f"({kept} of {COUNT};" in figure.report
    assert sentence in figure.report and "are assumed" in figure.report


def test_figure_15_names_no_change_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = TABLES["defendr-figure-15"]
    for moved, words in ((0, "keep their class."), (1, "Most often airplane becomes automobile (1 image).")):
        counts = np.diag([3] * 10)
        counts[0, 1] = moved
        monkeypatch.setattr(type(figure), "_confusion", lambda self, metrics, counts=counts: counts)
        monkeypatch.setattr(type(figure), "known", lambda self, *_: Proportion(1, 4))
        conclusion = figure.conclusion(SimpleNamespace(plan=SimpleNamespace(domain="cifar10")))  # type: ignore[attr-defined]
        kept, _, worst = conclusion.partition(" In the worst case of an attacker who knows the vote ")
        assert kept.endswith(words) and worst == f"{Proportion(1, 4)} are right."


def test_table_4_names_the_networks_that_have_to_be_trained_first(small: Path) -> None:
    with pytest.raises(InvalidInput, match="python -m core train mnist_digits_robust_fgsm_12"):
        Table4().measure(Settings(n_images=4, domain="mnist"))


def test_table_4_crafts_at_the_budget_of_the_row_on_the_plain_classifier_and_on_the_rows_own_system(
    small: Path,
) -> None:
    folder = small / "artifacts"
    common = {"domain": "mnist", "channels": 1, "size": 28, "title": "Trial"}
    fields = {**common, "kind": "classifier", "architecture": "digit_a", "mean": (0.13,), "std": (0.31,)}
    for number, (name, _) in enumerate(TRAINED_ON.values()):
        torch.manual_seed(number)
        if name.startswith("hgd"):
            network = DUNet(1, (16, 32, 64, 64))
            torch.nn.init.normal_(network.noise.weight, std=0.05)
            described = {"kind": "denoiser", "architecture": "dunet", "trained_against": "digits", **common}
            save(network, f"hgd_mnist_digits_{name.removeprefix('hgd_')}", folder, **described)
        else:
            save(DigitA(), f"mnist_digits_{name}", folder, cam_layer="features.5", **fields)
    table = measured(Table4(), small)
    rows = {row["Trained"]: row for row in table.rows}
    assert list(rows) == list(TRAINED_ON) and rows["HGD, PGD 0.3"]["PGD, published"] == "79.0 %"
    domain = domains.get("mnist")
    images, labels = domain.sample(COUNT, seed=0)
    plain = domain.classifier("digits", "cpu")
    for title, (name, _) in TRAINED_ON.items():
        weights = f"mnist_digits_{name.removeprefix('hgd_')}"
        hgd = title.startswith("HGD")
        system = (
            Guarded(plain, defenses.HGD(weights=weights), backward="average")
            if hgd
            else domain.classifier(f"digits_{name}", "cpu")
        )
        eps = EPS * float(title[-4:]) / 0.12
        fgsm, pgd = (attacks.FGSM(eps=eps * share)(plain, images, labels).rounded for share in (1.0, PGD))
        known = [attacks.FGSM(eps=eps * share)(system, images, labels).rounded for share in (1.0, STRONGER)]
        worst = np.logical_and.reduce([right(system(adaptive), labels) for adaptive in known])
        grey = {"FGSM": right(system(fgsm), labels), "PGD": right(system(pgd), labels)}
        for column, expected in {**grey, "knows it, worst case": worst}.items():
            assert f"({int(expected.sum())} of {COUNT};" in str(rows[title][column]), (title, column)
    assert "PGD 0.12: Against an attacker who does not know the defense" in table.report


def test_a_domain_without_the_classifiers_gets_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="imagenette or cifar10"):
        Table1().measure(Settings(n_images=4, domain="mnist"))


def test_eps_is_scaled_by_the_standard_deviation_of_the_normalization() -> None:
    assert Table1().budget("imagenette", 0.12) == pytest.approx(0.12 * (0.229 + 0.224 + 0.225) / 3, abs=1e-5)
    assert Table1().budget("cifar10", 0.3) == pytest.approx(0.3 * (0.247 + 0.2435 + 0.2616) / 3, abs=1e-5)


def test_published_numbers_are_those_of_the_papers_tables() -> None:
    assert Table1.numbers["randomization, adversarial training"] == (85.47, 76.69, 68.01)
    assert tuple(Table2.numbers["HGD (DUNET)"].values()) == (86.6, 72.5, 85.8, 79.0)
    assert TRAINED_ON["HGD, PGD 0.3"] == ("hgd_pgd_30", (49.7, 79.0))
    names = [f"defendr-table-{n}" for n in range(1, 7)]
    assert all(name in TABLES for name in (*names, "defendr-figure-15", "hao-figure-2"))
