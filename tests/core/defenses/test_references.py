"""Each filter against an independent implementation: Pillow, scipy, scikit-image, a formula, a naive loop."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.ndimage
import skimage.restoration
import torch
from PIL import Image
from torch import Tensor

from core.defenses import (
    JPEG,
    LGS,
    Bilateral,
    BitDepth,
    Gaussian,
    Median,
    SpatialSmoothing,
    lgs,
    median,
    selection,
)

SIZES = [(8, 8), (31, 17), (513, 300)]


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scene(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A smooth image with a noisy square in it, so that some windows are kept and others not."""
    rows, columns = torch.meshgrid(torch.arange(shape[2]), torch.arange(shape[3]), indexing="ij")
    images = (0.5 + 0.3 * torch.sin(rows / 9) * torch.cos(columns / 7)).to(dtype).expand(shape).clone()
    side = min(shape[2:]) // 2
    images[..., :side, -side:] = noise(shape[0], shape[1], side, side, dtype=dtype)
    return images


@pytest.mark.parametrize("size", [(1, 1), *SIZES])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 60, 100])
def test_jpeg_gives_pillows_bytes(size: tuple[int, int], channels: int, quality: int) -> None:
    images = scene(2, channels, *size) if min(size) > 1 else noise(2, channels, *size)
    ours = (JPEG(quality=quality)(images) * 255).round().to(torch.uint8)
    for image, back in zip(images, ours, strict=True):
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(file, "JPEG", quality=quality)
        theirs = np.asarray(Image.open(file)).reshape(pixels.shape)
        assert np.array_equal(back.permute(1, 2, 0).numpy(), theirs)


def test_jpeg_returns_whole_eight_bit_steps() -> None:
    for dtype in (torch.float32, torch.float64):
        result = JPEG()(noise(1, 3, 8, 8, dtype=dtype))
        assert torch.equal(result, (result * 255).round() / 255)


@pytest.mark.parametrize("bits", range(1, 9))
def test_bit_depth_is_its_formula(bits: int) -> None:
    images = noise(2, 3, 31, 17, dtype=torch.float64)
    levels = 2**bits - 1
    np.testing.assert_array_equal(BitDepth(bits=bits)(images).numpy(), np.round(images.numpy() * levels) / levels)
    assert len(BitDepth(bits=bits)(images).unique()) == 2**bits or bits == 8


@pytest.mark.parametrize("window", [3, 5, 7, 9, 15])
@pytest.mark.parametrize("shape", [(2, 3, 31, 17), (1, 1, 16, 15), (5, 1, 28, 28)])
def test_median_equals_scipys(window: int, shape: tuple[int, ...]) -> None:
    for images in (noise(*shape), (noise(*shape, dtype=torch.float64) * 4).round() / 4):  # without and with ties
        theirs = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, window, window), mode="mirror")
        assert np.array_equal(Median(window=window)(images).numpy(), theirs)


@pytest.mark.parametrize("window", [2, 3, 4, 5, 9, 15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_medians_without_a_compiler_are_the_same(
    window: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs on a processor and what runs on a GPU, to the bit; in more pieces than one."""
    monkeypatch.setattr(selection, "SHARE", 1000)
    monkeypatch.setattr(selection, "BLOCK", 300)
    images = noise(2, 3, 40, 33, dtype=dtype)
    assert selection.compiled("medians", images) is not None
    compiled = selection.median_of_windows(images, window)
    monkeypatch.setattr(selection, "compiled", lambda *_: None)
    assert torch.equal(selection.median_of_windows(images, window), compiled)


@pytest.mark.parametrize("window", [2, 3, 5])
@pytest.mark.parametrize("size", [(5, 40), (40, 5), (31, 17)])
def test_the_medians_compiled_gradient_is_that_of_tensors(
    window: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = (noise(2, 3, *size, dtype=torch.float64) * 7).round() / 7  # few values: equals everywhere
    upstream = noise(2, 3, size[0] - window + 1, size[1] - window + 1, dtype=torch.float64, seed=1) - 0.5
    found = []
    for kernels in (median.compiled, lambda *_: None):
        monkeypatch.setattr(median, "compiled", kernels)
        given = images.clone().requires_grad_()
        found += torch.autograd.grad(median.median(given, window), given, upstream)
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)
    assert float(found[0].sum()) == pytest.approx(float(upstream.sum()))


@pytest.mark.parametrize("window", [3, 5])
def test_median_equals_scipys_on_more_pixels_than_are_worked_on_at_once(window: int) -> None:
    images = noise(1, 3, 513, 300)
    theirs = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, window, window), mode="mirror")
    assert np.array_equal(Median(window=window)(images).numpy(), theirs)


@pytest.mark.parametrize("window", [2, 3, 4, 7])
@pytest.mark.parametrize("shape", [(2, 3, 31, 17), (1, 1, 7, 8), (1, 3, 513, 300)])
def test_spatial_smoothing_is_feature_squeezings_own(window: int, shape: tuple[int, ...]) -> None:
    for images in (noise(*shape), (noise(*shape, dtype=torch.float64) * 4).round() / 4):  # without and with ties
        theirs = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, window, window), mode="reflect")
        assert np.array_equal(SpatialSmoothing(window=window)(images).numpy(), theirs)


def naive_bilateral(image: np.ndarray, window: int, sigma_spatial: float, sigma_range: float) -> np.ndarray:
    """The weighted mean of each window by loops over pixels, of one image C×H×W."""
    reach = window // 2
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    result = np.zeros_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            total, weights = np.zeros(len(image)), 0.0
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    other = padded[:, y + reach + down, x + reach + right]
                    color = ((other - image[:, y, x]) ** 2).sum()
                    weight = np.exp(-(down**2 + right**2) / (2 * sigma_spatial**2) - color / (2 * sigma_range**2))
                    total, weights = total + weight * other, weights + weight
            result[:, y, x] = total / weights
    return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("window", "sigma_spatial", "sigma_range"), [(3, 1.0, 0.1), (5, 1.0, None), (7, 2.5, 0.3)])
def test_bilateral_is_the_naive_loop(
    channels: int, window: int, sigma_spatial: float, sigma_range: float | None
) -> None:
    for size in ((window, window), (13, 19)):
        images = noise(2, channels, *size, dtype=torch.float64)
        images[1] *= 0.4  # an image of another spread
        ours = Bilateral(window=window, sigma_spatial=sigma_spatial, sigma_range=sigma_range)(images)
        for image, result in zip(images.numpy(), ours.numpy(), strict=True):
            theirs = naive_bilateral(image, window, sigma_spatial, sigma_range or float(image.std()))
            np.testing.assert_allclose(result, theirs, atol=1e-12)
        single = Bilateral(window=window, sigma_spatial=sigma_spatial, sigma_range=sigma_range)(images.float())
        np.testing.assert_allclose(single.numpy(), ours.numpy(), atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_bilateral_on_a_large_image_is_the_sum_over_all_offsets(channels: int, dtype: torch.dtype) -> None:
    image = scene(1, channels, 513, 300, dtype=dtype)
    given, reach = image[0].double().numpy(), 2
    padded = np.pad(given, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    total, weights = np.zeros_like(given), np.zeros(given.shape[1:])
    for down in range(5):
        for right in range(5):
            other = padded[:, down : down + 513, right : right + 300]
            away = (down - 2) ** 2 + (right - 2) ** 2
            weight = np.exp(-away / 2 - ((other - given) ** 2).sum(0) / (2 * given.var()))
            total, weights = total + weight * other, weights + weight
    ours = Bilateral()(image)[0].double().numpy()
    np.testing.assert_allclose(ours, total / weights, atol=1e-12 if dtype == torch.float64 else 2e-6)


def test_bilateral_with_a_wide_window_is_scikit_images() -> None:
    """Only where all places count alike: scikit-image lays its spatial weights one pixel aside (an even table for odd windows)."""
    image = noise(1, 1, 40, 30, dtype=torch.float64)
    theirs = skimage.restoration.denoise_bilateral(
        image[0, 0].numpy(), win_size=5, sigma_color=0.3, sigma_spatial=1e6, bins=100_000, mode="reflect"
    )
    ours = Bilateral(sigma_spatial=20, sigma_range=0.3)(image)[0, 0].numpy()
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=2e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("window", "sigma"), [(3, None), (5, None), (7, 2.5)])
def test_gaussian_equals_scipys(size: tuple[int, int], window: int, sigma: float | None) -> None:
    images = noise(2, 3, *size, dtype=torch.float64)
    used = sigma or 0.3 * ((window - 1) / 2 - 1) + 0.8
    theirs = scipy.ndimage.gaussian_filter(images.numpy(), used, axes=(2, 3), radius=window // 2, mode="mirror")
    np.testing.assert_allclose(Gaussian(window=window, sigma=sigma)(images).numpy(), theirs, atol=1e-12)
    np.testing.assert_allclose(Gaussian(window=window, sigma=sigma)(images.float()).numpy(), theirs, atol=1e-6)


def naive_lgs(image: np.ndarray, lam: float, gamma: float, tau: int, overlap: int) -> dict[str, np.ndarray]:
    """Equations 5-8 by loops over pixels and windows, of one image C×H×W."""
    grey = image[0] if len(image) == 1 else 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    height, width = grey.shape
    magnitude = np.zeros_like(grey)
    for y in range(height):
        for x in range(width):
            across = grey[y, x + 1] - grey[y, x] if x + 1 < width else 0.0
            down = grey[y + 1, x] - grey[y, x] if y + 1 < height else 0.0
            magnitude[y, x] = np.hypot(across, down)
    span = magnitude.max() - magnitude.min()
    normalized = (magnitude - magnitude.min()) / span if span > 0 else np.zeros_like(magnitude)

    def starts(side: int) -> list[int]:
        found, at = [], 0
        while at + tau < side:
            found.append(at)
            at += tau - overlap
        return [*found, side - tau]

    region = np.zeros(grey.shape, bool)
    means = np.array([[normalized[y : y + tau, x : x + tau].mean() for x in starts(width)] for y in starts(height)])
    for row, y in enumerate(starts(height)):
        for column, x in enumerate(starts(width)):
            if means[row, column] > gamma:
                region[y : y + tau, x : x + tau] = True
    suppression = np.clip(lam * normalized * region, 0, 1)
    return {
        "magnitude": magnitude[None],
        "normalized": normalized[None],
        "means": means,
        "region": region[None],
        "suppression": suppression[None],
        "result": image * (1 - suppression),
    }


@pytest.mark.parametrize("shape", [(2, 3, 31, 17), (2, 1, 28, 28), (1, 3, 32, 32), (1, 3, 15, 40), (1, 3, 105, 80)])
@pytest.mark.parametrize(
    "values", [{}, {"lambda": 1.5, "threshold": 0.02}, {"window": 8, "overlap": 0}, {"window": 7, "overlap": 6}]
)
def test_lgs_equals_the_naive_loop_in_every_array_it_shows(shape: tuple[int, ...], values: dict[str, float]) -> None:
    images = scene(*shape, dtype=torch.float64)
    defense = LGS(**values)
    trace = defense.trace(images)
    assert torch.equal(trace.result, defense(images))
    assert bool(trace.kept.any())
    for index, image in enumerate(images.numpy()):
        naive = naive_lgs(image, defense.strength, defense.threshold, defense.window, defense.overlap)
        for name, expected in naive.items():
            found = getattr(trace, name)[index].numpy()
            np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=name)
    assert np.array_equal(trace.kept.numpy(), trace.means.numpy() > defense.threshold)
    assert trace.tops[-1] == shape[2] - defense.window and trace.lefts[-1] == shape[3] - defense.window


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("channels", [1, 3])
def test_compiled_lgs_is_that_of_tensors(
    dtype: torch.dtype, most: float, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a gradient on a processor, and everywhere else: every array; and the result alone is that of the whole trace."""
    images = torch.cat([scene(9, channels, 97, 80, dtype=dtype), torch.full((1, channels, 97, 80), 0.3, dtype=dtype)])
    images *= torch.linspace(0.5, 1, 10, dtype=dtype).view(-1, 1, 1, 1)
    assert lgs.compiled("gradients", images) is not None
    trace = LGS()(images), LGS().trace(images)
    assert torch.equal(trace[0], trace[1].result)
    monkeypatch.setattr(lgs, "compiled", lambda *_: None)
    wanted = LGS().trace(images)
    assert 0 < int(wanted.kept[0].sum()) < wanted.kept[0].numel() and not wanted.kept[9].any()
    for name in ("kept", "region", "tops", "lefts"):
        assert np.array_equal(getattr(trace[1], name), getattr(wanted, name)), name
    for name in ("magnitude", "normalized", "means", "suppression", "result"):
        torch.testing.assert_close(getattr(trace[1], name), getattr(wanted, name), rtol=0, atol=most, msg=name)


def test_lgs_per_channel_smooths_each_channel_by_its_own_gradient() -> None:
    images = scene(2, 3, 40, 40)
    images[:, 1] = 0.5  # a flat channel keeps its values
    trace = LGS(per_channel=True).trace(images)
    assert trace.suppression.shape == images.shape and trace.region.shape == (2, 1, 40, 40)
    assert torch.equal(trace.result[:, 1], images[:, 1])
    assert not torch.equal(trace.result[:, 0], images[:, 0])
    grey = images[:, :1]
    assert torch.equal(LGS(per_channel=True)(grey), LGS()(grey))
