"""Domains: classes, galleries and samples, with the data sets and on a bare machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from core import InvalidInput, Recipe, class_names, domains
from core.domains.gallery import default_item
from core.recipe import ImageRef, load_example


@pytest.mark.parametrize("name", domains.names())
def test_every_domain_shows_something_on_a_bare_machine(name: str) -> None:
    domain = domains.get(name)
    folded = {word.casefold() for word in domain.classes}
    assert len(domain.classes) == len(folded), "a list of classes names each once"
    assert domain.classifier_names()
    for item in domain.gallery():
        pixels = domain.gallery_pixels(item.name)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3
        assert item.label is None or 0 <= item.label < len(domain.classes)


def test_photos_are_seventeen_classes_that_the_classifier_knows() -> None:
    domain = domains.get("photos")
    images, labels = domain.sample(17)
    assert images.shape == (17, 3, 160, 160) and images.dtype == torch.float32
    assert sorted(labels.tolist()) == list(range(17))
    with torch.no_grad():
        assert bool((domain.classifier(device="cpu")(images).argmax(1) == labels).all())


def test_samples_repeat_by_seed_and_refuse_too_many() -> None:
    domain = domains.get("photos")
    assert torch.equal(domain.sample(5, seed=1)[0], domain.sample(5, seed=1)[0])
    assert not torch.equal(domain.sample(5, seed=1)[1], domain.sample(5, seed=2)[1])
    with pytest.raises(InvalidInput, match="17"):
        domain.sample(18)
    with pytest.raises(InvalidInput, match="split"):
        domain.sample(3, split="train")


def test_what_is_missing_is_said_in_a_sentence() -> None:
    assert "download" in str(domains.get("cifar10").missing_reason())
    with pytest.raises(InvalidInput, match="CIFAR-10 is not on this machine"):
        domains.get("cifar10").sample(3)
    with pytest.raises(InvalidInput, match="photos"):
        domains.get("nowhere")


def test_a_download_without_a_network_fails_in_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="could not be downloaded"):
        domains.get("cifar10").fetch()


def test_scikit_learns_digits_stand_in_for_mnist_and_say_so() -> None:
    domain = domains.get("mnist")
    assert "stand in" in str(domain.missing_reason())
    assert all("stand-in" in item.title for item in domain.gallery())
    images, labels = domain.sample(50)
    assert images.shape == (50, 1, 28, 28)
    with torch.no_grad():
        right = (domain.classifier(device="cpu")(images).argmax(1) == labels).float().mean()
    assert right > 0.9


@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [("cifar10", 10_000, (3, 32, 32)), ("mnist", 10_000, (1, 28, 28)), ("imagenette", 2_000, (3, 160, 160))],
)
def test_data_sets_through_torchvisions_loaders(data: Path, name: str, count: int, shape: tuple[int, ...]) -> None:
    domain = domains.get(name)
    assert domain.missing_reason() is None
    assert domain.count("test") >= count
    images, labels = domain.sample(8, seed=5)
    assert images.shape == (8, *shape)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    item = domain.gallery()[3]
    pixels, label = domain.image(ImageRef(kind="dataset", index=int(item.name)), {})
    assert label == item.label == 3
    assert np.array_equal(pixels, domain.gallery_pixels(item.name))
    with pytest.raises(InvalidInput, match="there is no"):
        domain.image(ImageRef(kind="dataset", index=9_999_999), {})


def test_imagenet_reads_the_users_folder_and_its_labels(data: Path) -> None:
    domain = domains.get("imagenet")
    images, labels = domain.sample(4)
    assert images.shape == (4, 3, 224, 224)
    assert len(domain.classes) == 1000
    assert domain.class_number("tabby") == 281
    assert domain.class_number("281") == 281


def test_classes_by_name_and_number() -> None:
    assert domains.get("photos").class_number("Coffee") == domains.get("photos").class_number("2")
    assert domains.get("mnist").class_number("7") == 7
    with pytest.raises(InvalidInput, match="no class"):
        domains.get("photos").class_number("17")


def right_by_default(name: str, classifier: str) -> bool | None:
    """Whether the classifier gets the image right that a recipe without one is about; None where its class is unknown."""
    example = load_example(Recipe(domain=name, classifier=classifier), device="cpu")
    return example.clean_prediction.label == example.label if example.label_known else None


@pytest.mark.parametrize("name", ["photos", "mnist", "cifar10"])
def test_the_default_image_is_one_that_the_classifier_gets_right(name: str) -> None:
    """Or the first one, where it gets none of the gallery right: a robust classifier may take each stand-in for something else."""
    domain = domains.get(name)
    for classifier in domain.classifier_names():
        if not right_by_default(name, classifier):
            image_refs = [ImageRef(name=item.name) for item in domain.gallery() if item.label is not None]
            recipes = [Recipe(domain=name, classifier=classifier, image=image_ref) for image_ref in image_refs]
            examples = [load_example(recipe, device="cpu") for recipe in recipes]
            assert not any(example.clean_prediction.label == example.label for example in examples), classifier
            assert "robust" in classifier or "alp" in classifier


@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenette"])
def test_the_default_image_of_a_data_set_is_right_too(data: Path, name: str) -> None:
    assert all(right_by_default(name, classifier) for classifier in domains.get(name).classifier_names())


def test_stand_ins_without_a_class_are_said_to_be_unknown_and_a_named_image_is_kept() -> None:
    assert right_by_default("imagenette", "") is None
    five = load_example(Recipe(domain="mnist", classifier="digits", image=ImageRef(name="1")), device="cpu")
    assert (five.image_ref.name, five.label, five.clean_prediction.label) == ("1", 5, 9)


def test_imagenets_default_image_is_right_with_the_classifier_at_hand(data: Path) -> None:
    domain = domains.get("imagenet")
    classifier = domain.classifier("mobilenet_v2_own", device="cpu")
    assert default_item(domain, classifier).name == "coffee", "it takes the tabby cat for a tiger cat"


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("cardigan", 474),
        ("Cardigan", 264),
        ("cardigan (474)", 474),
        ("Cardigan (264)", 264),
        (" 474 ", 474),
        ("TABBY", 281),
    ],
)
def test_the_exact_spelling_counts_more_than_the_letters(word: str, number: int) -> None:
    assert domains.get("imagenet").class_number(word) == number


def test_a_name_of_two_classes_gets_their_numbers() -> None:
    with pytest.raises(InvalidInput, match="names several classes of ImageNet; give a number: 264 and 474"):
        domains.get("imagenet").class_number("CARDIGAN")
    assert class_names.distinct(["crane", "dog", "crane"]) == ("crane (0)", "dog", "crane (2)")
    with pytest.raises(InvalidInput, match="0 and 2"):
        class_names.class_number("crane", ("crane (0)", "dog", "crane (2)"), "Birds")
    for number, name in enumerate(domains.get("imagenet").classes):
        assert domains.get("imagenet").class_number(name) == number


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data sets whose files are there and damaged."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    for name in ("test_batch", "batches.meta", *(f"data_batch_{n}" for n in range(1, 6))):
        (tmp_path / "cifar-10-batches-py").mkdir(exist_ok=True)
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(b"not a batch")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("t10k", "train"):
        for end in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            (raw / f"{part}-{end}").write_bytes(b"\0\0\x08\x03\0\0")
    (tmp_path / "imagenette2-160" / "val").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", ["cifar10", "mnist", "imagenette"])
def test_a_damaged_data_set_is_as_good_as_none_and_says_so(broken: Path, name: str) -> None:
    domain = domains.get(name)
    sentence = str(domain.missing_reason())
    assert f"The files of {domain.title} in {broken}" in sentence and "download it again" in sentence
    assert domain.can_fetch and domain.gallery()
    for item in domain.gallery():
        assert domain.gallery_pixels(item.name).size, "what stands in"
    if name != "mnist":
        with pytest.raises(InvalidInput, match="damaged or incomplete"):
            domain.sample(1)


def test_a_data_set_that_is_a_pipe_is_not_waited_for(broken: Path) -> None:
    (broken / "cifar-10-batches-py" / "test_batch").unlink()
    os.mkfifo(broken / "cifar-10-batches-py" / "test_batch")
    assert "is no file that can be read" in str(domains.get("cifar10").missing_reason())
