"""The classifier's contract: normalization inside, eval mode and weights that nothing changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.models.classifier import Classifier

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(216, 4)
    )


def classifier(inner: nn.Module) -> Classifier:
    return Classifier(
        inner,
        name="tiny",
        title="Tiny",
        domain="photos",
        classes=("a", "b", "c", "d"),
        size=8,
        channels=3,
        mean=MEAN,
        std=STD,
        cam_layer="1",
    )


def random_images(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_normalization_inside_is_the_one_by_hand() -> None:
    inner, x = network().eval(), random_images()
    by_hand = torch.stack([(x[:, c] - MEAN[c]) / STD[c] for c in range(3)], 1)
    torch.testing.assert_close(classifier(inner)(x), inner(by_hand))


def test_nothing_switches_dropout_or_batch_statistics_on() -> None:
    model, x = classifier(network()), random_images()
    before, statistics = model(x), model.network[1].running_mean.clone()  # type: ignore[index, union-attr]
    assert model.train() is model and model.train(True) is model
    nn.Sequential(model).train()  # as a part of something that trains
    assert not any(module.training for module in model.modules())
    assert torch.equal(model(x), before)
    assert torch.equal(model.network[1].running_mean, statistics)  # type: ignore[index, union-attr]


def test_the_weights_are_frozen_and_the_gradient_reaches_the_image() -> None:
    model, x = classifier(network()), random_images().requires_grad_(True)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    model(x).sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_image_of_another_device_is_taken_to_the_classifiers() -> None:
    model = classifier(network()).to("meta")  # a second device that every machine has
    assert model.device.type == "meta"
    assert model(random_images()).device.type == "meta"


def test_it_knows_its_layers_and_what_an_attacker_differentiates() -> None:
    model = classifier(network())
    assert model.cam_module is model.network[1]  # type: ignore[index]
    assert model.surrogate is model
