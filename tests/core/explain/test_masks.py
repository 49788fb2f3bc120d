"""Attention masks: the loss, its optimum where that is known, and what ships."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from core import InvalidInput, domains
from core.explain import masks
from core.explain.masks import (
    Attention,
    Convolutional,
    FullyConnected,
    LeNet,
    attention_loss,
    cross_entropy,
    mix_noise,
    squared_error,
)
from core.models import artifacts
from core.training import Trainer, TrainingPlan, find_plan

FOLDER = artifacts.WEIGHTS / "masks"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_loss_is_equation_9() -> None:
    chance = torch.Generator().manual_seed(0)
    outputs, clean = torch.randn((4, 3), generator=chance), torch.randn((4, 3), generator=chance)
    noise_mask = torch.rand((4, 1, 5, 5), generator=chance)
    found = attention_loss(outputs, clean, noise_mask, 2.5)
    for n in range(4):
        likely = clean[n].softmax(0)
        wanted = -float((likely * outputs[n].log_softmax(0)).sum()) - 2.5 * float(noise_mask[n].mean())
        assert float(found[n]) == pytest.approx(wanted, rel=1e-5)
    assert torch.allclose(squared_error(outputs, clean), ((outputs - clean) ** 2).sum(1))
    assert cross_entropy(clean, clean).shape == (4,)


def test_corruption_is_equation_8() -> None:
    image, noise_mask, noise = torch.rand(2, 1, 3, 3), torch.rand(2, 1, 3, 3), torch.rand(2, 1, 3, 3)
    assert torch.allclose(mix_noise(image, noise_mask, noise), noise * noise_mask + image * (1 - noise_mask))
    assert torch.equal(mix_noise(image, torch.zeros_like(image), noise), image)


def fit(
    generator: torch.nn.Module,
    classifier: torch.nn.Module,
    images: Tensor,
    beta: float,
    distance: str = "squared_error",
    seed: int = 0,
    **stage: object,
) -> None:
    values = find_plan("masks_mnist_a_fc_3").model_dump()
    objective = {"name": "attention_masks", "params": {"beta": beta, "distance": distance}}
    plan = TrainingPlan(**values | {"seed": seed, "stages": [values["stages"][0] | {"objective": objective} | stage]})
    networks = {"generator": generator, "classifier": classifier}
    Trainer(plan, networks, (images, torch.zeros(len(images), dtype=torch.int64)), torch.device("cpu")).fit()


def test_the_generator_finds_the_optimum_of_a_linear_network() -> None:
    """F(x) = w·x, squared distance, x at the noise's mean: E(Σ w A (η − x))² − β·mean(A) is least at A = β / (2·d·w²·σ²), cut to [0, 1]."""
    side, beta = 4, 0.4
    weights = torch.linspace(0.2, 1.4, side * side)
    wanted = (beta / (2 * side * side * weights**2 / 12)).clamp(0, 1).view(side, side)
    assert float(wanted.min()) > 0.05 and int((wanted == 1).sum()) >= 2 and int((wanted < 0.9).sum()) >= 8

    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(side * side, 1, bias=False)).requires_grad_(False)
    linear[1].weight.copy_(weights[None])

    torch.manual_seed(0)
    generator = FullyConnected(1, side, hidden=32)
    images = torch.full(
        (4096, 1, side, side), 128, dtype=torch.uint8
    )  # as near to the mean of the noise as 8 bits come
    fit(generator, linear, images, beta, epochs=60, batch=512, max_lr=3e-3, mixed_precision=False)
    with torch.no_grad():
        found = generator(images[:1].float() / 255)[0, 0]
    assert torch.allclose(found, wanted, atol=0.06), (found - wanted).abs().max()


def test_training_does_not_touch_the_classifier_and_repeats() -> None:
    classifier = domains.get("mnist").classifier("a", "cpu")
    images = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8)
    before = [p.clone() for p in classifier.parameters()]

    def trained(seed: int) -> Tensor:
        torch.manual_seed(seed)
        generator = masks.build_generator("conv", classifier)
        fit(generator, classifier, images, 3.0, "cross_entropy", seed, epochs=1, batch=32)
        with torch.no_grad():
            found: Tensor = generator(images[:1].float() / 255)
        return found

    assert torch.equal(trained(0), trained(0)) and not torch.equal(trained(0), trained(1))
    assert all(torch.equal(a, b) for a, b in zip(before, classifier.parameters(), strict=True))
    assert all(p.grad is None for p in classifier.parameters())


def test_the_convolutional_generator_reads_what_the_classifier_computes() -> None:
    classifier = domains.get("cifar10").classifier("alexnet", "cpu")
    torch.manual_seed(0)
    generator = Convolutional(classifier).eval()
    images = torch.rand(2, 3, 32, 32).requires_grad_(True)
    seen = generator._seen(images)
    assert [tuple(level.shape[1:]) for level in seen] == [(128, 4, 4), (128, 8, 8), (128, 16, 16), (48, 32, 32)]
    assert torch.allclose(classifier.network.head(seen[0]), classifier(images), atol=1e-5)  # type: ignore[operator]
    noise_mask = generator(images)
    (slope,) = torch.autograd.grad(noise_mask.sum(), images)
    assert bool(slope.isfinite().all()) and float(slope.abs().max()) > 0, "an attacker who knows it can climb it"
    ours = sum(p.numel() for p in generator.parameters())
    assert ours < 40_000, "the classifier's weights are the classifier's"
    assert not any(p.requires_grad for p in classifier.parameters())
    with pytest.raises(InvalidInput, match="no sequence of convolutions"):
        Convolutional(domains.get("photos").classifier(device="cpu"))


def test_what_ships_is_listed_the_papers_first() -> None:
    assert masks.names("photos") == ()
    for domain, classifier in (("mnist", "a"), ("cifar10", "alexnet")):
        names = masks.names(domain)
        assert names == tuple(f"{domain}_{classifier}_{kind}_{beta}" for kind in ("fc", "conv") for beta in (1, 3, 9))
    assert masks.find("mnist", "fc", 3) == "mnist_a_fc_3"
    with pytest.raises(InvalidInput, match="β 2"):
        masks.find("mnist", "fc", 2)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_generator_fits_its_card(name: str) -> None:
    found, about = masks.load(name), masks.card(name)
    images = torch.rand(3, about.channels, about.size, about.size)
    mask = found.mask(images)
    assert mask.shape == images.shape and float(mask.min()) >= 0 and float(mask.max()) <= 1
    assert torch.allclose(mask, 1 - found.noise_mask(images))
    assert found.classify_mask(images).shape == (3, 10) and torch.allclose(
        found.classify_mask(images), found.reader(mask)
    )
    assert sum(p.numel() for p in found.generator.parameters()) == about.parameters
    assert not any(p.requires_grad for p in found.parameters()) and not found.training
    assert (FOLDER / f"{name}.safetensors").stat().st_size < 16e6
    if about.architecture == "fc":
        assert sum(isinstance(layer, torch.nn.Linear) for layer in found.generator.modules()) == 3
    assert f"train masks_{name} " in about.command
    assert about.metrics[0].value > 0.2 and 0.05 < about.metrics[2].value < 0.99, "neither all noise nor none"


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.data
def test_the_cards_figures_are_true(name: str, data: Path) -> None:
    found, about = masks.load(name), masks.card(name)
    domain = domains.get(about.domain)
    images, labels = domain.sample(400, seed=5)
    classifier = domain.classifier(about.trained_against, "cpu")
    with torch.no_grad():
        read = float((found.classify_mask(images).argmax(1) == labels).float().mean())
        corrupted = found.corrupted(images, torch.Generator().manual_seed(0))
        kept = float((classifier(corrupted).argmax(1) == classifier(images).argmax(1)).float().mean())
        share = float(found.noise_mask(images).mean())
    assert read == pytest.approx(about.metrics[0].value, abs=0.09)
    assert kept == pytest.approx(about.metrics[1].value, abs=0.09)
    assert share == pytest.approx(about.metrics[2].value, abs=0.03)


def test_the_users_own_masks_are_listed_behind_those_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    about = masks.card("mnist_a_fc_3")
    torch.manual_seed(0)
    fresh = Attention(FullyConnected(1, 28), LeNet(1, 10), about=about)
    fields = about.model_dump(exclude_defaults=True, exclude={"sha256"}) | {"hyperparameters": {"beta": 5.0}}
    artifacts.save(fresh, "mine", tmp_path / "artifacts", **fields)
    assert masks.names("mnist")[-1] == "mine" and masks.find("mnist", "fc", 5) == "mine"
    images = torch.rand(2, 1, 28, 28)
    assert torch.allclose(masks.load("mine").mask(images), fresh.mask(images), atol=2e-3), "16 bits"


def test_what_is_not_there_or_damaged_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    with pytest.raises(InvalidInput, match="no mask generator called"):
        masks.card("../cifar10_vgg")
    (tmp_path / "artifacts").mkdir()
    card = json.loads((FOLDER / "mnist_a_fc_3.json").read_text())
    (tmp_path / "artifacts" / "mine.json").write_text(json.dumps(card))
    with pytest.raises(InvalidInput, match=r"mine\.safetensors cannot be read: no such file"):
        masks.load("mine")
    shutil.copy(FOLDER / "mnist_a_fc_3.safetensors", tmp_path / "artifacts" / "mine.safetensors")
    (tmp_path / "artifacts" / "mine.json").write_text(json.dumps(card | {"size": 1024}))
    with pytest.raises(InvalidInput, match="1024×1024 pixels"):
        masks.load("mine")
    for change, words in (
        ({"hyperparameters": {}}, "needs trained_against"),
        ({"architecture": "vgg"}, "'fc' or 'conv'"),
    ):
        (tmp_path / "artifacts" / "mine.json").write_text(json.dumps(card | change))
        assert "mine" not in masks.names("mnist") and words in artifacts.problems()[0]


def test_lenet_takes_both_sizes() -> None:
    for size in (28, 32):
        assert LeNet(1, 10)(torch.rand(2, 1, size, size)).shape == (2, 10)
    reader = LeNet(1, 10)
    small = torch.rand(1, 1, 28, 28)
    assert torch.allclose(reader(small), reader(F.pad(small - 0.5, (2, 2, 2, 2)) + 0.5)), (
        "grey, which counts as nothing"
    )


def test_masks_trained_anew_under_the_same_name_take_the_place_of_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    shipped = artifacts.find_artifact("mask_generator", "mnist_a_fc_3")
    folder = artifacts.user_folder()
    folder.mkdir()
    weights = load_file(shipped.weights)

    def loaded() -> masks.Attention:
        save_file(weights, folder / "mnist_a_fc_mine.safetensors")
        card = json.loads(shipped.weights.with_suffix(".json").read_text())
        digest = hashlib.sha256((folder / "mnist_a_fc_mine.safetensors").read_bytes()).hexdigest()
        (folder / "mnist_a_fc_mine.json").write_text(json.dumps({**card, "sha256": digest}))
        return masks.load("mnist_a_fc_mine")

    before = loaded()
    assert loaded() is before
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    assert loaded() is not before
