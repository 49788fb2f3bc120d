"""Figure 6 counts what its words say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core import domains
from core.attacks import BoundedFlow, Criterion, StAdv
from core.certify.flow import FlowCertificate
from core.reproduce import Settings, certified_flow
from core.warp import variation


@pytest.mark.data
def test_figure_6_counts_successes_and_certified_images(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certified_flow.CertFigure6, "budgets", (0.0, 7.0, 80.0))
    monkeypatch.setattr(certified_flow, "BoundedFlow", lambda **p: BoundedFlow(iterations=15, restarts=1, **p))
    soft = {**certified_flow.SOFT, "iterations": 12, "binary_search_steps": 2}
    monkeypatch.setattr(certified_flow, "SOFT", soft)
    measured = certified_flow.CertFigure6().measure(Settings(n_images=30, device="cpu"))
    assert measured is not None and measured.n_images == 30
    domain = domains.get("mnist")
    images, labels = domain.sample(30, seed=0)
    targets = certified_flow.random_targets(labels, 0)
    assert not bool((targets == labels).any())
    for name, title in certified_flow.NETWORKS.items():
        classifier = domain.classifier(name, "cpu")
        successes = torch.zeros(30, dtype=torch.bool)
        for row, eps in zip(measured.rows[1:3], (7.0, 80.0), strict=True):
            attack = BoundedFlow(max_tv=eps, iterations=15, restarts=1)
            successes |= attack(classifier, images, labels, Criterion.toward(targets)).success
            assert f"({int(successes.sum())} of 30;" in str(row[f"{title}: targeted success"])
        promise = FlowCertificate(eps=7, find_radius=False)(classifier, images, labels)
        assert promise is not None
        assert f"({int(promise.certified.sum())} of 30;" in str(measured.rows[1][f"{title}: certified"])
        paper = FlowCertificate(eps=0, bound="paper", find_radius=False)(classifier, images, labels)
        assert paper is not None
        assert f"({int(paper.certified.sum())} of 30;" in str(
            measured.rows[0][f"{title}: certified by the paper's bound"]
        )
        generator = torch.Generator().manual_seed(0)
        penalized = StAdv(**soft)(classifier, images, labels, Criterion.toward(targets), generator)  # type: ignore[arg-type]
        last = measured.rows[3]
        assert f"({int(penalized.success.sum())} of 30;" in str(last[f"{title}: targeted success"])
        assert penalized.success.any()
        middle = float(variation(penalized.extras["flow"][penalized.success]).median())
        assert f"{title} {middle:.1f}" in str(last["total variation, pixels"]) and middle > 7
    assert measured.rows[3]["plain: targeted success, published"] == "38.0 %"


def test_the_conclusion_names_the_bound_and_the_ratio() -> None:
    found = {"plain": {"fooled": [0, 30, 80]}, "certified": {"fooled": [0, 5, 20]}}
    text = certified_flow.conclusion(found, (0.0, 7.0, 56.0), 200)
    assert text.startswith("At 56 pixels") and "40.0 %" in text and "4.0 times fewer" in text
    assert "stays below" in certified_flow.conclusion(found, (0.0, 7.0, 56.0), 1000)
