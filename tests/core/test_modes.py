"""Views, detectors and guarded classifiers under the caller's gradient mode, and with tensors of any float type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core import Guarded, InvalidInput, defenses
from core.detectors import FeatureSqueezing
from core.diagnostics import gradient_stats
from core.explain.cams import class_maps
from core.explain.landscape import directions, surface
from core.explain.layers import layers
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier, random_images


def small() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)
    )
    return classifier(network, 4)


def maps(model: Classifier, x: Tensor) -> object:
    return [class_maps(model, x, [0, 1], method=m, layer=layers(model)[0]) for m in ("gradcam", "guided")]


def ways(model: Classifier, x: Tensor) -> object:
    return [d.numpy() for d in directions(model, x[:1], 0, torch.Generator().manual_seed(0))]


def ground(model: Classifier, x: Tensor) -> object:
    axis = np.linspace(-1, 1, 3, dtype=np.float32)
    grid = surface(model, x[:1], 0, torch.ones_like(x[:1]), torch.ones_like(x[:1]), axis, axis)
    assert grid is not None
    return grid.loss


def gradient(model: Classifier, x: Tensor) -> object:
    found = gradient_stats(model, x, torch.zeros(2, dtype=torch.int32))
    return [found.zero, found.smallest]


def scores(model: Classifier, x: Tensor) -> object:
    return FeatureSqueezing(model).score(x).detach().float().numpy()


def guarded(model: Classifier, x: Tensor) -> object:
    every = [defenses.JPEG(), defenses.LGS(window=3, overlap=1), defenses.RandomResizePad(min_scale=0.7)]
    return [Guarded(model, defense)(x).detach().float().numpy() for defense in every]


@contextmanager
def plain() -> Iterator[None]:
    yield


@pytest.mark.parametrize("work", [maps, ways, ground, gradient, scores, guarded], ids=lambda w: w.__name__)
def test_the_mode_and_the_float_type_change_nothing(work: Callable[[Classifier, Tensor], object]) -> None:
    model, x = small(), random_images(2)
    wanted = work(model, x)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            np.testing.assert_allclose(work(model, x.clone()), wanted, atol=1e-5, rtol=1e-4)
    with torch.inference_mode():
        made = x.clone()
    np.testing.assert_allclose(work(model, made), wanted, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(work(model, x.double()), wanted, atol=1e-4, rtol=1e-3)
    for dtype in (torch.float16, torch.bfloat16):
        np.testing.assert_allclose(
            work(model, x.to(dtype)), work(model, x.to(dtype).float()), atol=0.02, rtol=0.02, err_msg=str(dtype)
        )


@pytest.mark.parametrize("work", [maps, ways, ground, scores, guarded], ids=lambda w: w.__name__)
def test_other_channels_get_a_sentence(work: Callable[[Classifier, Tensor], object]) -> None:
    with pytest.raises(InvalidInput, match="takes float images N×3×8×8"):
        work(small(), random_images(2)[:, :1])


@pytest.mark.parametrize("classes", [[0], [0, 1, 2], [0, 4], [-1, 0]])
def test_a_class_map_of_no_class_gets_a_sentence(classes: list[int]) -> None:
    model = small()
    with pytest.raises(InvalidInput, match="one class for each image"):
        class_maps(model, random_images(2), classes, layer=layers(model)[0])
