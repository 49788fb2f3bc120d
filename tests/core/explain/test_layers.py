"""The layers that are offered can give a class map."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from core import domains
from core.explain.cam_similarity import is_empty
from core.explain.cams import class_maps
from core.explain.layers import layer, layers
from core.models.classifier import Classifier


def classifier_of(network: nn.Module, size: int, classes: int) -> Classifier:
    return Classifier(
        network.eval(),
        name="toy",
        title="Toy",
        domain="toy",
        classes=tuple(str(n) for n in range(classes)),
        size=size,
        channels=3,
        mean=[0.5] * 3,
        std=[0.5] * 3,
        cam_layer="",
    )


def vision_transformer(fresh: bool) -> nn.Module:
    network = models.VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5)
    if not fresh:  # torchvision begins with a head that is all zero
        nn.init.normal_(network.heads.head.weight)
    return network


def swin() -> nn.Module:
    return models.SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=5)


BUILT = {
    "vit": (lambda: vision_transformer(False), 32),
    "swin": (swin, 32),
    "resnet18": (lambda: models.resnet18(num_classes=5), 64),
    "squeezenet": (lambda: models.squeezenet1_1(num_classes=5), 64),
    "mobilenet": (lambda: models.mobilenet_v3_small(num_classes=5), 64),
    "convnext": (
        lambda: models.ConvNeXt(
            [models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, None, 1)], num_classes=5
        ),
        64,
    ),
}


@pytest.mark.parametrize("name", BUILT)
def test_every_layer_that_is_offered_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    build, size = BUILT[name]
    classifier = classifier_of(build(), size, 5)
    found = layers(classifier)
    images = torch.rand(4, 3, size, size)
    for one in (found[0], found[len(found) // 2], found[-1]):
        maps = class_maps(classifier, images, [0, 1, 2, 3], method="gradcam++", layer=one)
        assert any(not is_empty(values) for values in maps), one.title


@pytest.mark.parametrize("fresh", [False, True])
def test_a_vision_transformer_offers_nothing_behind_its_last_attention(fresh: bool) -> None:
    torch.manual_seed(0)
    classifier = classifier_of(vision_transformer(fresh), 32, 5)
    names = [one.name for one in layers(classifier)]
    last = "encoder.layers.encoder_layer_1"
    assert names[-1] == f"{last}.ln_1" and "encoder.layers.encoder_layer_0.ln_2" in names
    assert not {f"{last}.ln_2", f"{last}.mlp", last, "encoder.layers", "encoder.ln", "encoder"} & set(names)
    assert not fresh or not bool((classifier.network.heads.head.weight != 0).any()), "the twin was filled, not this"


class Opaque(nn.Module):
    """A network without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.second(self.first(x)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_network_without_a_gradient_keeps_all_its_layers() -> None:
    assert [one.name for one in layers(classifier_of(Opaque(), 8, 2))] == ["first", "second"]


@pytest.mark.parametrize("name", ["a", "b", "digits"])
def test_the_usual_layer_of_a_digit_classifier_gives_maps(name: str) -> None:
    domain = domains.get("mnist")
    classifier = domain.classifier(name, "cpu")
    images, _ = domain.sample(60, seed=0)
    usual = layer(layers(classifier), classifier.cam_layer)
    with torch.no_grad():
        seen = classifier(images).argmax(1).tolist()
    assert not any(is_empty(values) for values in class_maps(classifier, images, seen, layer=usual))


@pytest.mark.data
def test_the_usual_layer_of_the_default_gives_maps_on_mnist(data: Path) -> None:
    domain = domains.get("mnist")
    classifier = domain.classifier(device="cpu")
    images, _ = domain.sample(60, seed=0)
    usual = layer(layers(classifier), classifier.cam_layer)
    with torch.no_grad():
        seen = classifier(images).argmax(1).tolist()
    assert not any(is_empty(values) for values in class_maps(classifier, images, seen, layer=usual))
