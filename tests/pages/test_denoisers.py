"""The screen of the denoisers: what is removed beside the perturbation, the kernels of a pixel, and domains without any."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import defenses, domains, images
from core.analysis.denoising import denoise, kernel_maps
from core.models.artifacts import save
from core.models.denoisers import DUNet, KernelPredictionNet
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import settled, tiles, verdict, visit

ATTACK = Method(name="fgsm", params={"eps": 0.2})
RECIPE = Recipe(domain="mnist", classifier="digits", attack=ATTACK, defenses=())


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two denoisers of digits that were not trained: one blurs, the other one shifts every value."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    card = {
        "kind": "denoiser",
        "title": "Trial",
        "domain": "mnist",
        "channels": 1,
        "size": 28,
        "trained_against": "digits",
    }
    torch.manual_seed(0)
    kernels = KernelPredictionNet(1, (16, 32, 64, 64))
    nn.init.normal_(kernels.head.weight, std=0.5)
    save(kernels, "dkn_mnist_digits", tmp_path / "artifacts", architecture="kernel_prediction", **card)
    guided = DUNet(1, (16, 32, 64, 64))
    nn.init.constant_(guided.noise.bias, -0.125)  # type: ignore[arg-type]
    save(guided, "hgd_mnist_digits", tmp_path / "artifacts", architecture="dunet", **card)


def test_the_numbers_are_those_of_the_definitions() -> None:
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example).adversarial
    defense = defenses.HGD(weights="mnist_digits")
    found = denoise(example, attacked, defense)
    clean, adversarial = example.images[0, 0].numpy(), images.to_tensor(attacked)[0, 0].numpy()
    denoised = (adversarial + 0.125).clip(0, 1)
    assert np.allclose(found.adversarial.residual[..., 0], adversarial - denoised, atol=1e-3)
    assert np.allclose(found.perturbation[..., 0], adversarial - clean) and np.allclose(
        found.remaining[..., 0], denoised - clean, atol=1e-3
    )
    change, removed = adversarial - clean, adversarial - denoised
    expected = ((change - change.mean()) * (removed - removed.mean())).mean() / change.std() / removed.std()
    assert found.correlation == pytest.approx(float(expected), abs=0.01)
    assert found.removed == pytest.approx(1 - ((denoised - clean) ** 2).sum() / (change**2).sum(), abs=0.01)
    assert np.array_equal(found.adversarial.denoised, images.to_pixels(defense(images.to_tensor(attacked)))[0])


def test_without_a_perturbation_nothing_is_measured_of_it() -> None:
    example = load_example(RECIPE, device="cpu")
    found = denoise(example, example.clean, defenses.HGD(weights="mnist_digits"))
    assert found.removed is None and found.correlation is None


def test_contributions_add_up_to_the_new_value() -> None:
    example = load_example(RECIPE, device="cpu")
    defense = defenses.DKN(weights="mnist_digits")
    maps = kernel_maps(example, example.clean, defense)
    assert maps.weights.shape == maps.contributions.shape == (25, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(
            torch.from_numpy(maps.contributions).sum(0).clamp(0, 1), defense(example.images)[0], atol=1e-5
        )
    shifted = F.unfold(example.images, 5, padding=2).view(25, 1, 28, 28).numpy()
    assert np.allclose(maps.contributions, maps.weights * shifted, atol=1e-6)


def test_the_page_shows_what_is_removed_and_the_kernels() -> None:
    app = visit("denoisers", RECIPE.to_link())
    shown = tiles(app, "The adversarial image and the denoiser")
    assert [tile["title"] for tile in shown] == ["adversarial", "removed", "denoised"]
    assert [tile["sign"] for tile in shown] == ["", "−", "="]
    assert [t["title"] for t in tiles(app, "The perturbation, what was removed, and what is left of it")] == [
        *("perturbation", "removed", "left of it"),
    ]
    assert verdict(app).startswith("The denoiser ")
    assert app.selectbox(key="denoiser").value == "Defense kernel network (DKN), mnist_digits"
    data = next(
        value
        for element in app.get("bidi_component")
        if "weights" in (value := json.loads(getattr(element.proto, "json", "") or "{}"))
    )
    example = load_example(RECIPE, device="cpu")
    maps = kernel_maps(example, craft(RECIPE, example).adversarial, defenses.DKN(weights="mnist_digits"))
    sent = np.frombuffer(base64.b64decode(data["weights"]), "<i2").reshape(25, 1, 28, 28) * data["weight"] / 32767
    assert np.abs(sent - maps.weights).max() <= data["weight"] / 32767
    added = np.frombuffer(base64.b64decode(data["added"]), "<i2").reshape(25, 1, 28, 28) * data["add"] / 32767
    assert np.abs(added - maps.contributions).max() <= data["add"] / 32767


def test_images_that_stand_in_for_the_training_data_are_named() -> None:
    app = visit("denoisers", RECIPE.replace(defenses=((Method(name="dkn", params={"weights": "mnist_a"}),),)).to_link())
    assert any("trained on MNIST. Other images stand in for it" in caption.value for caption in app.caption)


def test_another_denoiser_is_kept_in_the_recipe_and_the_link() -> None:
    app = visit("denoisers", RECIPE.to_link())
    app.selectbox(key="denoiser").select("Guided denoiser (HGD), mnist_digits")
    settled(app.run())
    recipe = Recipe.from_link(app.query_params["recipe"])
    assert recipe.defenses == ((Method(name="hgd", params={"weights": "mnist_digits"}),),)
    assert not any("weights" in (getattr(e.proto, "json", "") or "") for e in app.get("bidi_component")), "no kernels"
    app.selectbox(key="denoiser").select("Defense kernel network (DKN), mnist_digits")
    settled(app.run())
    assert [c[0].name for c in Recipe.from_link(app.query_params["recipe"]).defenses] == ["dkn"]  # type: ignore[index, union-attr]


def test_a_domain_without_denoisers_says_so_and_offers_the_others() -> None:
    app = visit("denoisers", Recipe().to_link())
    assert verdict(app) == "No denoiser has been trained for Photographs."
    assert any(link.proto.label == "Train your own" for link in app.get("page_link"))
    app.button(key="denoisers_mnist").click()
    settled(app.run())
    assert verdict(app).startswith("The denoiser ")


def test_weights_that_are_damaged_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "dkn_mnist_digits.safetensors").write_bytes(b"damaged")
    app = visit("denoisers", RECIPE.to_link())
    assert verdict(app) == "This denoiser cannot be used." and "damaged" in app.error[0].value


def test_both_defenses_are_offered_for_digits_alone() -> None:
    for name in ("dkn", "hgd"):
        assert name in defenses.names(domains.get("mnist")) and name not in defenses.names(domains.get("photos"))
