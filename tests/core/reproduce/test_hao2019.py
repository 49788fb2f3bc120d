"""The tables of the defense kernel network: what is measured where, beside the published numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core import Guarded, attacks, defenses, domains
from core.models.artifacts import save
from core.models.denoisers import KernelPredictionNet
from core.reproduce import TABLES, Settings
from core.reproduce.hao2019 import CifarKernels, KernelTable, MnistKernels


def test_published_numbers_are_those_of_the_papers_tables() -> None:
    mnist, cifar = MnistKernels(), CifarKernels()
    assert mnist.comparators["TVM"][1] == {"FGSM": (41.67, 64.82), "PGD": (33.32, 71.45), "C&W": (82.70, 87.94)}
    assert mnist.comparators["spatial 2"][1]["FGSM"] == (40.09, 66.79)
    assert cifar.comparators["TVM"][1] == {"FGSM": (15.01, 10.14), "PGD": (13.66, 16.30), "C&W": (47.30, 51.00)}
    assert cifar.comparators["JPEG 80"][1]["C&W"] == (79.36, 79.03) and len(cifar.comparators) == 9
    assert TABLES["hao-table-1"].name == mnist.name and "hao-table-2" in TABLES


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KernelTable:
    """Table 1 on scikit-learn's digits, with a network that was not trained."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    card = {"kind": "denoiser", "title": "Trial", "domain": "mnist", "channels": 1, "size": 28}
    torch.manual_seed(0)
    network = KernelPredictionNet(1, (16, 32, 64, 64))
    torch.nn.init.normal_(network.head.weight, std=0.2)
    save(network, "dkn_mnist_digits", tmp_path / "artifacts", architecture="kernel_prediction", **card)

    class Small(MnistKernels):
        white_box, black_box, weights = "digits", "a", "mnist_digits"
        attacks = {name: MnistKernels.attacks[name] for name in ("FGSM", "PGD")}
        comparators = {name: MnistKernels.comparators[name] for name in ("bits 1", "spatial 2")}
        adaptive = ("FGSM",)

    return Small()


def test_each_column_is_judged_by_the_classifier_that_it_names(table: KernelTable, tmp_path: Path) -> None:
    measured = table.measure(Settings(n_images=20, store=tmp_path / "run.sqlite"))
    assert measured is not None and measured.n_images == 20
    rows = {(row["Attack"], row["Defense"]): row for row in measured.rows}
    assert list(rows)[:4] == [("no attack", name) for name in ("no defense", "DKN", "bits 1", "spatial 2")]
    domain = domains.get("mnist")
    images, labels = domain.sample(20, seed=0)
    white, black = domain.classifier("digits", "cpu"), domain.classifier("a", "cpu")
    attacked = attacks.FGSM(eps=0.3)(white, images, labels).rounded
    squeezed = defenses.BitDepth(bits=1)(attacked)
    network = defenses.DKN(weights="mnist_digits")
    adaptive = Guarded(white, network, backward="true")
    known = attacks.FGSM(eps=0.3)(adaptive, images, labels).rounded

    def right(logits: torch.Tensor) -> str:
        return f"({int((logits.argmax(1) == labels).sum())} of 20;"

    row = rows["FGSM", "bits 1"]
    assert right(white(squeezed)) in str(row["white box"]) and right(black(squeezed)) in str(row["black box"])
    assert (row["white box, published"], row["black box, published"], row["knows DKN"]) == ("58.27 %", "76.74 %", "–")
    row = rows["FGSM", "no defense"]
    assert right(white(attacked)) in str(row["white box"]) and right(black(attacked)) in str(row["black box"])
    row = rows["FGSM", "DKN"]
    assert right(white(network(attacked))) in str(row["white box"]) and right(adaptive(known)) in str(row["knows DKN"])
    assert rows["PGD", "DKN"]["knows DKN"] == "–" and rows["no attack", "DKN"]["white box, published"] == "98.55 %"
    assert "FGSM, white box: DKN is" in measured.report and "no robustness" in measured.report
    assert table.measure(Settings(n_images=20, store=tmp_path / "run.sqlite")) == measured, "nothing is computed again"
    assert table.measure(Settings(n_images=20, store=tmp_path / "other.sqlite"), lambda _: True) is None
