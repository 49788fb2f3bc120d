"""Class maps: equal to the papers' formulas on a network built by hand, and nothing of them stays behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import InvalidInput, domains
from core.explain.cams import METHODS, Stopped, class_maps
from core.explain.layers import Layer, as_maps, by_depth, layer, layers
from core.models.classifier import Classifier
from core.models.copying import twin
from core.progress import Progress

SIZE, CHANNELS, CLASSES = 6, 5, 3
LAYERED = [name for name, method in METHODS.items() if not method.ignores_layer]


class TwoLayers(nn.Module):
    """A convolution, a ReLU, a second convolution, a ReLU written as a function, the mean over places, one linear layer."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=inplace)
        self.second = nn.Conv2d(4, CHANNELS, 3, padding=1)
        self.head = nn.Linear(CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = F.relu(self.second(self.relu(self.first(x))))
        return self.head((hidden**2).mean((2, 3)))  # type: ignore[no-any-return]


def classifier_of(network: nn.Module, size: int = SIZE, channels: int = 1, cam_layer: str = "second") -> Classifier:
    return Classifier(
        network,
        name="toy",
        title="Toy",
        domain="toy",
        classes=tuple("abc"),
        size=size,
        channels=channels,
        mean=[0.4] * channels,
        std=[0.5] * channels,
        cam_layer=cam_layer,
    )


@pytest.fixture
def toy() -> Classifier:
    torch.manual_seed(3)
    return classifier_of(TwoLayers())


@pytest.fixture
def images() -> Tensor:
    return torch.rand((2, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(0))


def scaled(maps: Tensor) -> np.ndarray:
    """ReLU, then each map from its least to its largest value onto [0, 1], as pytorch-grad-cam shows them."""
    maps = maps.clamp(min=0)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-12)).numpy()


def parts(toy: Classifier, images: Tensor, classes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The second convolution's activations, their gradients, and the scores, by autograd alone."""
    network = toy.network
    activations = network.second(network.relu(network.first((images - 0.4) / 0.5))).detach().requires_grad_(True)
    logits = network.head((F.relu(activations) ** 2).mean((2, 3)))
    scores = logits[torch.arange(len(images)), classes]
    (slopes,) = torch.autograd.grad(scores.sum(), activations)
    return activations.detach(), slopes, scores.detach()


def score(toy: Classifier, activations: Tensor, number: int) -> float:
    return float(toy.network.head((F.relu(activations) ** 2).mean((2, 3)))[0, number])


def formula(method: str, toy: Classifier, images: Tensor, classes: list[int]) -> np.ndarray:
    """The papers' own words, one image and one channel at a time."""
    a, g, scores = parts(toy, images, classes)
    result = torch.zeros(len(images), SIZE, SIZE)
    for n in range(len(images)):
        if method == "eigencam":
            flat = a[n].flatten(1).T.double()
            flat = flat - flat.mean(0)
            along = (flat @ torch.linalg.eigh(flat.T @ flat).eigenvectors[:, -1]).view(SIZE, SIZE)
            result[n] = along if along.max() >= -along.min() else -along
            continue
        for k in range(CHANNELS):
            if method == "gradcam":
                result[n] += g[n, k].mean() * a[n, k]
            elif method == "hirescam":
                result[n] += g[n, k] * a[n, k]
            elif method == "layercam":
                result[n] += g[n, k].clamp(min=0) * a[n, k]
            elif method == "xgradcam":
                result[n] += (g[n, k] * a[n, k]).sum() / (a[n, k].sum() + 1e-7) * a[n, k]
            elif method == "gradcam++":
                squares, cubes = g[n, k] ** 2, g[n, k] ** 3
                alpha = squares / (2 * squares + a[n, k].sum() * cubes + 1e-6)
                alpha = torch.where(g[n, k] != 0, alpha, torch.zeros(()))
                result[n] += (alpha * g[n, k].clamp(min=0)).sum() * a[n, k]
            elif method == "ablationcam":
                without = a[n : n + 1].clone()
                without[0, k] = 0
                fall = (scores[n] - score(toy, without, classes[n])) / scores[n].abs()
                result[n] += fall * a[n, k]
        if method == "scorecam":
            through = []
            for k in range(CHANNELS):
                low, high = a[n, k].min(), a[n, k].max()
                with torch.no_grad():
                    seen = toy(images[n : n + 1] * (a[n, k] - low) / (high - low + 1e-8))
                through.append(seen[0, classes[n]])
            weights = torch.stack(through).softmax(0)
            result[n] = (weights[:, None, None] * a[n]).sum(0)
    return scaled(result)


@pytest.mark.parametrize("classes", [[0, 0], [2, 1]])
@pytest.mark.parametrize("method", LAYERED)
def test_a_network_by_hand_gives_the_papers_formula(
    method: str, classes: list[int], toy: Classifier, images: Tensor
) -> None:
    found = class_maps(toy, images, classes, method=method, layer=layer(layers(toy), "second"))
    wanted = formula(method, toy, images, classes)
    assert found.shape == (2, SIZE, SIZE) and wanted.max() > 0
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_ablation_of_a_class_with_a_negative_score_is_not_its_own_negative(toy: Classifier, images: Tensor) -> None:
    scores = parts(toy, images, [0, 0])[2]
    lowered = classifier_of(toy.network)
    with torch.no_grad():
        lowered.network.head.bias -= scores.max() + 5
    assert bool((parts(lowered, images, [0, 0])[2] < 0).all())
    found = class_maps(lowered, images, [0, 0], method="ablationcam", layer=layer(layers(toy), "second"))
    np.testing.assert_allclose(found, formula("ablationcam", lowered, images, [0, 0]), atol=2e-4)


def test_guided_backprop_lets_back_only_what_is_positive(toy: Classifier, images: Tensor) -> None:
    found = class_maps(toy, images, [1, 2], method="guided", layer=layers(toy)[0])
    network = toy.network
    for n, number in enumerate((1, 2)):
        x = (images[n : n + 1] - 0.4) / 0.5
        first = network.first(x)
        second = network.second(first.clamp(min=0))
        back = network.head.weight[number].view(1, -1, 1, 1) * 2 * second.clamp(min=0) / SIZE**2
        back = back.clamp(min=0) * (second > 0)
        back = F.conv_transpose2d(back, network.second.weight, padding=1)
        back = back.clamp(min=0) * (first > 0)
        slope = (F.conv_transpose2d(back, network.first.weight, padding=1) / 0.5)[0, 0].abs()
        top = torch.quantile(slope.flatten(), 0.995)
        np.testing.assert_allclose(found[n], (slope / top).clamp(max=1).numpy(), atol=1e-5)


def test_guided_backprop_minds_relu6_and_refuses_where_there_is_no_relu(images: Tensor) -> None:
    torch.manual_seed(0)
    capped = classifier_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(64, 3)))
    found = class_maps(capped, images, [0, 1], method="guided", layer=layers(capped)[0])
    assert found.max() == 1
    smooth = classifier_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(64, 3)))
    with pytest.raises(InvalidInput, match="needs ReLUs"):
        class_maps(smooth, images, [0, 1], method="guided", layer=layers(smooth)[0])


def test_a_relu_that_writes_in_place_changes_nothing(images: Tensor) -> None:
    torch.manual_seed(3)
    network = TwoLayers(inplace=True)
    hard = classifier_of(network)
    torch.manual_seed(3)
    soft = classifier_of(TwoLayers())
    for method in LAYERED:
        one, other = (
            class_maps(c, images, [0, 1], method=method, layer=layer(layers(c), "first")) for c in (hard, soft)
        )
        np.testing.assert_array_equal(one, other)
    assert network.relu.inplace, "the classifier itself stays as it is"


@pytest.mark.parametrize("method", list(METHODS))
def test_nothing_stays_behind(method: str, toy: Classifier, images: Tensor) -> None:
    with torch.no_grad():
        before = toy(images)
    class_maps(toy, images, [0, 1], method=method, layer=layer(layers(toy), "second"))
    for module in toy.modules():
        assert not module._forward_hooks and not module._backward_hooks and not module.training
    assert all(p.grad is None and not p.requires_grad for p in toy.parameters())
    assert images.grad is None and not images.requires_grad
    assert torch.equal(toy(images), before)


def test_two_users_at_once_never_mix(toy: Classifier) -> None:
    chance = torch.Generator().manual_seed(1)
    images = [torch.rand((1, 1, SIZE, SIZE), generator=chance) for _ in range(12)]
    where = layer(layers(toy), "second")
    for method in ("gradcam", "ablationcam", "guided"):
        alone = [class_maps(toy, image, [0], method=method, layer=where) for image in images]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda p: class_maps(toy, p, [0], method=method, layer=where), images))  # noqa: B023
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["photos", "mnist"])
def test_maps_of_constant_images_are_finite(name: str, value: float) -> None:
    classifier = domains.get(name).classifier(device="cpu")
    image = torch.full((1, classifier.channels, classifier.size, classifier.size), value)
    where = layer(layers(classifier), classifier.cam_layer)
    for method in METHODS:
        if METHODS[method].needs_forward_per_channel and name == "photos":
            continue  # a pass a channel: the digits' network tells as much
        found = class_maps(classifier, image, [0], method=method, layer=where)
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_every_pass_is_reported_and_can_stop_it(toy: Classifier, images: Tensor) -> None:
    seen: list[Progress] = []
    where = layer(layers(toy), "second")
    class_maps(toy, images, [0, 1], method="scorecam", layer=where, on_progress=seen.append)
    assert [one.done for one in seen] == list(range(len(seen))) and len(seen) >= 4
    assert {(one.text, one.total) for one in seen} == {("Class maps", seen[0].total)}
    with pytest.raises(Stopped):
        class_maps(toy, images, [0, 1], method="scorecam", layer=where, on_progress=lambda one: one.done >= 2)
    assert not any(module._forward_hooks for module in toy.modules())


def test_what_cannot_be_is_one_sentence(toy: Classifier, images: Tensor) -> None:
    with pytest.raises(InvalidInput, match="no class map called 'cam'"):
        class_maps(toy, images, [0, 1], method="cam", layer=layers(toy)[0])
    with pytest.raises(InvalidInput, match="no layer called 'third'"):
        layer(layers(toy), "third")
    large = Layer("second", "Conv2d", CHANNELS, 65, 65)
    with pytest.raises(InvalidInput, match="64 × 64"):
        class_maps(toy, images, [0, 1], method="eigencam", layer=large)
    many = Layer("second", "Conv2d", 10**8, SIZE, SIZE)
    with pytest.raises(InvalidInput, match="too much memory"):
        class_maps(toy, images, [0, 1], method="scorecam", layer=many)


def test_transformers_have_maps_too() -> None:
    from torchvision.models import SwinTransformer, VisionTransformer

    torch.manual_seed(0)
    vit = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=32, num_classes=3
    )
    nn.init.normal_(vit.heads.head.weight)  # torchvision begins with zeros, which have no gradient
    swin = SwinTransformer([4, 4], 12, [1, 1], [2, 2], [4, 4], num_classes=3)
    images = torch.rand(2, 3, 32, 32)
    for network, name, side in ((vit, "encoder.layers.encoder_layer_1.ln_1", 4), (swin, "features.1", 8)):
        classifier = classifier_of(network, 32, 3, name)
        found = layers(classifier)
        where = layer(found, name)
        assert (where.height, where.width) == (side, side)
        for method in ("gradcam", "hirescam", "layercam", "eigencam", "ablationcam", "scorecam"):
            maps = class_maps(classifier, images, [0, 1], method=method, layer=where)
            assert maps.shape == (2, 32, 32) and np.isfinite(maps).all()
            assert maps.max() > 0 or method != "layercam"
        assert len(by_depth(found)) >= 2


def test_tokens_become_maps_in_their_order() -> None:
    tokens = torch.arange(2 * 10 * 3).view(2, 10, 3).float()
    maps = as_maps(tokens)
    assert maps.shape == (2, 3, 3, 3)
    assert torch.equal(maps[1, :, 2, 0], tokens[1, 1 + 2 * 3 + 0]), "the class token is left out"
    assert torch.equal(as_maps(tokens[:, 1:])[0, :, 0, 1], tokens[0, 2])
    last = torch.rand(1, 5, 5, 7)
    assert torch.equal(as_maps(last), last.permute(0, 3, 1, 2))
    with pytest.raises(InvalidInput, match="makes no maps"):
        as_maps(torch.zeros(2, 8, 3))


def test_a_twin_has_its_own_modules_and_the_same_weights(toy: Classifier) -> None:
    other = twin(toy)
    assert all(a is b for a, b in zip(toy.parameters(), other.parameters(), strict=True))
    assert not set(map(id, toy.modules())) & set(map(id, other.modules()))
