"""What holds for every defense: shapes, types, the caller's tensors, flat images, gradients, sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core import defenses
from core.defenses import (
    JPEG,
    LGS,
    TVM,
    Bilateral,
    BitDepth,
    Chain,
    Defense,
    Gaussian,
    Median,
    RandomResizePad,
    SpatialSmoothing,
    TotalVariation,
)
from core.defenses.base import straight_through
from core.inputs import InvalidInput

ALL: list[Defense] = [
    JPEG(),
    BitDepth(),
    Median(),
    Median(window=5),
    Gaussian(),
    Bilateral(),
    Bilateral(window=7, sigma_range=0.1),
    SpatialSmoothing(),
    SpatialSmoothing(window=3),
    TotalVariation(),
    TVM(),
    LGS(),
    LGS(per_channel=True),
    RandomResizePad(),
    Chain(members=(Median(), JPEG(), LGS())),
]
SMOOTH = [d for d in ALL if not d.nondifferentiable_parts()]


def random_images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def named(defense: Defense) -> str:
    return defense.describe()


@pytest.mark.parametrize("defense", ALL, ids=named)
@pytest.mark.parametrize("shape", [(2, 3, 31, 17), (1, 1, 28, 28), (1, 3, 513, 300)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_type_range_and_the_callers_tensor(defense: Defense, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = random_images(*shape, dtype=dtype)
    before = images.clone()
    result = defense(images)
    assert result.shape == images.shape and result.dtype == dtype and result.is_contiguous()
    assert torch.equal(images, before)
    assert result.data_ptr() != images.data_ptr()
    assert float(result.min()) >= -1e-6 and float(result.max()) <= 1 + 1e-6
    assert torch.equal(result, defense(images))


@pytest.mark.parametrize("defense", ALL, ids=named)
def test_floats_of_16_bits_are_computed_with_32_in_any_mode(defense: Defense) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        images = random_images(2, 3, 31, 17).to(dtype)
        result = defense(images)
        assert result.dtype == dtype
        assert torch.equal(result, defense(images.float()).to(dtype))
        with torch.inference_mode():
            assert torch.equal(defense(images.clone()), result)


@pytest.mark.parametrize("defense", ALL, ids=named)
def test_a_batch_is_its_images_one_by_one_in_any_memory_layout(defense: Defense) -> None:
    images = random_images(5, 3, 40, 33)
    together = defense(images)
    torch.testing.assert_close(together, torch.cat([defense(image[None]) for image in images]), rtol=0, atol=1e-6)
    last = images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(defense(last), together, rtol=0, atol=1e-6)


@pytest.mark.parametrize("defense", [d for d in ALL if not d.is_randomized()], ids=named)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_image_stays_flat_and_finite(defense: Defense, value: float) -> None:
    images = torch.full((1, 3, 37, 29), value, requires_grad=not defense.nondifferentiable_parts())
    result = defense(images)
    assert bool(torch.isfinite(result).all())
    assert float(result.detach().max() - result.detach().min()) < 1e-6
    if not defense.nondifferentiable_parts():
        (gradient,) = torch.autograd.grad(result.sum(), images)
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("defense", ALL, ids=named)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("value", "words"), [(1.01, "lie in"), (-0.01, "lie in"), (torch.nan, "NaN"), (torch.inf, "NaN"), (255.0, "255")]
)
def test_one_value_outside_the_range_gets_a_sentence(
    defense: Defense, dtype: torch.dtype, value: float, words: str
) -> None:
    images = random_images(6, 3, 31, 17, dtype=dtype)
    images[4, 1, 30, 16] = value
    with pytest.raises(InvalidInput, match=words):
        defense(images)


@pytest.mark.parametrize("defense", ALL, ids=named)
@pytest.mark.parametrize("value", [-0.0, -1e-7, 1 + 1e-7])
def test_what_rounding_leaves_outside_the_range_is_taken(defense: Defense, value: float) -> None:
    images = random_images(2, 3, 31, 17)
    images[0, 1, 30, 16] = value
    assert defense(images).shape == images.shape


@pytest.mark.parametrize("defense", ALL, ids=named)
def test_an_image_with_a_graph_where_none_is_kept(defense: Defense) -> None:
    images = random_images(2, 3, 31, 17)
    with torch.no_grad():
        assert torch.equal(defense(images.clone().requires_grad_(True)), defense(images))


@pytest.mark.parametrize("defense", ALL, ids=named)
@pytest.mark.parametrize("channels", [1, 3])
def test_one_pixel_works_or_gets_one_sentence(defense: Defense, channels: int) -> None:
    image = torch.full((1, channels, 1, 1), 0.4)
    try:
        assert defense(image).shape == image.shape
    except InvalidInput as error:
        assert "the image 1×1" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("median", {"window": 4}, "4; it must be odd"),
        ("gaussian", {"window": 6}, "6; it must be odd"),
        ("bilateral", {"window": 6}, "6; it must be odd"),
        ("spatial", {"window": 1}, "at least 2"),
        ("tvm", {"weight": 0}, "at least 1"),
        ("median", {"window": 17}, "at most 15"),
        ("lgs", {"overlap": 15}, "less than the window"),
        ("lgs", {"lambda": -1}, "lambda is -1; it must be at least 0"),
        ("jpeg", {"quality": 0}, "at least 1"),
        ("bitdepth", {"bits": 9}, "at most 8"),
        ("tv", {"weight": "many"}, "weight is 'many'"),
        ("jpeg", {"qualty": 3}, "no parameter 'qualty'"),
    ],
)
def test_a_wrong_parameter_gets_a_sentence(name: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        defenses.build(name, values)


@pytest.mark.parametrize("defense", [Median(window=15), Gaussian(window=15), Bilateral(window=15), LGS()], ids=named)
def test_a_window_larger_than_the_image_gets_a_sentence(defense: Defense) -> None:
    assert defense(random_images(1, 3, 15, 15)).shape == (1, 3, 15, 15)
    with pytest.raises(InvalidInput, match="window is 15×15 and the image 14×30"):
        defense(random_images(1, 3, 14, 30))


def test_the_nine_are_registered_with_help_paper_and_range() -> None:
    for name in ("jpeg", "bitdepth", "median", "spatial", "gaussian", "bilateral", "tv", "tvm", "lgs"):
        cls = defenses.get(name)
        assert cls.summary and cls.paper and cls.parameters()
        for parameter in cls.parameters():
            assert parameter.help
            assert parameter.kind == "flag" or (parameter.low is not None and parameter.high is not None)
        assert cls(**cls().values()) == cls()
    assert [p.name for p in LGS.parameters()] == ["lambda", "threshold", "window", "overlap", "per_channel"]
    assert defenses.build("lgs", {"lambda": 1.5}) == LGS(strength=1.5)


@pytest.mark.parametrize(
    "defense",
    [
        Median(),
        Median(window=5),
        Gaussian(),
        Bilateral(window=3),
        Bilateral(window=5, sigma_spatial=2, sigma_range=0.4),
        SpatialSmoothing(),
        TotalVariation(weight=0.05),
        TVM(weight=20),
        # a threshold that no window is near: the choice of windows counts as a constant
        LGS(window=4, overlap=1, threshold=0, strength=0.9),
        LGS(window=4, overlap=1, threshold=0, strength=0.9, per_channel=True),
    ],
    ids=named,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_those_of_finite_differences(defense: Defense, channels: int) -> None:
    images = random_images(1, channels, 5, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(defense.apply, (images,), eps=1e-7, atol=1e-5, nondet_tol=0)


@pytest.mark.parametrize("defense", SMOOTH, ids=named)
def test_the_value_is_the_same_with_and_without_a_graph(defense: Defense) -> None:
    images = random_images(2, 3, 40, 33)
    with_graph = defense(images.clone().requires_grad_())
    assert with_graph.requires_grad
    torch.testing.assert_close(with_graph.detach(), defense(images), rtol=0, atol=1e-6)


def test_equal_values_share_the_medians_gradient() -> None:
    images = torch.full((1, 1, 9, 9), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(Median()(images)[0, 0, 4, 4], images)
    torch.testing.assert_close(gradient[0, 0, 3:6, 3:6], torch.full((3, 3), 1 / 9))
    assert float(gradient.sum()) == pytest.approx(1)


def test_straight_through_is_the_defended_value_and_the_identity_gradient() -> None:
    images = random_images(2, 3, 16, 16).requires_grad_()
    defended = JPEG()(images)
    through = straight_through(images, defended)
    upstream = random_images(2, 3, 16, 16) - 0.5
    (gradient,) = torch.autograd.grad(through, images, upstream)
    assert torch.equal(through, defended) and torch.equal(gradient, upstream)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("defense", ALL, ids=named)
def test_cuda_agrees_with_the_cpu(defense: Defense) -> None:
    images = random_images(4, 3, 64, 48)
    torch.testing.assert_close(defense(images.cuda()).cpu(), defense(images), rtol=0, atol=1e-5)
