"""Training of denoisers: the mixture, the objectives against loops over images, crafted images, and a whole small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import InvalidInput, attacks, defenses, domains, training
from core.models import artifacts
from core.models.architectures import ARCHITECTURES
from core.models.classifier import Classifier
from core.models.denoisers import KernelPredictionNet
from core.models.loss_network import LossNetwork
from core.training import PLANS, TrainingPlan, crafting, train
from core.training.crafting import craft_images
from core.training.data import load_data
from core.training.objectives import OBJECTIVES, Batch
from core.training.objectives.denoising import mixture
from core.training.trainer import TrainingProgress

CPU = torch.device("cpu")
LAYERS = ("features.4", "features.9")


@pytest.fixture(scope="module")
def digits() -> Classifier:
    return domains.get("mnist").classifier("digits", "cpu")


def batch(count: int = 6, versions: int = 2) -> Batch:
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 28, 28, generator=draw)
    crafted = torch.rand(count, versions, 1, 28, 28, generator=draw)
    labels = torch.randint(10, (count,), generator=draw)
    return Batch(images, labels, torch.Generator().manual_seed(1), crafted)


def test_the_mixture_takes_each_kind_as_often_as_it_says() -> None:
    big = batch(3000, 2)
    mixed = mixture(big, clean=0.5, noise=0.2, eps=0.1)
    kinds = [
        (mixed == big.images).flatten(1).all(1),
        *((mixed == big.crafted[:, v]).flatten(1).all(1) for v in range(2)),
    ]
    noisy = ((mixed - big.images).abs() <= 0.1 + 1e-6).flatten(1).all(1) & ~kinds[0]
    shares = [float(kind.float().mean()) for kind in (kinds[0], noisy, kinds[1], kinds[2])]
    assert shares == pytest.approx([0.5, 0.2, 0.15, 0.15], abs=0.03) and sum(shares) == pytest.approx(1)
    assert float(mixed.min()) >= 0 and float(mixed.max()) <= 1


def test_kernels_are_trained_by_the_three_losses(digits: Classifier) -> None:
    given = batch()
    denoiser = nn.Conv2d(1, 1, 3, padding=1)
    network = LossNetwork(digits, LAYERS)
    networks = {"denoiser": denoiser, "classifier": digits, "loss_network": network}
    weights = {"l1": 2.0, "perceptual": 3.0, "cross_entropy": 0.5}
    terms = OBJECTIVES["defense_kernels"](networks, given, eps=0.1, clean=1.0, noise=0.0, **weights)
    l1 = perceptual = entropy = 0.0
    for image, label in zip(given.images, given.labels, strict=True):
        denoised = denoiser(image[None])
        l1 += float((denoised - image).abs().sum())
        of_denoised, logits = network(denoised)
        of_image, _ = network(image[None])
        for one, other in zip(of_denoised, of_image, strict=True):
            perceptual += float(((one - other) ** 2).sum()) / one.numel() / 2  # equation 5
        entropy -= float(logits.log_softmax(1)[0, label])
    assert float(terms.losses["l1"]) == pytest.approx(2 * l1 / given.images.numel(), rel=1e-4)
    assert float(terms.losses["perceptual"]) == pytest.approx(3 * perceptual / 6, rel=1e-3)
    assert float(terms.losses["cross_entropy"]) == pytest.approx(0.5 * entropy / 6, rel=1e-4)


def test_the_cross_entropy_is_that_of_the_attacked_classifier_not_of_the_loss_network(digits: Classifier) -> None:
    networks: dict[str, Any] = {"denoiser": nn.Identity(), "classifier": digits}
    networks["loss_network"] = LossNetwork(domains.get("cifar10").classifier("vgg", "cpu"), ("features.13",))
    given = batch()
    terms = OBJECTIVES["defense_kernels"](networks, given, eps=0.1, clean=1.0, noise=0.0)
    assert float(terms.losses["cross_entropy"]) == pytest.approx(
        float(F.cross_entropy(digits(given.images), given.labels))
    )
    assert float(terms.losses["l1"]) == float(terms.losses["perceptual"]) == 0, "the identity on clean images"


def test_the_guided_denoiser_compares_logits(digits: Classifier) -> None:
    given = batch()
    denoiser = nn.Conv2d(1, 1, 3, padding=1)
    terms = OBJECTIVES["guided_denoiser"]({"denoiser": denoiser, "classifier": digits}, given, clean=1.0)
    rows = [(digits(denoiser(image[None])) - digits(image[None])).abs().sum() for image in given.images]
    assert float(terms.losses["logits"]) == pytest.approx(float(torch.stack(rows).sum()) / 60, rel=1e-4)


def test_the_feature_losses_are_means_over_values_of_crafted_images_alone(digits: Classifier) -> None:
    given = batch(versions=1)
    layers = ("features.9", "features.7", "features.4")
    network = LossNetwork(digits, layers)
    networks = {"denoiser": nn.Identity(), "classifier": digits, "loss_network": network}
    terms = OBJECTIVES["feature_losses"](networks, given, alpha=1.0, beta=2.0, gamma=3.0, delta=4.0)
    of_clean, of_crafted = network(given.images)[0], network(given.crafted[:, 0])[0]
    for name, factor, one, other in zip(("F3", "F7", "F10"), (1, 2, 3), of_clean, of_crafted, strict=True):
        assert float(terms.losses[name]) == pytest.approx(
            factor * float(((one - other) ** 2).sum()) / one.numel(), rel=1e-4
        )
    pixels = 4 * float(((given.images - given.crafted[:, 0]) ** 2).mean())
    assert float(terms.losses["pixels"]) == pytest.approx(pixels, rel=1e-5)


def small(
    *, augment: dict[str, Any] | None = None, epochs: int = 1, mixed_precision: bool = True, **changes: Any
) -> TrainingPlan:
    """A denoiser of scikit-learn's digits."""
    stage = {**PLANS["dkn_mnist_a"]["stages"][0], "epochs": epochs, "batch": 64, "augment": augment or {"name": "none"}}
    stage |= {"mixed_precision": mixed_precision}
    own = {"name": "dkn_mnist_digits", "dataset": "digits", "trained_against": "digits"}
    own |= {"loss_network": "mnist/digits", "loss_layers": LAYERS, "stages": (stage,)}
    return TrainingPlan(**{**PLANS["dkn_mnist_a"], **own, **changes})


def test_images_are_crafted_once_by_the_attack_and_kept_as_8_bit(
    digits: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ({"name": "fgsm", "params": {"eps": 0.2}}, {"name": "uniform_noise", "params": {}})
    plan = small(crafted=methods, mixed_precision=False)
    draw = torch.Generator().manual_seed(0)
    data = torch.randint(256, (7, 1, 28, 28), generator=draw).to(torch.uint8), torch.arange(7) % 10
    monkeypatch.setattr(crafting, "PART", 3)
    crafted = craft_images(plan, {"classifier": digits}, data, CPU, tmp_path)
    assert crafted is not None and crafted.shape == (7, 2, 1, 28, 28) and crafted.dtype == torch.uint8
    expected = attacks.FGSM(eps=0.2)(digits, data[0].float() / 255, data[1]).rounded
    assert torch.equal(crafted[:, 0], (expected * 255).round().to(torch.uint8))
    calls: list[int] = []
    monkeypatch.setattr(type(digits), "forward", lambda *_: calls.append(1))
    again = craft_images(plan, {"classifier": digits}, data, CPU, tmp_path)
    assert torch.equal(crafted, again) and not calls  # type: ignore[arg-type]


def test_images_for_a_training_in_mixed_precision_are_crafted_in_it(
    digits: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crafting, "mixed", lambda device: torch.autocast(device.type, torch.bfloat16))
    data = load_data("digits", False, tmp_path)
    data = data[0][:12], data[1][:12]
    methods = ({"name": "fgsm", "params": {"eps": 0.2}},)
    exact, fast = (
        craft_images(small(crafted=methods, mixed_precision=mixed), {"classifier": digits}, data, CPU, tmp_path)
        for mixed in (False, True)
    )
    assert exact is not None and fast is not None
    same = (exact == fast).float().mean()
    assert 0.9 < same < 1, "the gradient's sign is the same but where it is nearly 0"


def test_crafting_that_is_stopped_goes_on_where_it_was(
    digits: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small(crafted=({"name": "uniform_noise", "params": {}},), mixed_precision=False)
    data = torch.zeros(6, 1, 28, 28, dtype=torch.uint8), torch.zeros(6, dtype=torch.int64)
    monkeypatch.setattr(crafting, "PART", 2)
    steps: list[int] = []
    assert (
        craft_images(
            plan, {"classifier": digits}, data, CPU, tmp_path, lambda p: steps.append(p.done) or len(steps) > 2
        )
        is None
    )
    assert steps == [0, 2, 4] and len(list(tmp_path.glob("crafted_*.safetensors"))) == 2
    whole = craft_images(plan, {"classifier": digits}, data, CPU, tmp_path)
    (tmp_path / "other").mkdir()
    other = craft_images(plan, {"classifier": digits}, data, CPU, tmp_path / "other")
    assert torch.equal(whole, other)  # type: ignore[arg-type]


def test_a_denoiser_is_trained_stopped_resumed_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off ends with the weights of one that is not; the result is a defense at once."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.setitem(ARCHITECTURES.entries, "tiny", ("denoiser", lambda shape: KernelPredictionNet(1, (4, 8))))
    monkeypatch.setattr(training, "load_data", lambda *given: tuple(part[:256] for part in load_data(*given)))
    plan = small(epochs=2, architecture="tiny", mixed_precision=False)
    artifacts_folder, other = tmp_path / "artifacts", tmp_path / "other"
    card = train(plan, other, "cpu")
    assert card is not None and card.metrics[0].count == 256 and card.metrics[0].value > 0.5

    def stop(progress: Any) -> bool:
        return isinstance(progress, TrainingProgress) and progress.stage == "denoiser" and progress.epoch == 2

    assert train(plan, artifacts_folder, "cpu", stop) is None
    assert train(plan, artifacts_folder, "cpu") is not None
    one, two = ((folder / "dkn_mnist_digits.safetensors").read_bytes() for folder in (artifacts_folder, other))
    assert one == two and artifacts.read_artifact(other, "dkn_mnist_digits").card.sha256 == card.sha256
    images = torch.rand(2, 1, 28, 28)
    defense = defenses.DKN(weights="mnist_digits")
    kernels = defense.kernels(images)
    assert kernels.shape == (2, 25, 1, 28, 28)
    shifted = F.unfold(images, 5, padding=2).view(2, 25, 1, 28, 28)
    assert torch.allclose((kernels * shifted).sum(1).clamp(0, 1), defense(images), atol=1e-5)


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": ({"architecture": "digit_a"}, "No denoiser has the architecture 'digit_a'; there are autoencoder"),
    "classifier": ({"trained_against": "hal"}, "no classifier called 'hal'"),
    "no attacks": ({"crafted": ()}, "needs adversarial images; name attacks in 'crafted'"),
    "attack": ({"crafted": ({"name": "hal"},)}, "no attack called 'hal'"),
    "attack's value": ({"crafted": ({"name": "fgsm", "params": {"eps": 7}},)}, "eps"),
    "no loss network": ({"loss_network": ""}, "needs a loss network; name one as DOMAIN/CLASSIFIER"),
    "loss network": ({"loss_network": "mnist/hal"}, "no classifier 'mnist/hal'"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_of_a_denoiser_with_a_mistake_gets_one_sentence(case: str) -> None:
    changes, words = CASES[case]
    with pytest.raises(InvalidInput) as told:
        small(**changes)
    assert words in str(told.value)


def test_crafted_images_take_no_augmentation() -> None:
    with pytest.raises(InvalidInput, match="has no augmentation"):
        small(augment={"name": "shift", "params": {"by": 2}})


def test_full_disk_while_crafting_is_a_sentence(
    digits: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(crafting, "save_file", full)
    data = torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(InvalidInput, match=r"cannot be kept in .*No space left"):
        craft_images(small(), {"classifier": digits}, data, CPU, tmp_path)
