"""The two numbers of a card that the table of models shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from core.models import artifacts
from core.models.artifacts import Artifact
from core.models.card_metrics import clean_metric, file_size, robust_metric
from core.models.cards import Card, Metric


def card(kind: str = "classifier", **shares: int) -> Card:
    """A card with those metrics, of 100 images each."""
    metrics = tuple(Metric(what=what, value=n / 100, correct=n, count=100) for what, n in shares.items())
    return Card.model_construct(kind=kind, metrics=metrics)


@pytest.mark.parametrize(
    ("kind", "metrics", "expected"),
    [
        ("classifier", {"FGSM": 3, "PGD-20": 40, "worst case of APGD and Square": 45}, "worst case of APGD and Square"),
        ("classifier", {"FGSM": 3, "PGD-20": 40, "APGD-20": 38, "C&W": 0}, "APGD-20"),
        ("classifier", {"FGSM": 3, "C&W": 0, "right on the test images": 90}, None),
        ("denoiser", {"PGD-20, grey box": 80, "PGD-20, no defense": 1, "PGD-20, adaptive": 4}, "PGD-20, adaptive"),
        ("denoiser", {"PGD-20, grey box": 80, "PGD-20, no defense": 1}, None),
        ("mask_generator", {"PGD-20": 4}, None),
    ],
)
def test_the_robust_number_is_the_strongest_attack_and_never_the_grey_box(
    kind: str, metrics: dict[str, int], expected: str | None
) -> None:
    found = robust_metric(card(kind, **metrics))
    assert (found.what if found else None) == expected


def test_a_mean_is_no_accuracy() -> None:
    mean = Metric(what="PGD-20, mean confidence", value=0.2, count=100)
    assert robust_metric(Card.model_construct(kind="classifier", metrics=(mean,))) is None


def test_what_ships_says_its_clean_accuracy_and_size() -> None:
    for kind in ("classifier", "denoiser"):
        for artifact in artifacts.list_artifacts(kind):  # type: ignore[arg-type]
            clean = clean_metric(artifact.card)
            if artifact.shipped:
                assert clean is not None and clean.value > (0.3 if artifact.name == "fl_cifar10_gray_cnn" else 0.7), (
                    artifact.name
                )
                assert file_size(artifact) == len(artifact.weights.read_bytes())
    assert all(clean_metric(a.card) is None for a in artifacts.list_artifacts("mask_generator"))


def test_a_missing_file_has_no_size(tmp_path: Path) -> None:
    written = artifacts.save(
        nn.Linear(2, 2), "digits_of_mine", tmp_path, kind="denoiser", title="Mine", domain="mnist",
        architecture="dunet", channels=1, size=28,
    )  # fmt: skip
    assert file_size(written) == (tmp_path / "digits_of_mine.safetensors").stat().st_size
    assert file_size(Artifact("gone", tmp_path, written.card)) is None
