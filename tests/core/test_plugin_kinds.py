"""A detector and a certificate of one's own: one file each, in evaluations and on the command line by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core import certify, detectors, domains
from core.cli import main
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Metrics, Plan, RunStore, evaluate
from core.evaluate.report import report
from core.recipe import Method, View

DETECTOR = '''
from typing import ClassVar

from torch import Tensor

from core.detectors import Detector


class Brightness(Detector):
    """The mean brightness."""

    name: ClassVar[str] = "brightness"
    title: ClassVar[str] = "Brightness"
    summary: ClassVar[str] = "The mean brightness."
    paper: ClassVar[str] = "Example 2026"

    def score(self, images: Tensor) -> Tensor:
        return images.to(self.classifier.device).mean((1, 2, 3))

    def corrected_label(self, images: Tensor) -> Tensor:
        return self.classifier(images).argmax(1)
'''


CERTIFICATE = '''
from typing import ClassVar

import torch
from torch import Tensor

from core.certify import Certificate, Certified, Run
from core.models.classifier import Classifier


class Untouched(Certificate):
    """The margin of the image as it is."""

    name: ClassVar[str] = "untouched"
    title: ClassVar[str] = "No change"
    summary: ClassVar[str] = "The margin of the image as it is."
    paper: ClassVar[str] = "Example 2026"
    threat_model: ClassVar[str] = "The image stays as it is."

    def certify(self, classifier: Classifier, images: Tensor, labels: Tensor, run: Run) -> Certified | None:
        with torch.no_grad():
            top = classifier(images.to(classifier.device)).double().cpu().topk(2)
        predicted, margin = top.indices[:, 0], top.values[:, 0] - top.values[:, 1]
        certified = (predicted == labels.cpu()) & (margin > 0)
        return Certified(predicted, certified, margin, torch.zeros_like(margin), "L∞")
'''


def test_a_detector_is_one_file_too(load: Callable[..., tuple[str, ...]], tmp_path: Path) -> None:
    assert load({"brightness.py": DETECTOR}) == () and "brightness" in detectors.names()
    plan = Plan(domain="mnist", n_images=4, batch=4, attacks=(), defenses=(), detectors=(Method(name="brightness"),))
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as run:
        assert evaluate(run, device="cpu")
        images, _ = domains.get("mnist").sample(4, seed=0)
        np.testing.assert_allclose(run.scores(0, NO_ATTACK), images.mean((1, 2, 3)), atol=1e-6)
        assert "flagged by Brightness" in report(Metrics(run))
    assert View(detector="brightness").detector == "brightness"


def test_a_certificate_is_one_file_too(
    load: Callable[..., tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load({"untouched.py": CERTIFICATE}) == () and "untouched" in certify.names()
    plan = Plan(
        domain="mnist",
        n_images=6,
        batch=4,
        attacks=(),
        defenses=((Method(name="median"),),),
        certificates=(Method(name="untouched"),),
    )
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as run:
        assert evaluate(run, device="cpu")
        for defense_number in (NO_DEFENSE, 0):
            right = Metrics(run).is_correct(CellKey(0, NO_ATTACK, defense_number, "none"))
            assert run.certified(0, 0, defense_number).certified.tolist() == right.tolist()
        assert "No change: The image stays as it is." in report(Metrics(run))
    assert main(["certify", "untouched", "--domain", "mnist", "--images", "5"]) == 0
    assert "No change" in capsys.readouterr().out
    assert View(certificate=Method(name="untouched")).certificate is not None
