"""The store: what may lie in the user's folder, what is refused with which sentence, and what is read when."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as packed

from core import InvalidInput, Recipe, domains
from core.evaluate import Plan
from core.models import artifacts
from core.models.architectures import ARCHITECTURES, Shape
from core.models.artifacts import WEIGHTS, find_artifact, list_artifacts, load_classifier, problems
from core.models.networks import DigitB

MNIST = domains.get("mnist")
SHIPPED = len(list(WEIGHTS.glob("mnist_*.json")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    (tmp_path / "artifacts").mkdir()
    return tmp_path / "artifacts"


def put(folder: Path, name: str = "mnist_mine", data: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """A copy of Model B in the user's folder, with another card."""
    data = (WEIGHTS / "mnist_b.safetensors").read_bytes() if data is None else data
    card = json.loads((WEIGHTS / "mnist_b.json").read_text()) | {"sha256": hashlib.sha256(data).hexdigest()} | changes
    (folder / f"{name}.safetensors").write_bytes(data)
    (folder / f"{name}.json").write_text(json.dumps({k: v for k, v in card.items() if v is not None}))
    return card


def test_a_classifier_of_the_users_is_listed_last_and_works(folder: Path) -> None:
    put(folder, title="Mine")
    assert MNIST.classifier_names()[-1] == "mine" and len(MNIST.classifier_names()) == SHIPPED + 1
    assert domains.get("photos").classifier_names() == ("photonet",)
    assert MNIST.classifier_title("mine") == "Mine" and "of 10000" in MNIST.classifier_note("mine")
    images = torch.rand(2, 1, 28, 28)
    mine, theirs = (MNIST.classifier(name, "cpu") for name in ("mine", "b"))
    assert mine.name == "mine" and torch.equal(mine(images), theirs(images))
    assert Recipe(domain="mnist", classifier="mine").classifier == "mine" and problems() == ()


def test_it_may_belong_to_a_domain_of_published_classifiers(folder: Path) -> None:
    put(folder, "imagenet_mine", domain="imagenet", channels=3, size=224, mean=[0.5], std=[0.5], title="Mine")
    put(folder, "imagenet_resnet50", domain="imagenet", channels=3, size=224, mean=[0.5], std=[0.5])
    imagenet = domains.get("imagenet")
    assert imagenet.classifier_names()[-1] == "mine" and imagenet.classifier_names().count("resnet50") == 1
    assert imagenet.classifier_title("mine") == "Mine" and imagenet.classifier_title("resnet50") == "ResNet-50"
    assert any("imagenet_resnet50 is left out" in notice.text for notice in imagenet.notices())


def test_one_that_is_named_like_one_that_ships_does_not_replace_it(folder: Path) -> None:
    put(folder, "mnist_b", title="Impostor")
    assert MNIST.classifier_title("b") == "Model B" and find_artifact("classifier", "mnist_b").shipped
    (sentence,) = problems()
    assert "mnist_b.json is left out: a classifier that ships has that name; rename its files." in sentence


def test_a_name_of_another_kind_is_free(folder: Path) -> None:
    put(folder, "mnist_a_fc_3", title="No masks")
    assert problems() == () and "a_fc_3" in MNIST.classifier_names()
    assert find_artifact("mask_generator", "mnist_a_fc_3").shipped


CARDS: dict[str, tuple[object, str]] = {
    "text": ("no card", "is not JSON"),
    "list": ("[]", "must be a JSON object"),
    "deep": ("[" * 90_000, "is not JSON"),
    "latin": (b"\xff\xfe{", "is not JSON"),
    "large": ("{" + " " * 200_000 + "}", "MB; it may have"),
    "no sha256": ({"sha256": None}, "sha256 is missing"),
    "no architecture": ({"architecture": None}, "architecture is missing"),
    "short sha256": ({"sha256": "abc"}, "sha256 is 'abc'"),
    "path": ({"weights": "/etc/passwd"}, "has no parameter 'weights'"),
    "unknown kind": ({"kind": "pickle"}, "kind is 'pickle'; it must be"),
    "size of a planet": ({"size": 10**9}, "it must be at most 1024"),
    "channels": ({"channels": 7}, "channels is 7"),
    "NaN": ({"mean": [float("nan")]}, "mean.0"),
    "std 0": ({"std": [0]}, "std.0"),
    "three means for gray images": ({"mean": [0, 0, 0], "std": [1, 1, 1]}, "mean must have one number a channel"),
    "control characters": ({"title": "a\nb"}, "title"),
    "long": ({"description": "a" * 10_000}, "description"),
    "another domain": ({"domain": "cifar10"}, "name its files cifar10_NAME"),
    "nobody's architecture": ({"architecture": "hal9000"}, "no classifier has the architecture 'hal9000'"),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_that_cannot_be_used_is_left_out_with_one_sentence(folder: Path, case: str) -> None:
    content, words = CARDS[case]
    put(folder, **(content if isinstance(content, dict) else {}))
    if isinstance(content, str | bytes):
        (folder / "mnist_mine.json").write_bytes(content.encode() if isinstance(content, str) else content)
    assert "mine" not in MNIST.classifier_names()
    (sentence,) = problems()
    assert words in sentence and "mnist_mine.json" in sentence and "Traceback" not in sentence
    with pytest.raises(InvalidInput):
        MNIST.classifier("mine", "cpu")


def test_pipes_links_and_other_names_are_left_out(folder: Path) -> None:
    os.mkfifo(folder / "mnist_pipe.json")
    (folder / "mnist_gone.json").symlink_to(folder / "nowhere")
    (folder / "mnist_folder.json").mkdir()
    put(folder, "mnist_ä b")
    assert len(MNIST.classifier_names()) == SHIPPED and len(problems()) == 4


def test_images_of_another_form_are_told_in_the_domain(folder: Path) -> None:
    put(folder, size=32)
    assert "mine" not in MNIST.classifier_names()
    assert any("takes images of 32×32 pixels and 1 channels" in notice.text for notice in MNIST.notices())


def changed(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> bytes:
    return bytes(packed(change(load_file(WEIGHTS / "mnist_b.safetensors"))))


WEIGHTS_CASES: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "cut off": ((WEIGHTS / "mnist_b.safetensors").read_bytes()[:5000], {}, "are damaged; copy it to"),
    "another file": (b"", {"sha256": "0" * 64}, "the SHA-256 differs; copy it to"),
    "a pickle": (b"\x80\x04N.", {}, "are damaged"),
    "empty": (b"", {}, "are damaged"),
    "other shapes": (
        changed(lambda s: {k: v[:9] if k.startswith("head") else v for k, v in s.items()}),
        {},
        r"do not fit 'digit_b': head\.1\.\w+ is 9\S* there and must be 10",
    ),
    "one too few": (changed(lambda s: dict(list(s.items())[1:])), {}, "they lack"),
    "one too many": (changed(lambda s: {**s, "more": torch.zeros(1)}), {}, "they have the unknown 'more'"),
    "not finite": (changed(lambda s: {k: v * float("nan") for k, v in s.items()}), {}, "holds NaN or infinite"),
}


@pytest.mark.parametrize("case", WEIGHTS_CASES)
def test_weights_that_cannot_be_used_get_one_sentence_when_they_are_loaded(folder: Path, case: str) -> None:
    data, changes, words = WEIGHTS_CASES[case]
    put(folder, data=data, **changes)
    assert "mine" in MNIST.classifier_names(), "the card is all that is read"
    with pytest.raises(InvalidInput, match=words):
        MNIST.classifier("mine", "cpu")


def test_missing_weights_and_those_that_are_no_file(folder: Path) -> None:
    put(folder)
    path = folder / "mnist_mine.safetensors"
    path.unlink()
    with pytest.raises(InvalidInput, match=r"mnist_mine\.safetensors cannot be read: no such file"):
        MNIST.classifier("mine", "cpu")
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match="pipe or a device"):
        MNIST.classifier("mine", "cpu")


def test_names_lead_out_of_no_folder(folder: Path) -> None:
    put(folder.parent, "mnist_out")
    for name in ("../mnist_out", "/etc/passwd", "mnist_mine\0", "a" * 300, ""):
        with pytest.raises(InvalidInput, match="no classifier called"):
            find_artifact("classifier", name)


def test_listing_and_validating_load_nothing_and_a_file_is_hashed_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder)
    hashed: list[object] = []
    whole = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: (hashed.append(file.name), whole(file, name))[1])
    with monkeypatch.context() as patch:
        for loader in ("load_file", "load_weights", "build_network"):
            patch.setattr(artifacts, loader, lambda *_, loader=loader: pytest.fail(f"{loader} was called"))
        assert "mine" in MNIST.classifier_names() and MNIST.classifier_note("mine")
        Recipe(domain="mnist", classifier="mine"), Plan(domain="mnist", classifiers=("mine",))
        assert list_artifacts("classifier") and problems() == () and hashed == []
    for _ in range(2):
        MNIST.classifier("mine", "cpu")
    assert hashed == [folder / "mnist_mine.safetensors"] or hashed == [str(folder / "mnist_mine.safetensors")]


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DigitB(10)
    about = find_artifact("classifier", "mnist_b").card.model_dump(exclude={"sha256", "parameters"})
    artifact = artifacts.save(network, "mnist_new", tmp_path, **about)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mnist_new.json", "mnist_new.safetensors"]
    assert artifact == artifacts.read_artifact(tmp_path, "mnist_new")
    assert artifact.card.parameters == sum(p.numel() for p in network.parameters())
    loaded = load_classifier(artifact, MNIST.classes).network.state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(loaded[key], value.half().float())
    with pytest.raises(InvalidInput, match="title is missing"):
        artifacts.save(network, "mnist_new", tmp_path, **{k: v for k, v in about.items() if k != "title"})
    renamed = artifacts.write_card(artifact, title="Another")
    assert artifacts.read_artifact(tmp_path, "mnist_new") == renamed and renamed.card.title == "Another"


def test_an_architecture_has_one_name_and_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ARCHITECTURES, "entries", dict(ARCHITECTURES.entries))
    with pytest.raises(InvalidInput, match="called 'vgg' already"):
        ARCHITECTURES.register("vgg")(lambda shape: DigitB(shape.classes))
    ARCHITECTURES.register("broken")(lambda shape: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidInput, match=re.escape("'broken' cannot be built: division by zero.")):
        ARCHITECTURES.build("broken", "classifier", Shape(1, 28, 10))
    with pytest.raises(InvalidInput, match="No denoiser has the architecture 'vgg'"):
        ARCHITECTURES.build("vgg", "denoiser", Shape(3, 32, 10))
