"""Every kind of result that a page asks for is computed by somebody, and every kind counts against the memory limit."""

from __future__ import annotations

import ast
import inspect
import io
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.state import result_keys, results
from app.state.result_keys import Kind, ResultKey
from core import Recipe
from core.analysis.class_maps import explain
from core.analysis.comparison import compare_attacks, transfer
from core.analysis.defense_grid import defense_grid
from core.analysis.feature_noise import feature_noise
from core.analysis.landscape import decision_regions, loss_surface
from core.analysis.patch_location import location_map
from core.attacks import FGSM
from core.certify.smoothing import Smoothing
from core.detectors import FeatureSqueezing
from core.evaluate.certification import certify_image, certify_set
from core.evaluate.detector_benchmark import benchmark_detector
from core.evaluate.eps_curves import accuracy_by_eps
from core.evaluate.transfer import transfer_accuracy
from core.explain import layers
from core.recipe import Method, craft, evaluate_defenses, load_example
from core.recipe.running import sweep

ROOT = Path(__file__).resolve().parents[2]
KEYS = ROOT / "app" / "result_keys.py"
CONSTRUCTORS = {
    name: function
    for name, function in inspect.getmembers(result_keys, inspect.isfunction)
    if str(inspect.signature(function).return_annotation).startswith("ResultKey[")
}
WRITERS = {"put", "start", "start_download", "run_cached"}  # functions that store a result under their first argument


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """What a file does with keys: ("made", constructor) for each call of a constructor, ("written", constructor) where a writer gets it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def constructor(node: ast.expr) -> str | None:
        if not isinstance(node, ast.Call):
            return None
        name = ast.unparse(node.func)
        return name.removeprefix("result_keys.") if name.startswith("result_keys.") else None

    assigned: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts = (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            names = {name for part in parts if (name := constructor(part))}
            assigned.setdefault(node.targets[0].id, set()).update(names)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if name := constructor(node):
            yield "made", name
        if ast.unparse(node.func).rpartition(".")[2] in WRITERS and node.args:
            first = node.args[0]
            written = assigned.get(first.id, set()) if isinstance(first, ast.Name) else {constructor(first)}
            yield from (("written", name) for name in written if name)


def kinds_of(name: str) -> set[Kind]:
    """The kinds that a constructor's code names."""
    return {Kind[word] for word in Kind.__members__ if f"Kind.{word}," in inspect.getsource(CONSTRUCTORS[name])}


def found_in(paths: list[Path]) -> Counter[tuple[str, Kind]]:
    return Counter((what, kind) for path in paths for what, name in calls(path) for kind in kinds_of(name))


def test_every_kind_that_is_asked_for_is_written_by_somebody() -> None:
    paths = [path for folder in ("app", "pages") for path in (ROOT / folder).rglob("*.py") if path != KEYS]
    found = found_in(paths)
    words = " ".join(path.read_text(encoding="utf-8") for path in paths)
    named = {kind for kind in Kind if f"Kind.{kind.name}" in words}
    asked = named | {kind for what, kind in found if what == "made"}
    written = {kind for what, kind in found if what == "written"}
    assert asked <= written, f"nobody writes {asked - written}"
    assert asked == set(Kind), "a kind that nobody asks for can go"
    assert all(len(kinds_of(name)) == 1 for name in CONSTRUCTORS), "a constructor makes keys of one kind"


def test_a_key_that_nobody_writes_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text("key = result_keys.sweep(recipe, '', '')\nresults.get(key)\n", encoding="utf-8")
    assert found_in([page]) == {("made", Kind.SWEEP): 1}
    page.write_text("key = result_keys.sweep(recipe, '', '')\nprogress.run_cached(key, '', work)\n", encoding="utf-8")
    assert ("written", Kind.SWEEP) in found_in([page])


class _Arrays(pickle.Pickler):
    """Counts the bytes of all arrays that an object leads to, without a classifier's weights."""

    total = 0

    def persistent_id(self, value: Any) -> object:
        if isinstance(value, np.ndarray | torch.Tensor):
            self.total += value.nbytes
            return id(value)
        return id(value) if isinstance(value, torch.nn.Module) or callable(value) else None


def arrays_in(result: Any) -> int:
    pickler = _Arrays(io.BytesIO())
    pickler.dump(result)
    return pickler.total


@pytest.fixture(scope="module")
def computed() -> dict[Kind, Any]:
    """A result of every kind."""
    recipe = Recipe(
        domain="mnist",
        attack=Method(name="lavan", params={"steps": 2, "area": 0.15}),
        defenses=((Method(name="jpeg"),),),
        comparison={"attacks": ("fgsm", "pgd"), "steps": 2},
        attacker="both",
    )
    example = load_example(recipe, device="cpu")
    classifier = example.classifier
    attacked = craft(recipe, example)
    assert attacked.target is not None
    images, labels = example.images.repeat(2, 1, 1, 1), torch.tensor([example.label] * 2)
    names = [layer.name for layer in layers.by_depth(layers.layers(classifier))]
    detector = FeatureSqueezing(classifier)
    return {
        Kind.EXAMPLE: example,
        Kind.LAYERS: layers.layers(classifier),
        Kind.ATTACK: attacked,
        Kind.DEFENSES: evaluate_defenses(recipe, example, attacked),
        Kind.SWEEP: sweep(recipe, example, attacked, "jpeg", "quality", (50, 60)),
        Kind.DEFENSE_GRID: defense_grid(recipe, 2, device="cpu"),
        Kind.COMPARISON: compare_attacks(recipe, example),
        Kind.TRANSFER: transfer(recipe, {"one": lambda: example, "two": lambda: example}),
        Kind.TRANSFER_ACCURACY: transfer_accuracy(FGSM(), {"one": classifier}, images, labels),
        Kind.EPS_CURVES: accuracy_by_eps([FGSM()], {"one": classifier}, images, labels),
        Kind.CERTIFIED_IMAGE: certify_image(Smoothing(samples=50), classifier, example.images, example.label),
        Kind.CERTIFIED_SET: certify_set(Smoothing(samples=50), classifier, images, labels),
        Kind.LOCATIONS: location_map(recipe, example, attacked.target, 2),
        Kind.CLEAN_SCORES: detector.score(images).numpy(),
        Kind.DETECTOR_BENCHMARK: benchmark_detector(detector, recipe.build_attack(), images, labels, threshold=1.0),
        Kind.LOSS_SURFACE: loss_surface(recipe, example, 0.1),
        Kind.DECISION_REGIONS: decision_regions(recipe, example, attacked),
        Kind.CLASS_MAPS: explain(recipe, example, attacked, method="gradcam", layer=layers.layers(classifier)[-1]),
        Kind.FEATURE_NOISE: feature_noise(recipe, example, {"LaVAN": attacked.adversarial}, names),
        Kind.WEIGHTS: True,
        Kind.DATA_SET: True,
    }


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_counts_with_all_its_arrays(kind: Kind, computed: dict[Kind, Any]) -> None:
    result = computed[kind]
    assert result is not None and results.size_of(result) >= max(8, arrays_in(result))


def test_the_memory_limit_holds_for_every_kind(computed: dict[Kind, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[str, Any] = {}
    monkeypatch.setattr(results.st, "session_state", held)
    monkeypatch.setattr(results, "MAX_BYTES", 1)
    for kind, result in computed.items():
        results.put(ResultKey(kind), result)
        assert list(results.results()) == [ResultKey(kind)], "the older result had to go"
