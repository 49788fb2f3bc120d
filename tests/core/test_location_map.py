"""The map of places: each cell is the attack at that place."""

from __future__ import annotations

import pytest
import torch

from core import InvalidInput, Recipe
from core.analysis.patch_location import location_map
from core.attacks import Criterion
from core.recipe import Method, load_example


def test_each_cell_is_the_attack_at_that_place() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="lavan", params={"steps": 30, "area": 0.15}))
    example = load_example(recipe, device="cpu")
    target = (example.label + 3) % 10
    found = location_map(recipe, example, target, 3)
    assert found.rows == found.columns == (0.0, 0.5, 1.0)
    across, down = found.confidence[0][1], found.confidence[1][0]
    assert max(map(max, found.confidence)) > 0.5 and not 0.5 < across / down < 2, "rows and columns would be told apart"
    for i, j in ((0, 0), (1, 0)):
        params = {**recipe.attack.params, "place": "given", "row": found.rows[i], "column": found.columns[j]}
        attack = recipe.replace(attack={"name": "lavan", "params": params}).build_attack()
        generator = torch.Generator().manual_seed(recipe.seed)
        alone = attack(example.classifier, example.images, example.labels, Criterion(torch.tensor([target])), generator)
        assert found.confidence[i][j] == pytest.approx(float(alone.logits.softmax(1)[0, target]), rel=0.01)
        assert found.reached[i][j] == bool(alone.success[0])


def test_nonsense_is_refused() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="lavan"))
    example = load_example(recipe, device="cpu")
    with pytest.raises(InvalidInput, match="own class"):
        location_map(recipe, example, example.label)
    with pytest.raises(InvalidInput, match="grid is 1"):
        location_map(recipe, example, (example.label + 1) % 10, 1)
    with pytest.raises(InvalidInput, match="for LaVAN"):
        location_map(recipe.replace(attack={"name": "fgsm"}), example, (example.label + 1) % 10)
