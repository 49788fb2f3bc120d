"""The command line, run as a person runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import Recipe, domains, images, training
from core.cli import certify, evaluate, main, recipes


def test_list_names_every_method_and_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for word in ("photos", "photonet", "pgd", "--eps", "8/255", "lgs", "jpeg", "--quality"):
        assert word in text


def test_attack_writes_images_recipe_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_report_says_whether_the_attack_succeeded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "attack cat --attack fgsm --eps {} --device cpu --out"
    assert main([*words.format("8/255").split(), str(tmp_path / "out")]) == 0
    assert " after 1 step: FGSM" in capsys.readouterr().out
    assert main([*words.format("0").split(), str(tmp_path / "none")]) == 0
    assert " no success in 1 step: FGSM" in capsys.readouterr().out


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


def test_an_image_file_of_the_users_and_its_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(images.png(domains.get("photos").gallery_pixels("rocket")))
    assert main(["attack", str(file), "--attack", "fgsm", "--device", "cpu", "--out", str(tmp_path / "a")]) == 0
    again = ["run", str(tmp_path / "a" / "recipe.json"), "--device", "cpu", "--out", str(tmp_path / "b")]
    assert main(again) == 2  # the recipe cannot carry the image
    assert main([*again, "--image", str(file)]) == 0
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
        ("certify magic", "no certificate called 'magic'; there are flow, linf, smoothing"),
        ("certify linf --domain nowhere", "no domain called"),
        ("certify linf --domain mnist --classifier nobody", "no classifier called"),
        ("certify linf --domain mnist --eps 9", "eps is 9; it must be at most 1"),
        ("certify flow --domain mnist --bound narrow", "bound is 'narrow'"),
        ("certify linf --images 1", "Randomized smoothing takes any classifier"),
        ("certify flow --domain mnist --classifier a --image 0", "no two-layer network"),
        ("certify smoothing --domain cifar10", "not on this machine"),
        ("certify smoothing --domain mnist --split middle", "no split called 'middle'; it has test, train"),
        ("certify linf --domain mnist --images 0", "ask for 1 to 360"),
        ("certify linf --domain mnist --seed -3", "seed"),
        ("certify linf --domain mnist --label 3", "name an image, too"),
        ("certify linf --domain mnist --image 0 --label ten", "no class of MNIST"),
        ("certify linf --domain mnist --image nobody.png", "neither a file nor in the gallery"),
        ("certify linf --domain mnist --device cuda:9", "no device"),
        ("certify linf --domain mnist --image 0 --device cuda:9", "no device"),
    ],
)
def test_mistakes_get_one_sentence(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*words.split(), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert "Traceback" not in error


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", "list"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Attacks" in done.stdout


@pytest.mark.parametrize(("accuracy", "told"), [(0.1, True), (0.45, False)])
def test_training_prints_that_it_overfitted(
    accuracy: float, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(*_: object) -> None:
        (tmp_path / "mnist_a").mkdir()
        lines = [
            {"stage": 0, "epoch": epoch, "step": 1, "losses": {}, "metrics": {"held-out accuracy under attack": value}}
            for epoch, value in ((1, 0.5), (2, accuracy))
        ]
        (tmp_path / "mnist_a" / "curves.jsonl").write_text("\n".join(map(json.dumps, lines)))

    monkeypatch.setattr(training, "train", trained)
    assert main(["train", "mnist_a", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert ("Catastrophic overfitting" in capsys.readouterr().out) == told


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attack, certificate, evaluation or training fails the test."""

    def begun(*_: object, **__: object) -> None:
        pytest.fail("the work began")

    works = (recipes, "run"), (training, "train"), (evaluate, "evaluate"), (certify, "certify_set")
    for module, name in (*works, (certify, "load_example")):
        monkeypatch.setattr(module, name, begun)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "command",
    [
        *("attack cat", "run RECIPE", "train mnist_a", "evaluate --images 1", "evaluate PLAN"),
        *("certify linf --domain mnist", "certify linf --domain mnist --image 0"),
    ],
)
@pytest.mark.parametrize("out", ["FILE", "FILE/below", "/proc/nowhere", "nul\0"])
def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    command: str, out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "recipe.json").write_text("{}")
    (tmp_path / "plan.json").write_text('{"n_images": 1}')
    places = {"RECIPE": str(tmp_path / "recipe.json"), "PLAN": str(tmp_path / "plan.json")}
    words = [places.get(word, word) for word in command.split()]
    assert main([*words, "--device", "cpu", "--out", out.replace("FILE", str(tmp_path / "file"))]) == 2
    assert "Nothing can be written to" in capsys.readouterr().err


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["run", "evaluate", "attack", "certify linf --image"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "is a folder; name a file"),
        ("pipe", "is a pipe or a device"),
        ("gone", "no such file or directory"),
        ("latin", "is not|no image"),
        ("huge", "MB"),
        (b"caf\xe9\xff".decode("utf-8", "surrogateescape"), "is not|no image"),
    ],
)
def test_files_that_cannot_be_read_are_one_sentence(
    command: str, name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "gone":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes("{é".encode("latin-1"))
    if name == "huge":
        os.truncate(path, 30_000_000)
    assert main([*command.split(), str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mirage: ") and re.search(words, error) and error.count("\n") == 1, error


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9\xff.png"
    with open(name, "wb") as file:
        file.write(images.png(domains.get("photos").gallery_pixels("rocket")[:64, :64]))
    words = [
        sys.executable,
        "-m",
        "core",
        "attack",
        name,
        "--attack",
        "fgsm",
        "--device",
        "cpu",
        "--out",
        os.fsencode(tmp_path) + b"/\xff",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Saved in" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--defense", "|".join(["@a"] * 7)], "members"),
        (["--defense", "+".join(["jpeg"] * 7)], "This command"),
        (["--attack", "a" * 41], "This command"),
        (["--defense", "@" + "a" * 81], "This command"),
    ],
)
def test_a_column_or_a_method_that_is_too_long_gets_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--domain", "mnist", "--images", "2", *words]) == 2
    problem = capsys.readouterr().err
    assert problem.startswith("mirage: ") and said in problem and "Traceback" not in problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attack", "pgd", "--eps", "1/255", "--attacker", "grey"], "leave out --attack, --eps, --attacker"),
        (["--classifier", "vgg"], "leave out --classifier"),
        (["--classifier", "a", "--classifier", "b"], "takes one classifier, not 2"),
    ],
)
def test_flags_that_a_papers_table_settles_itself_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "defendr-table-1", "--domain", "cifar10", *words, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
