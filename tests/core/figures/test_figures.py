"""Publication figures."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.attack import trace_figure
from core.figures.evaluation import confusion_figure
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
