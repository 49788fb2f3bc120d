"""The tables of Nguyen 2018 count what their words say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core import domains
from core.attacks import CW
from core.explain import masks
from core.images import quantise
from core.reproduce import Settings, nguyen2018


@pytest.mark.data
def test_the_tables_count_what_their_words_say(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        nguyen2018, "ATTACKS", {"FGSM": nguyen2018.ATTACKS["FGSM"], "C&W": CW(binary_search_steps=2, steps=10)}
    )
    monkeypatch.setattr(nguyen2018, "CLASSIFIERS", {"alexnet": "AlexNet"})
    monkeypatch.setattr(nguyen2018, "N_CALIBRATION", 50)
    measured = nguyen2018.MaskTables().measure(Settings(n_images=20, device="cpu", folder=tmp_path))
    assert measured is not None
    rows, text = measured.rows, measured.report
    ours = nguyen2018.ConvolutionalMaskTables().report([], 20, 0)
    assert "Masks: fc, β 3" in text and "Masks: conv, β 3" in ours and "convolutional" in ours.split("\n")[0]
    assert "### 2: AlexNet" in text and "published" in text and "### Not in the paper: AlexNet" in text
    cells = {(r["table"], r["attack"], r[""]): str(r["measured"]) for r in rows}
    cifar = domains.get("cifar10")
    images, labels = cifar.sample(20, seed=0)
    classifier = cifar.classifier("alexnet", "cpu")
    attention = masks.load(masks.find("cifar10", "fc", nguyen2018.BETA))
    attacked = quantise(nguyen2018.ATTACKS["FGSM"](classifier, images, labels).images)
    with torch.no_grad():
        before, after = classifier(images).argmax(1), classifier(attacked).argmax(1)
        read, reread = attention.classify_mask(images).argmax(1), attention.classify_mask(attacked).argmax(1)
    fooled = (before == labels) & (after != labels)
    count = int(fooled.sum())
    for key, hits in (
        (("1: masks that keep their class", "FGSM", "masks that keep their class"), fooled & (reread == read)),
        (("2: AlexNet", "FGSM", "true positive"), fooled & (reread != after)),
        (("2: AlexNet", "FGSM", "true negative"), fooled & (read == before)),
    ):
        assert f"({int(hits.sum())} of {count};" in cells[key], key
    readable = fooled & (read == labels)
    key = ("4: AlexNet, only images whose clean mask is read right", "FGSM", "true class restored")
    assert f"({int((readable & (reread == labels)).sum())} of {int(readable.sum())};" in cells[key]
