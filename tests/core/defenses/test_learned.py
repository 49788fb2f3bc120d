"""A learned defense and a second classifier, each added as one plugin file and one card, reach everything without an edit elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core import Guarded, InvalidInput, Recipe, attacks, defenses, domains, run
from core.cli import main
from core.defenses import LearnedDefense, learned
from core.evaluate import Plan, evaluate
from core.evaluate.store import RunStore
from core.models import artifacts
from core.models.architectures import ARCHITECTURES
from core.plugins import load_plugins, problems
from core.recipe import Method
from core.recipe.columns import fitting_columns
from core.registry import Registry

SOURCE = '''
from typing import ClassVar

import torch
from torch import Tensor, nn

from core.declaration import FractionFloat, number
from core.defenses.learned import LearnedDefense
from core.models.architectures import ARCHITECTURES, Shape


@ARCHITECTURES.register("one_convolution", "denoiser")
def one_convolution(shape: Shape) -> nn.Module:
    return nn.Conv2d(shape.channels, shape.channels, 3, padding=1)


@ARCHITECTURES.register("linear")
def linear(shape: Shape) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(shape.channels, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * shape.size**2, shape.classes)
    )


class Blur(LearnedDefense):
    """A convolution that was learned."""

    name: ClassVar[str] = "learned_blur"
    title: ClassVar[str] = "Learned blur"
    summary: ClassVar[str] = "A convolution that was learned."
    paper: ClassVar[str] = "Nobody 2026"

    share: FractionFloat = number(1.0, 0, 1, help="How much of it is taken.")

    def apply(self, images: Tensor) -> Tensor:
        return images + self.share * (super().apply(images) - images)
'''
MNIST, CIFAR10 = domains.get("mnist"), domains.get("cifar10")
BLUR = ((Method(name="learned_blur"),),)


def blur(channels: int) -> nn.Conv2d:
    """The mean over 3×3 pixels."""
    network = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.zeros_(network.weight), nn.init.zeros_(network.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        for channel in range(channels):
            network.weight[channel, channel] = 1 / 8
    return network


def card(domain: domains.Domain, **changes: Any) -> dict[str, Any]:
    about = {"kind": "denoiser", "title": "Learned blur", "architecture": "one_convolution", "domain": domain.name}
    return about | {"channels": domain.channels, "size": domain.size} | changes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's artifacts, beside a plugin folder with the file above."""
    registries = [(registry, dict(registry.classes)) for registry in Registry.all]
    architectures = dict(ARCHITECTURES.entries)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "learned_blur.py").write_text(SOURCE)
    monkeypatch.setenv("MIRAGE_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.setattr(learned, "_networks", learned._Networks())
    load_plugins()
    assert problems() == ()
    yield tmp_path / "artifacts"
    for registry, classes in registries:
        registry.classes.clear()
        registry.classes.update(classes)
    ARCHITECTURES.entries.clear()
    ARCHITECTURES.entries.update(architectures)
    sys.modules.pop("mirage_plugin_learned_blur", None)
    monkeypatch.undo()
    load_plugins()


@pytest.fixture
def denoiser(folder: Path) -> Path:
    artifacts.save(blur(1), "learned_blur_digits", folder, **card(MNIST))
    return folder


@pytest.mark.usefixtures("denoiser")
def test_it_is_offered_for_its_domain_and_for_no_other() -> None:
    assert "learned_blur" in defenses.names(MNIST) and "learned_blur" in defenses.names()
    assert all("learned_blur" not in defenses.names(domains.get(name)) for name in ("cifar10", "photos", "imagenet"))
    learned_names = {name for name in defenses.names() if issubclass(defenses.get(name), LearnedDefense)}
    shipped = {a.name.partition("_")[0] for a in artifacts.list_artifacts("denoiser", "cifar10") if a.shipped}
    assert set(defenses.names(CIFAR10)) == set(defenses.names()) - learned_names | shipped
    first, second = defenses.get("learned_blur").parameters_for(MNIST)
    assert (first.name, first.default, first.choices, second.name) == ("weights", "digits", ("digits",), "share")


def test_weights_for_images_of_another_form_are_not_offered(folder: Path) -> None:
    artifacts.save(blur(1), "learned_blur_small", folder, **card(MNIST, size=16))
    artifacts.save(blur(3), "learned_blur_color", folder, **card(MNIST, channels=3))
    assert "learned_blur" not in defenses.names(MNIST)
    assert [n.text.split()[2] for n in MNIST.notices()] == ["learned_blur_color", "learned_blur_small"]


@pytest.mark.usefixtures("denoiser")
@pytest.mark.parametrize("written", [{}, {"weights": "digits"}])
def test_a_recipe_or_a_plan_of_another_domain_gets_a_sentence_that_names_the_domain(written: dict[str, Any]) -> None:
    columns = ((Method(name="jpeg"),), (Method(name="jpeg"), Method(name="learned_blur", params=written)))
    for kind in (Recipe, Plan):
        with pytest.raises(
            InvalidInput, match=r"Learned blur.* is for images of the domain 'mnist' .*not for CIFAR-10; choose"
        ):
            kind(domain="cifar10", defenses=columns)
        assert len(kind(domain="mnist", defenses=columns).defenses) == 2
    assert fitting_columns("cifar10", columns) == columns[:1] and fitting_columns("mnist", columns) == columns


@pytest.mark.usefixtures("denoiser")
def test_weights_that_are_not_there_get_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="no denoiser called 'learned_blur_nobody'"):
        Recipe(domain="mnist", defenses=((Method(name="learned_blur", params={"weights": "nobody"}),),))
    with pytest.raises(InvalidInput, match="several weights to choose from; name one of: digits"):
        defenses.build("learned_blur", {})(torch.rand(1, 1, 28, 28))
    with pytest.raises(
        InvalidInput, match=r"for images of the domain 'mnist' \(28×28, 1 channels\); these images are 1×3×32×32"
    ):
        defenses.build("learned_blur", {"weights": "digits"})(torch.rand(1, 3, 32, 32))


@pytest.mark.usefixtures("denoiser")
def test_declaring_and_validating_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "_load", lambda *_: pytest.fail("the weights were loaded"))
    recipe = Recipe(domain="mnist", defenses=BLUR, attacker="both")
    assert Recipe.from_link(recipe.to_link()) == recipe
    assert recipe.build_systems()[0].describe() == "Learned blur (weights digits)"
    assert Plan(domain="mnist", defenses=BLUR).resolved().defenses[0][0].params == {"weights": "digits"}


@pytest.mark.usefixtures("denoiser")
def test_it_is_loaded_once_by_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    whole = learned._load
    monkeypatch.setattr(learned, "_load", lambda a, device: (loaded.append(a.name), whole(a, device))[1])
    images = torch.rand(2, 1, 28, 28)
    results: list[torch.Tensor] = []

    def work() -> None:
        with torch.inference_mode():
            results.append(defenses.build("learned_blur", {"weights": "digits"})(images).clone())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == ["learned_blur_digits"] and all(torch.equal(result, results[0]) for result in results)
    assert torch.allclose(results[0], blur(1)(images).clamp(0, 1), atol=1e-3)
    leaf = images.clone().requires_grad_(True)  # weights loaded under inference_mode would take part in no gradient
    (gradient,) = torch.autograd.grad(defenses.build("learned_blur", {"weights": "digits"})(leaf).sum(), leaf)
    assert float(gradient.abs().max()) > 0


@pytest.mark.usefixtures("denoiser")
def test_its_gradient_is_the_true_one() -> None:
    classifier = MNIST.classifier("digits", "cpu")
    defense = defenses.build("learned_blur", {"weights": "digits"})
    images = (torch.rand(2, 1, 28, 28) * 0.5 + 0.2).requires_grad_(True)
    (wanted,) = torch.autograd.grad(classifier(blur(1)(images).clamp(0, 1))[:, 3].sum(), images)
    for backward in ("true", "best", "average"):
        (found,) = torch.autograd.grad(Guarded(classifier, defense, backward)(images)[:, 3].sum(), images)
        assert torch.allclose(found, wanted, atol=2e-3 * float(wanted.abs().max())), backward
    (identity,) = torch.autograd.grad(Guarded(classifier, defense, "identity")(images)[:, 3].sum(), images)
    assert not torch.allclose(identity, wanted, atol=1e-2 * float(wanted.abs().max()))
    images, labels = MNIST.sample(4)
    for backward in ("none", "average"):
        result = attacks.PGD(eps=0.3, steps=5)(Guarded(classifier, defense, backward), images, labels)
        assert result.images.shape == images.shape


@pytest.mark.usefixtures("denoiser")
def test_it_works_in_a_recipe_in_an_evaluation_and_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="fgsm"), defenses=BLUR, attacker="both")
    (column,) = run(recipe, device="cpu").columns
    assert column.short_title == "Learned blur" and column.grey is not None and column.adaptive is not None
    plan = Plan(domain="mnist", n_images=4, batch=4, attacks=(Method(name="fgsm"),), defenses=BLUR)
    assert evaluate(RunStore.create(plan, "cpu", tmp_path / "run.sqlite"), device="cpu")
    assert main(["list"]) == 0 and "digits" in capsys.readouterr().out
    words = "attack 0 --domain mnist --attack fgsm --defense learned_blur:weights=digits,share=0.5 --device cpu --out"
    assert main([*words.split(), str(tmp_path / "out")]) == 0
    assert "Learned blur (weights digits, share 0.5)" in capsys.readouterr().out
    assert main([*words.replace("mnist", "cifar10").replace("k 0", "k cat").split(), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "the domain 'mnist'" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("network", "words"),
    [(nn.Conv2d(1, 2, 3), "do not fit 'one_convolution'"), (nn.Conv2d(1, 1, 1), "do not fit 'one_convolution'")],
)
def test_weights_of_another_network_get_a_sentence_at_first_use(folder: Path, network: nn.Module, words: str) -> None:
    artifacts.save(network, "learned_blur_wrong", folder, **card(MNIST))
    defense = defenses.build("learned_blur", {"weights": "wrong"})
    with pytest.raises(InvalidInput, match=words):
        defense(torch.rand(1, 1, 28, 28))


def test_a_network_that_makes_no_images_gets_a_sentence(folder: Path) -> None:
    ARCHITECTURES.register("shrinks", "denoiser")(lambda shape: nn.Conv2d(1, 1, 3))
    artifacts.save(nn.Conv2d(1, 1, 3), "learned_blur_small", folder, **card(MNIST, architecture="shrinks"))
    with pytest.raises(InvalidInput, match="must map images to finite images of the same shape"):
        defenses.build("learned_blur", {"weights": "small"})(torch.rand(1, 1, 28, 28))


def test_a_name_that_begins_like_another_is_not_taken_for_it(denoiser: Path) -> None:
    parent = defenses.get("learned_blur")
    names = {"name": "learned_blur_strong", "title": "Strong", "__module__": __name__, "__annotations__": {}}
    strong = type(parent)("Strong", (parent,), names)
    artifacts.save(blur(1), "learned_blur_strong_digits", denoiser, **card(MNIST))
    assert list(parent.available()) == ["digits"] and list(strong.available()) == ["digits"]  # type: ignore[attr-defined]


def test_a_second_classifier_is_one_file_and_one_card(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES.build("linear", "classifier", learned.artifacts.Shape(1, 28, 10))
    about = card(MNIST, kind="classifier", architecture="linear", title="Two layers", mean=(0.5,), std=(0.5,))
    artifacts.save(network, "mnist_linear", folder, **about)
    assert MNIST.classifier_names()[-1] == "linear" and "linear" not in CIFAR10.classifier_names()
    images = torch.rand(2, 1, 28, 28)
    assert torch.allclose(MNIST.classifier("linear", "cpu")(images), network((images - 0.5) / 0.5), atol=1e-2)
    outcome = run(Recipe(domain="mnist", classifier="linear", attack=Method(name="fgsm"), defenses=()), device="cpu")
    assert outcome.classifier == "linear"
    plan = Plan(
        domain="mnist", classifiers=("digits", "linear"), n_images=2, attacks=(Method(name="fgsm"),), defenses=()
    )
    assert evaluate(RunStore.create(plan, "cpu", folder.parent / "run.sqlite"), device="cpu")
    assert main(["list"]) == 0 and "Two layers" in capsys.readouterr().out
