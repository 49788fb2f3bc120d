"""The numbers on a card are those of the attacks that they name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core import Guarded, InvalidInput, attacks, defenses, domains
from core.__main__ import main
from core.models import artifacts
from core.models.artifacts import Artifact, save
from core.models.denoisers import DUNet
from core.models.networks import SmallCNN
from core.recipe import Method
from core.reproduce import cards
from core.reproduce.cards import attacks_for, measure_card

CARD = {"kind": "denoiser", "title": "Trial", "domain": "mnist", "channels": 1, "size": 28, "architecture": "dunet"}


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    torch.manual_seed(0)
    network = DUNet(1, (16, 32, 64, 64))
    torch.nn.init.normal_(network.noise.weight, std=0.1)
    metric = {"what": "clean test images, right behind it", "value": 1.0, "correct": 2, "count": 2}
    return save(
        network, "hgd_mnist_digits", tmp_path / "artifacts", trained_against="digits", metrics=(metric,), **CARD
    )


def test_the_card_says_what_attacks_do(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: method for name, method in attacks_for("mnist", "a").items() if name in ("FGSM", "C&W")}
    monkeypatch.setattr(cards, "attacks_for", lambda *_: few)
    assert main(["measure", "hgd_mnist_digits", "--images", "20", "--adaptive-images", "10"]) == 0
    card = artifacts.find_artifact("denoiser", "hgd_mnist_digits").card
    found = {metric.what: (metric.correct, metric.count) for metric in card.metrics}
    assert card.sha256 == artifact.card.sha256 and found["clean test images, right behind it"] == (2, 2)
    images, labels = domains.get("mnist").sample(20, seed=0)
    classifier = domains.get("mnist").classifier("digits", "cpu")
    defense = defenses.HGD(weights="mnist_digits")
    behind = Guarded(classifier, defense, backward="true")
    attack = attacks.FGSM(eps=0.3)
    grey = attack(classifier, images, labels).rounded
    for words, system, attacked in (("no defense", classifier, grey), ("grey box", behind, grey)):
        assert found[f"FGSM, {words}"] == (int((system(attacked).argmax(1) == labels).sum()), 20)
    images, labels = domains.get("mnist").sample(10, seed=0)
    known = attack(behind, images, labels).rounded
    assert found["FGSM, adaptive"] == (int((behind(known).argmax(1) == labels).sum()), 10)
    assert found["C&W, grey box"][1] == 4 and found["C&W, adaptive"][1] == 2, "a fifth of the images"
    assert [name.partition(",")[0] for name in found][1:] == 3 * ["FGSM"] + 3 * ["C&W"]


def test_a_classifiers_card_says_its_accuracy_under_each_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    domain = domains.get("mnist")
    network = SmallCNN()
    torch.manual_seed(0)
    fields = {**CARD, "kind": "classifier", "architecture": "small_cnn", "mean": (0.1307,), "std": (0.3081,)}
    metric = {"what": "right on the test images", "value": 0.5, "correct": 1, "count": 2}
    save(network, "mnist_trial", tmp_path / "artifacts", metrics=(metric,), cam_layer="features.4", **fields)
    fast = {
        "FGSM": Method(name="fgsm", params={"eps": 0.02}),
        "APGD-20": Method(name="apgd_ce"),
        "C&W": Method(name="cw"),
    }
    monkeypatch.setattr(cards, "attacks_for", lambda *_: fast)
    weak = Method(name="worst_case", params={"eps": 0.02, "iterations": 5, "queries": 5})
    monkeypatch.setattr(cards, "worst_case", lambda *_: weak)
    assert main(["measure", "mnist_trial", "--images", "20"]) == 0
    found = {m.what: (m.correct, m.count) for m in artifacts.find_artifact("classifier", "mnist_trial").card.metrics}
    assert list(found) == ["right on the test images", "FGSM", cards.WORST_CASE]
    images, labels = domain.sample(20, seed=0)
    classifier = domain.classifier("trial", "cpu")
    attacked = attacks.FGSM(eps=0.02)(classifier, images, labels).rounded
    assert found["FGSM"] == (int((classifier(attacked).argmax(1) == labels).sum()), 20)
    assert found[cards.WORST_CASE][0] <= found["FGSM"][0] and found[cards.WORST_CASE][1] == 20
    budgets = [metric.eps for metric in artifacts.find_artifact("classifier", "mnist_trial").card.metrics]
    assert budgets == [None, 0.02, 0.02]


def test_the_attacks_are_those_of_the_papers() -> None:
    hao = attacks_for("cifar10", "vgg")
    assert list(hao) == ["FGSM", "PGD-20", "APGD-20", "C&W"] and hao["FGSM"].params["eps"] == pytest.approx(8 / 255)
    sivamani = attacks_for("mnist", "cnn")
    assert sivamani["PGD-100"].params == {"eps": 0.2, "iterations": 100, "step_size": 0.1}


def test_what_cannot_be_measured_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="mnist_a_fc_3 is neither a classifier nor a denoiser"):
        measure_card(artifacts.find_artifact("mask_generator", "mnist_a_fc_3"))
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    other = save(DUNet(1, (16, 32, 64, 64)), "mine", tmp_path / "artifacts", trained_against="a", **CARD)
    with pytest.raises(InvalidInput, match="No defense uses mine; its name must begin"):
        measure_card(other)
    assert main(["measure", "nothing"]) == 2
