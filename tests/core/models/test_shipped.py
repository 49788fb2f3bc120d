"""What ships: every file fits its card, and every card says what the file does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core import attacks as attack_methods
from core import defenses, domains
from core.domains.mnist import fallback_digits
from core.models import artifacts
from core.models.card_metrics import WORST_CASE
from core.models.cards import Card
from core.models.classifier import Classifier
from core.training import PLANS

SHIPPED = sorted(path.stem for path in artifacts.WEIGHTS.glob("*.json"))
LEAST = {  # of the test images that each one has to get right
    "photos_photonet": 1.0,
    "mnist_a": 0.99,
    "mnist_b": 0.99,
    "mnist_digits": 0.97,
    "cifar10_resnet": 0.92,
    "cifar10_vgg": 0.91,
    "cifar10_alexnet": 0.83,
    "imagenette_resnet": 0.88,
    "mnist_cnn": 0.99,
    "mnist_vgg": 0.99,
    "mnist_mlp": 0.98,
    "mnist_mlp_certified": 0.91,
    "cifar10_gray_cnn": 0.72,
    "cifar10_gray_vgg": 0.75,
    "cifar10_resnet_robust": 0.77,
    "cifar10_resnet_alp": 0.82,
    "cifar10_resnet_clp": 0.92,
    "mnist_a_robust": 0.99,
    "mnist_cnn_robust": 0.98,
    "cifar10_gray_cnn_robust": 0.7,
    "imagenette_resnet_robust": 0.82,
    "imagenette_resnet_alp": 0.74,
    "imagenette_resnet_clp": 0.86,
}
MEGABYTE = 1_000_000


def shipped(key: str) -> Classifier:
    domain = card_of(key).domain
    return domains.get(domain).classifier(key.removeprefix(f"{domain}_"), "cpu")


def card_of(key: str) -> Card:
    return artifacts.find_artifact("classifier", key).card


def written(key: str) -> nn.Module:
    """The network as it lies in the file."""
    model = artifacts.build_network(artifacts.find_artifact("classifier", key), len(shipped(key).classes))
    return model.eval()


def right(classifier: Classifier, images: Tensor, labels: Tensor) -> int:
    with torch.inference_mode():
        return sum(
            int((classifier(x).argmax(1) == y).sum()) for x, y in zip(images.split(50), labels.split(50), strict=True)
        )


def test_weights_and_cards_come_in_pairs_and_stay_small() -> None:
    files = sorted(artifacts.WEIGHTS.glob("*.safetensors"))
    assert [path.stem for path in files] == SHIPPED
    assert set(SHIPPED) <= set(PLANS)
    assert max(path.stat().st_size for path in files) <= 16 * MEGABYTE
    assert sum(path.stat().st_size for path in artifacts.WEIGHTS.rglob("*.safetensors")) <= 90 * MEGABYTE


def test_what_is_shipped_is_listed_with_the_default_first() -> None:
    assert domains.get("photos").classifier_names() == ("photonet",)
    assert set(domains.get("mnist").classifier_names()) == (
        {"a", "b", "cnn", "digits", "vgg", "a_robust", "cnn_robust", "mlp", "mlp_certified"}
    )
    names = ("resnet", "vgg", "alexnet", "resnet_alp", "resnet_clp", "resnet_robust")
    assert domains.get("cifar10").classifier_names() == names
    assert artifacts.list_artifacts("classifier", "nowhere") == ()


def test_what_ships_is_the_file_that_its_card_means() -> None:
    for path in artifacts.WEIGHTS.rglob("*.safetensors"):
        card = artifacts.read_artifact(path.parent, path.stem).card
        assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest(), path.name
        assert card.licence and card.plan in PLANS


@pytest.mark.parametrize("key", SHIPPED)
def test_a_file_loads_strictly_and_fits_its_card(key: str) -> None:
    model, card = shipped(key), card_of(key)
    assert sum(p.numel() for p in written(key).parameters()) == card.parameters
    assert all(p.dtype == torch.float32 for p in model.parameters())
    seen: list[torch.Size] = []
    if card.cam_layer:
        handle = model.cam_module.register_forward_hook(lambda _m, _i, output: seen.append(output.shape))
    with torch.inference_mode():
        logits = model(torch.rand(2, card.channels, card.size, card.size))
    assert logits.shape == (2, len(model.classes)) and bool(logits.isfinite().all())
    assert (card.size, card.channels) == (domains.get(model.domain).size, domains.get(model.domain).channels)
    if not card.cam_layer:
        assert card.architecture == "two_layer", "every network with a convolution names a layer for class maps"
        return
    handle.remove()
    assert len(seen) == 1 and len(seen[0]) == 4 and min(seen[0][2:]) > 1, "Grad-CAM needs a map, not a vector"


@pytest.mark.parametrize("key", SHIPPED)
def test_what_runs_says_what_the_network_in_the_file_says(key: str) -> None:
    """Fewer layers and another memory layout: the same logits, one image or several, and the same gradient."""
    model, card = shipped(key), card_of(key)
    in_file = written(key)
    state = load_file(artifacts.WEIGHTS / f"{key}.safetensors")
    in_file.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in state.items()})
    kept = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert kept == (3 if key.startswith("cifar10_resnet") else 0), (
        "three of its norms follow a max-pool, not a convolution"
    )
    x = torch.rand(3, card.channels, card.size, card.size, generator=torch.Generator().manual_seed(0))
    if (
        key == "cifar10_gray_cnn_robust"
    ):  # it answers noise of the whole range with equal scores, and without a gradient
        x = 0.4 + 0.2 * x
    for part in (x, x[:1]):
        ours, theirs = part.clone().requires_grad_(), part.clone().requires_grad_()
        said, wanted = model(ours), in_file((theirs - model.mean) / model.std)
        torch.testing.assert_close(said, wanted, rtol=1e-4, atol=1e-4)
        slope, reference = (
            torch.autograd.grad(logits.logsumexp(1).sum(), pixels)[0]
            for logits, pixels in ((said, ours), (wanted, theirs))
        )
        assert float((slope - reference).norm() / reference.norm()) < 1e-3


@pytest.mark.parametrize("key", SHIPPED)
def test_a_card_names_its_data_its_command_and_an_accuracy_that_is_good_enough(key: str) -> None:
    card = card_of(key)
    assert card.data and card.command.startswith(f"python -m core train {key} ")
    measured = card.metrics[0]
    assert measured.what == "right on the test images"
    assert measured.value == pytest.approx(measured.correct / measured.count)
    assert measured.value >= LEAST[key]


LEAST_ATTACKED = {
    "cifar10_resnet_robust": {"PGD-20": 0.38, WORST_CASE: 0.35},
    "cifar10_resnet_alp": {"PGD-20": 0.38, WORST_CASE: 0.3},
    "mnist_a_robust": {"PGD-20": 0.9, WORST_CASE: 0.88},
    "mnist_cnn_robust": {"PGD-100": 0.8, WORST_CASE: 0.78},
    "imagenette_resnet_robust": {"PGD-20": 0.25, WORST_CASE: 0.08},
    "imagenette_resnet_alp": {"PGD-20": 0.3, WORST_CASE: 0.25},
}  # on the cards, of a network that was trained for the attack


SHORT = {("imagenette_resnet_alp", WORST_CASE): "24.9 % of 1,000 images (22.3-27.7); the bound came from 28 of 100"}


@pytest.mark.parametrize(
    ("key", "what"),
    [
        pytest.param(
            *place,
            marks=[pytest.mark.xfail(strict=True, reason=SHORT[place])] if place in SHORT else [],
            id=" ".join(place),
        )
        for place in ((key, what) for key, bounds in LEAST_ATTACKED.items() for what in bounds)
    ],
)
def test_a_robust_classifiers_card_has_an_accuracy_under_attack_that_is_good_enough(key: str, what: str) -> None:
    metric = next(metric for metric in card_of(key).metrics if metric.what == what)
    assert metric.value >= LEAST_ATTACKED[key][what]


@pytest.mark.parametrize("key", LEAST_ATTACKED)
def test_a_robust_classifiers_card_is_measured_on_1000_images(key: str) -> None:
    metrics = {metric.what: metric for metric in card_of(key).metrics}
    assert all((metrics[what].count or 0) >= 1000 for what in LEAST_ATTACKED[key])


def test_every_accuracy_under_attack_names_its_budget() -> None:
    for path in artifacts.WEIGHTS.rglob("*.json"):
        for metric in artifacts.read_artifact(path.parent, path.stem).card.metrics:
            in_ball = metric.what.startswith(("FGSM", "PGD", "APGD", "worst case"))
            assert (metric.eps is not None) == in_ball, (path.stem, metric.what)


def test_photonet_knows_all_its_photographs_and_says_that_it_knows_nothing_else() -> None:
    images, labels = domains.get("photos").sample(17)
    assert right(shipped("photos_photonet"), images, labels) == 17
    assert "nothing else" in card_of("photos_photonet").description


def test_photonet_shows_the_papers_phenomena() -> None:
    images, labels = domains.get("photos").sample(17)
    model, smoothing = shipped("photos_photonet"), defenses.LGS()
    assert int(attack_methods.PGD(eps=8 / 255, steps=40)(model, images, labels).success.sum()) >= 0.9 * 17
    patched = attack_methods.LaVAN(area=0.09)(model, images, labels)  # seed 0, the hardest of 0 to 4
    fooled = patched.success
    assert int(fooled.sum()) >= 0.7 * 17
    with torch.inference_mode():
        assert int((model(smoothing(patched.images[fooled])).argmax(1) == labels[fooled]).sum()) >= 2 / 3 * fooled.sum()
        assert int((model(smoothing(images)).argmax(1) == labels).sum()) >= 0.75 * 17


def test_the_digits_card_is_reproduced_to_the_image() -> None:
    pixels, labels = fallback_digits(train=False)
    measured = card_of("mnist_digits").metrics[0]
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    assert len(labels) == measured.count
    assert right(shipped("mnist_digits"), images, torch.from_numpy(labels)) == measured.correct


@pytest.mark.parametrize("key", [key for key in SHIPPED if key not in ("photos_photonet", "mnist_digits")])
def test_a_card_is_reproduced_on_a_sample(data: Path, key: str) -> None:
    domain = card_of(key).domain
    count = 150 if domain == "imagenette" else 400
    images, labels = domains.get(domain).sample(count, seed=3)
    share = card_of(key).metrics[0].value
    spread = (share * (1 - share) / count) ** 0.5
    assert right(shipped(key), images, labels) / count == pytest.approx(share, abs=4 * spread + 1 / count)
