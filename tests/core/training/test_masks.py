"""Training of attention masks: it learns, it repeats, it goes on where it was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core import domains
from core.explain import masks
from core.models.artifacts import read_artifact
from core.training import masks as training
from core.training.masks import MASK_PLANS, MaskPlan, train_masks

PLAN = MaskPlan("mnist", "digits", "fc", 2.0, epochs=3, reader_epochs=2, batch=64)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's digits, which are always there, and few of them."""
    monkeypatch.setitem(MASK_PLANS, "masks_small", PLAN)
    whole = training.cached

    def few(plan: object, train: bool, folder: Path) -> tuple[Tensor, Tensor]:
        pictures, labels = whole(plan, train, folder)  # type: ignore[arg-type]
        return (pictures[:320], labels[:320]) if train else (pictures[:250], labels[:250])

    monkeypatch.setattr(training, "cached", few)


def weights(folder: Path) -> dict[str, Tensor]:
    return dict(masks.load_attention(read_artifact(folder, PLAN.name)).state_dict())


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = train_masks("masks_small", tmp_path / "whole", "cpu")

    class Cut(Exception):
        pass

    def cut(done: int, total: int, text: str) -> None:
        if text.startswith("mask network, epoch 3") or text.startswith("reader, epoch 2"):
            raise Cut

    seen = 0
    while True:
        try:
            again = train_masks("masks_small", tmp_path / "cut", "cpu", watch=cut if seen < 1 else None)
            break
        except Cut:
            seen += 1
    assert seen == 1 and again == whole
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[key], other[key]) for key in one)
    different = train_masks("masks_small", tmp_path / "other", "cpu", seed=1)
    assert different.metrics[2] != whole.metrics[2]


def test_it_learns_and_its_card_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setitem(MASK_PLANS, "masks_small", replace(PLAN, reader_epochs=25))
    about = train_masks("masks_small", tmp_path, "cpu", epochs=12, watch=lambda done, total, text: texts.append(text))
    losses = [float(text.split("loss ")[1]) for text in texts if text.startswith("mask network")]
    assert losses[-1] < losses[0] - 0.2
    found = masks.load_attention(read_artifact(tmp_path, PLAN.name))
    domain = domains.get("mnist")
    pictures, labels = training.cached(training.PLANS["mnist_digits"], False, tmp_path)
    images = pictures.float() / 255
    classifier = domain.classifier("digits", "cpu")
    with torch.no_grad():
        right = int((found.read(images).argmax(1) == labels).sum())
        left = found.corrupted(images, torch.Generator().manual_seed(0))
        kept = int((classifier(left).argmax(1) == classifier(images).argmax(1)).sum())
    assert (about.metrics[0].correct, about.metrics[0].count) == (right, len(labels))
    assert about.metrics[1].correct == kept
    assert right > 100, "f2 learnt to read these masks: 25 would be chance"
    assert about.metrics[2].value == pytest.approx(float(found.corruption(images).mean()), abs=1e-4)
    assert about.command.endswith("train masks_small --seed 0 --epochs 12")
