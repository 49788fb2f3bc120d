"""A kept patch on other images: the very patch, at that place, and what the classifier says of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from core import InvalidInput, Recipe, images
from core.analysis.patch_transfer import PrintedPatch, apply_patch, extract_patch
from core.recipe import ImageRef, Method, Outcome, load_example, run


@cache
def trained(shape: str = "square") -> Outcome:
    params = {"steps": 150, "batch": 16, "area": 0.2, "shape": shape}
    return run(Recipe(domain="mnist", attack=Method(name="universal_patch", params=params)), device="cpu")


def printed_patch(shape: str = "square") -> PrintedPatch:
    found = extract_patch(trained(shape))
    assert found is not None
    return found


def example(name: str = ""):  # type: ignore[no-untyped-def]
    return load_example(
        Recipe(domain="mnist", image=ImageRef(name=name)) if name else Recipe(domain="mnist"), device="cpu"
    )


def test_at_its_own_size_it_is_copied_to_the_byte() -> None:
    patch, on = printed_patch(), example()
    side = patch.patch.shape[0]
    for row, column in ((0.0, 0.0), (0.5, 0.25), (1.0, 1.0)):
        stuck = apply_patch(patch, on, row=row, column=column)
        top, left = (round(share * (28 - side)) for share in (row, column))
        wanted = on.clean.copy()
        wanted[top : top + side, left : left + side] = patch.patch
        assert np.array_equal(stuck.image, wanted)
        assert stuck.covered == pytest.approx(side**2 / 28**2)
        with torch.no_grad():
            sure = on.classifier(images.to_tensor(stuck.image)).softmax(1)[0]
        assert stuck.prediction.label == int(sure.argmax())
        assert stuck.prediction.confidence == pytest.approx(float(sure.max()), abs=1e-5)
        assert stuck.reached == (on.classifier.classes[stuck.prediction.label] == patch.target)


def test_a_half_turn_turns_it_and_its_size_is_a_share_of_the_side() -> None:
    patch, on = printed_patch(), example()
    side = patch.patch.shape[0]
    stuck = apply_patch(patch, on, row=0, column=0, angle=180)
    assert np.array_equal(stuck.image[:side, :side], patch.patch[::-1, ::-1])
    large = apply_patch(patch, on, row=0, column=0, size=0.8)
    assert large.covered == pytest.approx(0.64, abs=0.05)
    disc = apply_patch(printed_patch("disc"), on, size=0.8)
    assert disc.covered == pytest.approx(0.64 * 3.14 / 4, abs=0.05)


def test_a_trained_patch_reaches_its_target_on_an_image_that_it_never_saw() -> None:
    patch = printed_patch()
    domain_scene = example()
    other = 255 - domain_scene.clean  # a negative: nothing of the gallery looks like it
    on = replace(domain_scene, clean=other)
    assert any(apply_patch(patch, on, row=row, column=column).reached for row in (0, 0.5, 1) for column in (0, 0.5, 1))


def test_another_attack_leaves_nothing_to_keep() -> None:
    assert extract_patch(run(Recipe(domain="mnist", attack=Method(name="fgsm")), device="cpu")) is None


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"row": 1.2}, "row 1.2, column 0.5; both must lie between 0 and 1"),
        ({"column": -0.1}, "between 0 and 1"),
        ({"size": 0}, "choose 0.02 to 1"),
        ({"size": 1.5}, "choose 0.02 to 1"),
    ],
)
def test_nonsense_is_refused(how: dict[str, float], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        apply_patch(printed_patch(), example(), **how)
    with pytest.raises(InvalidInput, match="The patch is grey and the image in color"):
        apply_patch(printed_patch(), load_example(Recipe(), device="cpu"))
