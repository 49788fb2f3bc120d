"""Publication figures."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluate.eps_curves import EpsCurves
from core.evaluate.transfer import TransferAccuracy
from core.figures.attack import trace_figure
from core.figures.evaluation import confusion_figure
from core.figures.models import accuracies, eps_curves_figure, transfer_figure
from core.figures.rendering import FileType, render
from core.recipe import Trace


@pytest.mark.parametrize(("file_type", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_drawn_the_same_each_time(file_type: FileType, head: bytes) -> None:
    trace = Trace(numbers=(0, 1, 2), loss=(0, 1, 2), confidence=(0.9, 0.5, 0.1), runner_up_confidence=(0.1, 0.5, 0.9))
    first, second = (render(lambda: trace_figure(trace, "cat", "dog", "#D55E00", 1), file_type) for _ in range(2))
    assert first.startswith(head)
    assert first == second


@pytest.mark.parametrize("count", [3, 41, 200, 1000])
def test_a_confusion_matrix_on_paper_names_its_classes(count: int) -> None:
    names = [f"class {n}" for n in range(count)]
    axes = confusion_figure(np.eye(count, dtype=np.int64), names, "true class", "prediction").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "true class")
    for places, labels in (
        (axes.get_xticks(), axes.get_xticklabels()),
        (axes.get_yticks(), axes.get_yticklabels()),
    ):
        assert [label.get_text() for label in labels] == [names[int(place)] for place in places]
        assert min(count, 100) <= len(labels) <= 150


def test_the_figures_of_models_show_their_numbers() -> None:
    labels = np.array([0, 1, 2, 0])
    wrong, titles = (labels + 1) % 3, {"p": "Plain", "r": "Robust"}
    attacked = np.array([[wrong, labels], [labels, [0, 1, 2, 1]]])
    transfer = TransferAccuracy(("p", "r"), labels, np.array([labels, labels]), attacked, 4)
    assert accuracies(transfer).tolist() == [[1, 1], [0, 1], [1, 0.75]]
    axes = transfer_figure(transfer, titles).axes[0]
    assert [text.get_text() for text in axes.texts] == ["100", "100", "0", "100", "100", "75"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no attack", "Plain", "Robust"]
    curves = EpsCurves(("p", "r"), (0.0, 8 / 255), labels, np.array([[labels, wrong], [labels, [0, 1, 1, 1]]]), 4)
    axes = eps_curves_figure(curves, titles, "/255").axes[0]
    lines = [container.lines[0] for container in axes.containers]
    assert [line.get_ydata().tolist() for line in lines] == [[1, 0], [1, 0.5]]
    assert lines[0].get_xdata()[1] == pytest.approx(8) and axes.get_xlabel() == "eps (n/255)"
