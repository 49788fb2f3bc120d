"""Total variation minimization against scikit-image, and its compiled loops against tensors."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.restoration
import torch

from core.defenses import (
    TVM,
    TotalVariation,
    tv,
)
from tests.core.defenses.test_references import noise, scene


def energy(result: np.ndarray, image: np.ndarray, weight: float) -> float:
    """Half the squared distance plus the weighted variation of one plane."""
    down, right = np.zeros_like(result), np.zeros_like(result)
    down[:-1], right[:, :-1] = np.diff(result, axis=0), np.diff(result, axis=1)
    return float(0.5 * ((result - image) ** 2).sum() + weight * np.sqrt(down**2 + right**2).sum())


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 17), (160, 120)])
@pytest.mark.parametrize("weight", [0.05, 0.3])
def test_total_variation_is_scikit_images(size: tuple[int, int], weight: float) -> None:
    images = scene(3, 3, *size, dtype=torch.float64) if min(size) > 1 else noise(3, 3, *size, dtype=torch.float64)
    images[1] *= 0.3  # an image that settles at another time
    ours = TotalVariation(weight=weight)(images).numpy()
    for image, result in zip(images.numpy(), ours, strict=True):
        theirs = skimage.restoration.denoise_tv_chambolle(image, weight=weight, channel_axis=0)
        np.testing.assert_allclose(result, theirs, atol=1e-9)
        for before, after, reference in zip(image, result, theirs, strict=True):
            start, drop = energy(before, before, weight), energy(before, before, weight) - energy(after, before, weight)
            assert drop == pytest.approx(start - energy(reference, before, weight), rel=1e-3, abs=1e-9)
            assert min(size) == 1 or drop > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (31, 17), (160, 120)])
def test_compiled_total_variation_is_that_of_tensors(size: tuple[int, int]) -> None:
    """What runs on a processor and what runs on a GPU: the same planes, and each settles at the same iteration."""
    planes = torch.cat([noise(2, 2, *size, dtype=torch.float64).flatten(0, 1), torch.full((1, *size), 0.3).double()])
    planes[1] *= 0.1
    assert tv.compiled("chambolle", planes) is not None
    for weight in (0.03, 0.2):
        result, taken = tv._solved(planes, weight)
        wanted, steps = tv._solved_together(planes, weight)
        torch.testing.assert_close(result, wanted, rtol=0, atol=1e-12)
        assert taken == steps and taken[-1] == 1, "a flat plane settles at once"


def test_total_variation_without_a_compiler_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = scene(2, 3, 40, 30, dtype=torch.float64)
    compiled = TotalVariation()(images)
    monkeypatch.setattr(tv, "compiled", lambda *_: None)
    torch.testing.assert_close(TotalVariation()(images), compiled, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (31, 17), (160, 120)])
def test_total_variations_compiled_gradient_is_autograds(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.cat([noise(2, 3, *size, dtype=torch.float64), torch.full((1, 3, *size), 0.3).double()])
    images[1] *= 0.3  # settles at another time
    images[:2, :, :5, :7] = 0.4  # a flat corner
    upstream = noise(3, 3, *size, dtype=torch.float64, seed=1) - 0.5
    for weight in (0.03, 0.2):
        found = []
        for kernels in (tv.compiled, lambda *_: None):
            monkeypatch.setattr(tv, "compiled", kernels)
            given = images.clone().requires_grad_()
            found += torch.autograd.grad(TotalVariation(weight=weight)(given), given, upstream)
        ours, autograds = found
        torch.testing.assert_close(ours, autograds, rtol=0, atol=1e-9)
        assert size == (1, 1) or not torch.equal(ours[0], upstream[0])


@pytest.mark.parametrize("weight", [10, 20, 30])
def test_tvm_lowers_the_energy_of_scikit_images_bregman_form_no_less(weight: int) -> None:
    for shape in ((1, 3, 96, 80), (1, 1, 31, 17), (1, 3, 513, 300)):
        images = scene(*shape, dtype=torch.float64)
        ours = TVM(weight=weight)(images)[0].numpy()
        theirs = skimage.restoration.denoise_tv_bregman(images[0].numpy(), weight=weight, channel_axis=0)
        theirs = theirs.reshape(ours.shape)  # it drops a single channel
        for plane, mine, other in zip(images[0].numpy(), ours, theirs, strict=True):
            start = energy(plane, plane, 1 / weight)
            drop = start - energy(mine, plane, 1 / weight)
            assert drop > 0 and drop >= 0.999 * (start - energy(other, plane, 1 / weight))


def test_total_variation_in_single_precision_is_close_to_scikit_images() -> None:
    images = scene(1, 3, 96, 80)
    theirs = skimage.restoration.denoise_tv_chambolle(images[0].numpy(), weight=0.1, channel_axis=0)
    np.testing.assert_allclose(TotalVariation()(images)[0].numpy(), theirs, atol=1e-3)
