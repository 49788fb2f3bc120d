"""The same on another device: nothing is left on the CPU that belongs there, and all is found that the CPU finds.

The device is played by the CPU (tests/core/fake_device.py), so these tests run where no GPU is. On a machine with one,
`MIRAGE_TEST_DEVICE=cuda:0` lets them use it, and all is computed in float64: in float32, a GPU's rounding changes the sign of a
gradient near 0, and an attack goes another way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import Tensor

from core import Guarded, Recipe, attacks, domains, run
from core.analysis.feature_noise import feature_noise
from core.analysis.landscape import decision_regions, loss_surface
from core.attacks import PGD, Attack
from core.defenses import Bilateral, Chain, Defense, Median
from core.detectors import ConvolutionalMasks, Detector, FeatureSqueezing
from core.evaluate.detector_benchmark import benchmark_detector
from core.evaluate.plan import NO_ATTACK, Plan
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from core.evaluate.tasks import judged_defenses, tasks
from core.explain import layers
from core.explain.cams import METHODS, class_maps
from core.recipe import Method, craft, load_example
from tests.core.attacks.networks import curved, random_images
from tests.core.attacks.test_contract import ATTACKS, SHORT, predicted
from tests.core.defenses.test_contract import ALL, SMOOTH, named
from tests.core.fake_device import REAL, Acting, gpu

_FLOAT32 = torch.float32
PATIENCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(autouse=True)
def precise(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Float64 in place of float32 where the device is real."""
    if not REAL:
        yield
        return
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(_FLOAT32)


@pytest.fixture
def there() -> Iterator[torch.device]:
    with gpu() as device:
        yield device


@pytest.mark.skipif(bool(REAL), reason="the device is real")
def test_the_player_breaks_where_a_gpu_does(there: torch.device) -> None:
    here = torch.ones(2, 3)
    x = here.to(there)
    for wrong in (
        lambda: x + here,
        lambda: torch.cat([x, here]),
        lambda: torch.add(x, x, out=here),
        lambda: here.add_(x),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            wrong()
    with pytest.raises(RuntimeError):
        x.numpy()
    assert x.device == there and x.is_cuda and x[[1]].device == there
    assert torch.equal((x + 1).cpu(), here + 1) and float(x.sum()) == 6
    made = torch.tensor([1.5, 2.5], device=there)
    assert isinstance(made, Acting) and made.tolist() == [1.5, 2.5]
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(leaf.square().sum(), leaf)
    assert slope.device == there and torch.equal(slope.cpu(), 2 * here)


@pytest.mark.parametrize("defense", ALL, ids=named)
def test_defenses(defense: Defense) -> None:
    images = torch.rand((4, 3, 64, 48), generator=torch.Generator().manual_seed(1))
    wanted = defense(images)
    with gpu() as there:
        found = defense(images.to(there))
        assert found.device == there
    torch.testing.assert_close(found.cpu(), wanted, **PATIENCE)


@pytest.mark.parametrize("defense", SMOOTH, ids=named)
def test_defenses_gradients(defense: Defense) -> None:
    images = torch.rand((2, 3, 32, 24), generator=torch.Generator().manual_seed(1))
    upstream = torch.rand(images.shape, generator=torch.Generator().manual_seed(2)) - 0.5

    def slope(x: Tensor, along: Tensor) -> Tensor:
        return torch.autograd.grad(defense(x), x, along)[0]

    wanted = slope(images.clone().requires_grad_(), upstream)
    with gpu() as there:
        found = slope(images.to(there).requires_grad_(), upstream.to(there))
        assert found.device == there
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("adaptive", [False, True], ids=["bare", "adaptive"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(attack: Attack, adaptive: bool) -> None:
    def attacked(device: torch.device) -> attacks.AttackResult:
        classifier = curved().to(device)
        behind = Guarded(classifier, Chain(members=(Median(), Bilateral()))) if adaptive else classifier
        x = random_images().to(device)
        return attack(behind, x, predicted(classifier, x))

    wanted = attacked(torch.device("cpu"))
    with gpu() as there:
        found = attacked(there)
        assert found.images.device == there
    assert found.success.tolist() == wanted.success.tolist()
    # A flow begins at whole pixels, where its derivative is one-sided: on a real device a rounding of 1e-17 chooses the side.
    if not (REAL and attack.name == "bounded_flow"):
        torch.testing.assert_close(found.images.cpu(), wanted.images, **PATIENCE)


@pytest.mark.parametrize("name", ["pgd", "lavan", "universal_patch"])
def test_recipes_from_the_image_to_the_verdict(name: str) -> None:
    recipe = Recipe(
        domain="mnist",
        attack=Method(name=name, params=SHORT.get(name, {})),
        attacker="both",
        defenses=((Method(name="median"), Method(name="bitdepth")), (Method(name="lgs"),)),
    )
    wanted = run(recipe, device="cpu")
    with gpu() as there:
        found = run(recipe, device=str(there))
    assert found.device == str(there)
    same(found.attacked, wanted.attacked)
    same(found.columns, wanted.columns)


def same(found: object, wanted: object) -> None:
    """Two results, field by field, but for the time they took."""
    if isinstance(wanted, Tensor):
        assert isinstance(found, Tensor)
        torch.testing.assert_close(found.cpu(), wanted, **PATIENCE)
    elif isinstance(wanted, np.ndarray | float):
        np.testing.assert_allclose(found, wanted, atol=1e-4)  # type: ignore[arg-type]
    elif dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            if field.name != "seconds":
                same(getattr(found, field.name), getattr(wanted, field.name))
    elif isinstance(wanted, BaseModel):
        assert isinstance(found, type(wanted))
        same({**dict(found), "seconds": 0}, {**dict(wanted), "seconds": 0})
    elif isinstance(wanted, dict):
        assert isinstance(found, dict) and found.keys() == wanted.keys()
        same(list(found.values()), list(wanted.values()))
    elif isinstance(wanted, list | tuple):
        assert isinstance(found, type(wanted)) and len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == wanted


def test_evaluations(tmp_path: Path) -> None:
    quick = [Method(name=name, params=SHORT.get(name, {})) for name in ("pgd", "universal_patch")]
    plan = Plan(
        domain="mnist",
        n_images=7,
        batch=4,
        attacks=tuple(quick),
        target="3",
        defenses=((Method(name="lgs"),),),
        detectors=(Method(name="feature_squeezing"), Method(name="mask_disagreement")),
        save_images=3,
    )

    def judged(device: str) -> list[object]:
        with RunStore.create(plan, "cpu", tmp_path / f"{device}.sqlite") as run:
            assert evaluate(run, device=device)
            cells = {
                (task.attack, task.known_defense, judge)
                for task in tasks(plan)
                for judge in judged_defenses(plan, task)
            }
            return [run.cell(0, *cell) for cell in sorted(cells)] + [
                run.scores(0, number, detector) for number in (NO_ATTACK, 0, 1) for detector in (0, 1)
            ]

    wanted = judged("cpu")
    with gpu() as there:
        found = judged(str(there))
    assert len(wanted) == 14
    same(found, wanted)


@pytest.mark.parametrize("kind", ["masks", "squeezing"])
def test_detectors_and_who_knows_them(kind: str) -> None:
    digits = domains.get("mnist")
    images, labels = digits.sample(6, seed=1)

    def tried(device: str) -> object:
        classifier = digits.classifier("a", device)
        detector: Detector = FeatureSqueezing(classifier)
        if kind == "masks":
            detector = ConvolutionalMasks(classifier, weights="mnist_a_conv_3")
        return benchmark_detector(detector, PGD(eps=0.2, steps=3), images, labels, threshold=detector.threshold(images))

    wanted = tried("cpu")
    with gpu() as there:
        found = tried(str(there))
    same(found, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_class_maps(method: str) -> None:
    digits = domains.get("mnist")
    images, labels = digits.sample(2, seed=1)

    def mapped(device: str) -> object:
        classifier = digits.classifier("a", device)
        layer = next(found for found in layers.layers(classifier) if found.name == classifier.cam_layer)
        return class_maps(classifier, images, labels.tolist(), method=method, layer=layer)

    wanted = mapped("cpu")
    with gpu() as there:
        found = mapped(str(there))
    same(found, wanted)


def test_surfaces_regions_and_feature_noise() -> None:
    recipe = Recipe(
        domain="mnist",
        attack=Method(name="pgd", params={"eps": "76/255", "steps": 5}),
        defenses=((Method(name="median"),),),
    )

    def seen(device: str) -> list[object]:
        example = load_example(recipe, device=device)
        attacked = craft(recipe, example)
        names = [layer.name for layer in layers.by_depth(layers.layers(example.classifier))]
        return [
            loss_surface(recipe, example, 0.2),
            decision_regions(recipe, example, attacked),
            list(feature_noise(recipe, example, {"PGD": attacked.adversarial}, names).values()),
        ]

    wanted = seen("cpu")
    with gpu() as there:
        found = seen(str(there))
    same(found, wanted)
