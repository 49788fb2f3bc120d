"""The Windows screen."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.components.gradient_windows import levels
from app.text import prediction
from core import domains, images
from core.defenses import LGS
from core.evaluate.overlap import overlap
from core.recipe import Method, Recipe, craft, load_example
from core.recipe.example import predict
from tests.pages.visits import settled, tiles, verdict, visit

CLASSES = domains.get("photos").classes
PATCH = Recipe(attack=Method(name="lavan", params={"steps": 60}))
ROWS = tuple(f"Gradients smoothing of the {name} image" for name in ("clean", "attacked"))


def component(app: AppTest, word: str) -> dict[str, object]:
    """The data of the component that has that field."""
    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json) if element.proto.json else {}
        if word in data:
            return dict(data)
    raise AssertionError(f"no component with {word!r}")


def pixels(source: str) -> images.Pixels:
    return images.decode(base64.b64decode(source.split(",")[1]))


def late(app: AppTest, box: str) -> str:
    """The caption that follows the row in that box; it is meant for the images that were sent."""
    sent = [json.loads(e.proto.json) for e in app.get("bidi_component") if e.proto.json]
    (words,) = [data for data in sent if data.get("box") == box]
    tokens = [data["token"] for data in sent if "items" in data and data.get("token") == words["token"]]
    assert len(tokens) == 1
    return str(words["words"])


def test_it_shows_the_very_arrays_that_the_defense_used() -> None:
    app = visit("windows", PATCH.to_link())
    example = load_example(PATCH, device="cpu")
    attacked = craft(PATCH, example)
    batch = torch.cat([example.images, images.to_tensor(attacked.adversarial)])
    trace = LGS().trace(batch)
    for which, label in enumerate(ROWS):
        shown = tiles(app, label)
        assert [tile["title"] for tile in shown][1:] == ["magnitude", "normalized", "region", "suppression", "result"]
        result = images.to_pixels(LGS()(batch[which : which + 1]))[0]
        assert np.array_equal(pixels(shown[5]["src"]), result)
        kept = int(trace.kept[which].sum())
        assert shown[3]["caption"].startswith(f"{kept} of {trace.kept[which].numel()} windows")
        said = prediction(
            predict(example.classifier, trace.result[which : which + 1], example.label), CLASSES, example.label
        )
        assert shown[5]["deferred"] and late(app, f"tiles_windows_{('clean', 'attacked')[which]}") == said
    explorer = component(app, "tops")
    assert explorer["tops"] == list(trace.tops) and explorer["lefts"] == list(trace.lefts)
    np.testing.assert_array_equal(np.array(explorer["means"], np.float32), trace.means[1].numpy())
    chart = component(app, "gamma")
    assert sum(component(app, "attacked")["attacked"]) == trace.means[1].numel()  # type: ignore[arg-type]
    assert chart["gamma"] == 0.1
    assert f"{int(trace.kept[1].sum())} windows stand out" in verdict(app)


def test_precision_recall_and_iou_of_a_known_patch() -> None:
    app = visit("windows", PATCH.to_link())
    example = load_example(PATCH, device="cpu")
    attacked = craft(PATCH, example)
    assert attacked.mask is not None
    there = attacked.mask[..., 0] > 0
    assert there.sum() == round((0.09 * 160 * 160) ** 0.5) ** 2
    changed = (attacked.adversarial != example.clean).any(axis=2)
    assert not (changed & ~there).any()
    found = LGS().trace(images.to_tensor(attacked.adversarial)).region[0, 0].numpy()
    both = (found & there).sum()
    row = app.dataframe[0].value.iloc[1]
    assert row["precision"] == f"{both / found.sum():.2f}" and row["recall"] == f"{both / there.sum():.2f}"
    assert row["IoU"] == f"{both / (found | there).sum():.2f}"
    assert f"they hold {100 * both / there.sum():.0f} % of the patch" in verdict(app)


def test_sliders_change_the_recipe_and_the_images() -> None:
    app = visit("windows", PATCH.to_link())
    before = tiles(app, ROWS[1])
    app.slider(key="windows_0_lgs_lambda").set_value(0.5).run()
    after = tiles(app, ROWS[1])
    assert after[5]["src"] != before[5]["src"] and after[3]["src"] == before[3]["src"]
    assert app.session_state["recipe"].defenses[2][0].params == {"lambda": 0.5}
    app.slider(key="windows_0_lgs_threshold").set_value(0.9).run()
    assert verdict(app).startswith("No window stands out")
    app.slider(key="windows_0_lgs_window").set_value(5)
    app.run()
    assert "must be less than the window" in app.error[0].value
    app.slider(key="windows_0_lgs_overlap").set_value(1)
    settled(app.run())
    assert not app.error


def test_a_window_larger_than_the_image_gets_a_sentence() -> None:
    large = Recipe(domain="mnist", attack=Method(name="fgsm"), defenses=((Method(name="lgs", params={"window": 40}),),))
    app = visit("windows", large.to_link())
    assert "40×40 and the image 28×28" in app.error[0].value
    assert verdict(app) == "These windows do not fit."


def test_an_attack_without_a_patch_offers_one() -> None:
    app = visit("windows")
    assert "is made against patches" in app.info[0].value
    app.button(key="use_lavan").click()
    settled(app.run())
    assert app.session_state["recipe"].attack.name == "lavan"
    assert "of the patch" in verdict(app)


def test_overlap_counts_pixels() -> None:
    chance = np.random.default_rng(0)
    found, there = (torch.from_numpy(chance.random((3, 1, 9, 7)) < 0.4) for _ in range(2))
    found[2] = False
    shares = overlap(found, there)
    for n in range(3):
        f, t = found[n].numpy(), there[n].numpy()
        both = (f & t).sum()
        assert float(shares.precision[n]) == pytest.approx(both / f.sum() if f.sum() else np.nan, nan_ok=True)
        assert float(shares.recall[n]) == pytest.approx(both / t.sum())
        assert float(shares.iou[n]) == pytest.approx(both / (f | t).sum())


def test_levels_fill_the_range() -> None:
    assert levels(np.array([[0.0, 0.5, 1.0, 2.0]]))[..., 0].tolist() == [[0, 128, 255, 255]]
    assert levels(np.zeros((1, 2)), 0.0)[..., 0].tolist() == [[0, 0]]
