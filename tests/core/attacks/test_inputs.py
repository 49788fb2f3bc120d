"""Every attack takes what a caller may hand in, or says in a sentence why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import Guarded, InvalidInput, attacks, defenses
from core.attacks import Attack, Criterion
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier, curved, random_images
from tests.core.attacks.test_contract import ATTACKS, predicted

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)
Change = Callable[[Tensor], Tensor]


def transposed(images: Tensor) -> Tensor:
    """The same images in another order of memory than either of torch's formats."""
    return images.transpose(2, 3).contiguous().transpose(2, 3)


FORMS: dict[str, Change] = {
    "float64": lambda x: x.double(),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": transposed,
    "repeated": lambda x: x[:1].expand(len(x), -1, -1, -1),
    "with a gradient": lambda x: x.clone().requires_grad_(True),
    "in a graph": lambda x: x.clone().requires_grad_(True) * 1,
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_works_without_gradients_of_the_caller(attack: Attack, mode: Callable[[], Any]) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    wanted = attack(model, x, y)
    with mode():
        found = attack(model, x.clone(), y.clone())
        for step in attack.steps(model, x, y):
            assert not torch.is_grad_enabled() and torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
            assert not step.images.requires_grad
            break
    assert torch.equal(found.images, wanted.images) and torch.equal(found.success, wanted.success)
    made = [found.images, found.success, found.steps, found.logits, *found.extras.values()]
    assert not any(tensor.is_inference() or tensor.requires_grad for tensor in made)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_takes_tensors_made_in_inference_mode(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    with torch.inference_mode():
        images, labels, made = x.clone(), y.clone(), curved()
    assert torch.equal(attack(made, images, labels).images, attack(model, x, y).images)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_form_of_the_images_changes_nothing(attack: Attack) -> None:
    model = curved()
    for name, change in FORMS.items():
        x = random_images()
        x = x[:1].repeat(len(x), 1, 1, 1) if name == "repeated" else x
        y = predicted(model, x)
        wanted, found = attack(model, x, y), attack(model, change(x), y)
        assert found.images.dtype == torch.float32 and not found.images.requires_grad, name
        assert torch.allclose(found.images, wanted.images, atol=1e-5), name
        assert torch.equal(found.success, wanted.success), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("attack", ATTACKS)
def test_images_of_16_bits_are_attacked_as_the_same_values_of_32(attack: Attack, dtype: torch.dtype) -> None:
    model, x = curved(), random_images().to(dtype)
    y = predicted(model, x)
    found, wanted = attack(model, x, y), attack(model, x.float(), y)
    assert torch.equal(found.images, wanted.images) and found.images.dtype == torch.float32
    assert torch.equal(found.success, wanted.success) and bool(found.logits.isfinite().all())


@pytest.mark.parametrize("attack", ATTACKS)
def test_labels_and_targets_of_any_integer_type_are_taken(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    chosen = y != 3
    aims = torch.full_like(y[chosen], 3)
    plain, toward = attack(model, x, y), attack(model, x[chosen], y[chosen], Criterion(aims))
    for dtype in INTEGERS:
        assert torch.equal(attack(model, x, y.to(dtype)).images, plain.images), dtype
        found = attack(model, x[chosen], y[chosen].to(dtype), Criterion.toward(aims.to(dtype)))
        assert torch.equal(found.images, toward.images), dtype


def one_class() -> Classifier:
    return classifier(nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), 1)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_cannot_be_attacked_gets_a_sentence(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    refused: list[tuple[Any, Any, Any, Any, str]] = [
        (model, x[:, :1], y, None, "takes color images with 3 channels"),
        (model, x[:, :, :7], y, None, "takes images of 8×8 pixels"),
        (model, torch.cat([x, x], 3), y, None, "takes images of 8×8 pixels"),
        (model, x[:0], y[:0], None, "empty"),
        (model, (x * 255).byte(), y, None, "floats"),
        (model, x * 255, y, None, "divide 8-bit values by 255"),
        (model, x.half() / 0, y, None, "NaN or infinite"),
        (model, x.numpy(), y, None, "torch tensor"),
        (model, x, y.bool(), None, "one class number"),
        (model, x, y.float(), None, "one class number"),
        (model, x, y.tolist(), None, "one class number"),
        (model, x, y[:, None], None, "one class number"),
        (model, x, y[:2], None, "6 images and 2 labels"),
        (model, x, y - 5, None, "is no class"),
        (model, x, y.to(torch.uint8) + 250, None, "is no class"),
        (model, x, y, Criterion((y + 1).float()), "targets must be"),
        (model, x, y, Criterion(y + 4), "is no class"),
        (model, x, y, (y + 1) % 4, "Criterion.toward"),
        (one_class(), x, torch.zeros_like(y), None, "one class"),
        (nn.Flatten(), x, y, None, "Classifier.wrap"),
    ]
    for given, images, labels, goal, words in refused:
        for run in (attack, lambda *args: list(attack.steps(*args))):
            with pytest.raises(InvalidInput, match=words) as refusal:
                run(given, images, labels, goal)  # type: ignore[operator]
            assert "\n" not in str(refusal.value)


class Broken(nn.Module):
    """Logits that are NaN, or infinite, for the images whose first value is above a limit."""

    def __init__(self, value: float, limit: float = -1.0) -> None:
        super().__init__()
        self.value, self.limit, self.inner = value, limit, curved().network

    def forward(self, x: Tensor) -> Tensor:
        logits = self.inner(x)
        return torch.where((x[:, :1, 0, 0] > self.limit), torch.full_like(logits, self.value), logits)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_classifier_without_an_answer_is_refused_not_fooled(attack: Attack, value: float) -> None:
    model, x = classifier(Broken(value), 4), random_images()
    with pytest.raises(InvalidInput, match="NaN or infinite logits for 6 of 6"):
        attack(model, x, torch.arange(6) % 4)
    behind = Guarded(curved(), defenses.BitDepth(bits=1), "none")
    behind.classifier = model
    assert not bool(Criterion().satisfied(behind(x), torch.ones(6, dtype=torch.int64)).any())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_change_that_breaks_the_classifier_is_no_success(attack: Attack, value: float) -> None:
    """The classifier answers for clean images and breaks where the first value rises."""
    x = random_images()
    x[:, :, 0, 0] = 0.5
    model = classifier(Broken(value, limit=0.5001), 4)
    y = predicted(model, x)
    result = attack(model, x, y)
    assert bool(result.images.isfinite().all())
    assert not bool((result.success & ~result.logits.isfinite().all(1)).any())
    assert not bool((result.success & (result.logits.argmax(1) == y)).any())


def test_nan_names_no_class() -> None:
    logits = torch.tensor([[torch.nan, 1.0], [0.0, torch.nan], [torch.inf, 0.0], [0.0, -torch.inf], [0.0, 1.0]])
    labels = torch.zeros(5, dtype=torch.int64)
    assert Criterion().satisfied(logits, labels).tolist() == [False, False, False, False, True]
    assert Criterion(1 - labels).satisfied(logits, labels).tolist() == [False, False, False, False, True]
    assert not bool(Criterion().satisfied(logits[:4], 1 - labels[:4]).any())


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_network_without_a_gradient_is_survived(attack: Attack) -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = curved().network

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.detach())  # type: ignore[no-any-return]

    model, x = classifier(Cut(), 4), random_images()
    assert bool(attack(model, x, predicted(model, x)).images.isfinite().all())


def test_the_registry_was_tried_whole() -> None:
    assert {str(parameter.id) for parameter in ATTACKS} == set(attacks.names())
