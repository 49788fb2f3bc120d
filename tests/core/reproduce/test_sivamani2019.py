"""The tables of the feature-loss autoencoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core import Guarded, attacks, defenses, domains
from core.models.artifacts import save
from core.models.denoisers import Autoencoder, DUNet
from core.recipe import Method
from core.reproduce import TABLES, Settings, sivamani2019


def test_it_judges_the_bare_network_hgd_and_fl_by_both_attackers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    torch.manual_seed(0)
    card = {"kind": "denoiser", "title": "Trial", "domain": "mnist", "channels": 1, "size": 28}
    network = DUNet(1, (16, 32, 64, 64))
    torch.nn.init.normal_(network.noise.weight, std=0.1)
    save(network, "hgd_mnist_cnn", tmp_path / "artifacts", architecture="dunet", **card)
    save(Autoencoder(), "fl_mnist_cnn", tmp_path / "artifacts", architecture="autoencoder", **card)
    monkeypatch.setattr(sivamani2019, "ATTACKS", {"FGSM": Method(name="fgsm", params={"eps": 0.2})})
    measured = TABLES["sivamani-table-1"].measure(Settings(n_images=20))
    assert measured is not None
    rows = {(row["Attack"], row["Defense"]): row for row in measured.rows}
    assert list(rows)[:3] == [("no attack", name) for name in ("unsecured", "HGD", "FL")]
    domain = domains.get("mnist")
    images, labels = domain.sample(20, seed=0)
    classifier = domain.classifier("cnn", "cpu")
    attack = attacks.FGSM(eps=0.2)
    grey = attack(classifier, images, labels).rounded
    for name, defense in (("HGD", defenses.HGD), ("FL", defenses.FeatureLossAutoencoder)):
        behind = Guarded(classifier, defense(weights="mnist_cnn"), backward="true")
        known = attack(behind, images, labels).rounded
        for column, attacked in (("does not know it", grey), ("knows it", known)):
            hits = int((behind(attacked).argmax(1) == labels).sum())
            assert f"({hits} of 20;" in str(rows["FGSM", name][column])
    assert rows["FGSM", "FL"]["published"] == "92.1 %"
    assert rows["FGSM", "unsecured"]["knows it"] == "–" and "FGSM: FL gives" in measured.report


def test_published_numbers() -> None:
    assert TABLES["sivamani-table-2"].numbers["FL"] == (43.6, 38.5)  # type: ignore[attr-defined]
