"""`python -m core certify` beside the certificates that it runs."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch

from core import certify, domains, images
from core.cli import main

WORDS = "certify {} --domain mnist --classifier mlp --device cpu"  # on scikit-learn's digits


def test_a_set_is_counted_at_each_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"{WORDS.format('linf')} --eps 5.1/255 --bound interval --images 12 --seed 0 --out"
    assert main([*words.split(), str(tmp_path)]) == 0
    text = capsys.readouterr().out
    domain = domains.get("mnist")
    classifier = domain.classifier("mlp", "cpu")
    batch, labels = domain.sample(12, seed=0)
    with (tmp_path / "certify-linf-mnist-mlp.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    budgets = [float(row["ε, L∞"]) for row in rows]
    assert budgets[0] == 0 and budgets[-1] == 0.02 and budgets == sorted(set(budgets))
    counts = []
    for eps, row in zip(budgets, rows, strict=True):
        promise = certify.LinfCertificate(eps=eps, bound="interval", find_radius=False)(classifier, batch, labels)
        assert promise is not None
        counts.append(int(promise.certified.sum()))
        assert f"({counts[-1]} of 12; " in row["certified"]
    attacked = [int(re.findall(r"\((\d+) of 12; ", row["right under attack"])[0]) for row in rows]
    assert attacked[0] == counts[0] == 8 and counts[-1] < attacked[-1] < 8
    assert (
        f"At ε 0.02 (L∞), {counts[-1]} of 12 images are certified, and {attacked[-1]} stay right under attack" in text
    )
    for said in (
        domain.classifier_title("mlp"),
        certify.LinfCertificate.threat_model,
        "L∞ bounds (eps 0.02, bound interval)",
        "white box: APGD-CE",
        "12 test images of MNIST, seed 0",
        "scikit-learn's digits stand in",
        "certify linf --domain mnist --classifier mlp --images 12 --split test --seed 0 --eps 5.1/255 --bound interval`",
    ):
        assert said in text
    assert text.startswith((tmp_path / "certify-linf-mnist-mlp.md").read_text(encoding="utf-8"))
    assert r"$\varepsilon$, L$\infty$ & certified" in (tmp_path / "certify-linf-mnist-mlp.tex").read_text("utf-8")


def test_the_seed_the_split_and_the_domains_budget_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{WORDS.format('linf')} --bound interval --images 5 --split train --seed 3".split()) == 0
    text = capsys.readouterr().out
    batch, labels = domains.get("mnist").sample(5, split="train", seed=3)
    right = int((domains.get("mnist").classifier("mlp", "cpu")(batch).argmax(1) == labels).sum())
    assert f"| 0 | {100 * right / 5:.1f} % ({right} of 5; " in text and "5 train images of MNIST, seed 3" in text
    assert "\n| 0.0375 | " in text and "Saved in" not in text


def test_smoothing_has_radii_and_no_attack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{WORDS.format('smoothing')} --sigma 0.5 --samples 60 --images 6 --seed 1".split()) == 0
    text = capsys.readouterr().out
    domain = domains.get("mnist")
    promise = certify.Smoothing(sigma=0.5, samples=60)(
        domain.classifier("mlp", "cpu"), *domain.sample(6, seed=1), generator=torch.Generator().manual_seed(1)
    )
    assert promise is not None and int(promise.certified.sum()) > 0
    assert f"({int(promise.certified.sum())} of 6; " in text.split("\n| 0 | ")[1].partition("\n")[0]
    assert f"\n| {float(promise.radius[promise.certified].max()):.4g} | " in text
    assert "right under attack" not in text and "white box: none" in text and "about the smoothed classifier" in text


def digit(folder: Path) -> tuple[str, int]:
    """A digit that the network sees rightly, as a file, and its class."""
    domain = domains.get("mnist")
    batch, labels = domain.sample(12, seed=0)
    chosen = int((domain.classifier("mlp", "cpu")(batch).argmax(1) == labels).nonzero()[0])
    file = folder / "mine.png"
    file.write_bytes(images.png(images.to_pixels(batch[chosen])))
    return str(file), int(labels[chosen])


def test_one_image_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, label = digit(tmp_path)
    words = f"{WORDS.format('linf')} --eps 0.3 --bound interval --image"
    assert main([*words.split(), file, "--label", str(label), "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    batch = images.to_tensor(images.decode(Path(file).read_bytes())[..., :1])
    promise = certify.LinfCertificate(eps=0.3, bound="interval")(
        domains.get("mnist").classifier("mlp", "cpu"), batch, torch.tensor([label])
    )
    assert promise is not None and 0 < float(promise.radius[0]) < 0.3
    assert f"The class is '{label}' (the true one); certified up to ε {float(promise.radius[0]):.4g} (L∞)." in text
    assert f"{file}, true class '{label}', seed 0" in text
    with (tmp_path / "out" / "certify-linf-mnist-mlp-image.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert float(rows[-1]["best bound"]) == pytest.approx(float(promise.margin[0]), rel=1e-3)
    assert all(float(row["best bound"]) <= float(row["best attacked margin"]) + 1e-4 for row in rows)
    changed = next(row["ε, L∞"] for row in rows if float(row["best attacked margin"]) <= 0)
    assert f"An attack at ε {changed} changes it." in text


def test_the_true_class_of_an_image_is_unknown_until_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, label = digit(tmp_path)
    words = [*f"{WORDS.format('smoothing')} --samples 60 --selection 20 --image".split(), file]
    assert main(words) == 0
    assert f"The class is '{label}' (the true class is unknown); certified up to ε" in capsys.readouterr().out
    other = (label + 1) % 10
    assert main([*words, "--label", str(other)]) == 0
    text = capsys.readouterr().out
    assert f"The class is '{label}', and the true one is '{other}'" in text and "nothing is certified" in text


def test_an_image_of_the_gallery_has_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    item = domains.get("mnist").gallery()[3]
    assert main(f"{WORDS.format('smoothing')} --samples 60 --selection 20 --image {item.name}".split()) == 0
    assert f"{item.name} of MNIST (scikit-learn's digits), true class '{item.label}'" in capsys.readouterr().out


@pytest.mark.parametrize("which", ["--images 2", "--image 0"])
def test_a_certificate_says_whether_the_classifier_fits(
    which: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        certify.Smoothing, "fits", classmethod(lambda cls, classifier: f"{classifier.title}: too deep.")
    )
    assert main(f"{WORDS.format('smoothing')} {which}".split()) == 2
    assert capsys.readouterr().err == "mirage: Two-layer network: too deep.\n"


@pytest.mark.parametrize("words", ["--sigma 0.5", "--image 0 --images 3", "more"])
def test_flags_that_the_certificate_does_not_have_are_told(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(f"{WORDS.format('linf')} {words}".split())
    assert stopped.value.code == 2
    assert re.search("unrecognized arguments|not allowed with", capsys.readouterr().err)
