"""The command line, run as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import Recipe, domains, images
from core.__main__ import main


def test_list_names_every_method_and_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for word in ("photos", "photonet", "pgd", "--eps", "8/255", "lgs", "jpeg", "--quality"):
        assert word in text


def test_attack_writes_pictures_recipe_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "attack cat --attack pgd --eps 8/255 --steps 3 --defense jpeg:quality=60+lgs --attacker both --device cpu --out"
    )
    assert main([*words.split(), str(tmp_path / "a")]) == 0
    assert "adaptive" in capsys.readouterr().out
    clean, adversarial = (images.decode((tmp_path / "a" / f"{n}.png").read_bytes()) for n in ("clean", "adversarial"))
    assert 0 < np.abs(clean.astype(int) - adversarial).max() <= 8
    recipe = Recipe.from_json((tmp_path / "a" / "recipe.json").read_text())
    assert recipe.defenses[0][0].params == {"quality": "60"}
    assert main(["run", str(tmp_path / "a" / "recipe.json"), "--device", "cpu", "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "adversarial.png").read_bytes() == (tmp_path / "b" / "adversarial.png").read_bytes()
    assert json.loads((tmp_path / "b" / "outcome.json").read_text())["classes"][0] == "cat"


def test_the_true_class_of_a_file_is_unknown_until_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(images.png(domains.get("photos").gallery_pixels("cat")[::4, ::4]))
    command = [
        "attack",
        str(file),
        "--attack",
        "fgsm",
        "--defense",
        "jpeg",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "true class unknown" in text and "✓" not in text and "✗" not in text
    assert not json.loads((tmp_path / "o" / "outcome.json").read_text())["label_known"]
    assert main([*command, "--true-class", "cat"]) == 0
    text = capsys.readouterr().out
    assert "true class cat" in text and ("✓" in text or "✗" in text)
    assert json.loads((tmp_path / "o" / "outcome.json").read_text())["label_known"]
    assert main([*command, "--true-class", "unicorn"]) == 2
    assert "no class of Photographs" in capsys.readouterr().err


def test_a_picture_file_of_the_users_and_its_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(images.png(domains.get("photos").gallery_pixels("rocket")))
    assert main(["attack", str(file), "--attack", "fgsm", "--device", "cpu", "--out", str(tmp_path / "a")]) == 0
    again = ["run", str(tmp_path / "a" / "recipe.json"), "--device", "cpu", "--out", str(tmp_path / "b")]
    assert main(again) == 2  # the recipe cannot carry the picture
    assert main([*again, "--picture", str(file)]) == 0
    assert (tmp_path / "a" / "adversarial.png").read_bytes() == (tmp_path / "b" / "adversarial.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("attack nobody.png", "neither a file nor in the gallery"),
        ("attack cat --eps 9", "at most"),
        ("attack cat --defense magic", "no defense called"),
        ("attack cat --target unicorn", "no class"),
        ("attack cat --seed -3", "seed"),
        ("run missing.json", "missing.json"),
        ("attack cat --device cuda:9", "no device"),
    ],
)
def test_mistakes_get_one_sentence(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*words.split(), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", "list"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Attacks" in done.stdout
