"""Every screen of an image whose true class is unknown: nothing is called right or wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.state import uploads
from core import Recipe, images
from core.recipe import ImageRef, Method
from tests.pages.visits import verdict, visit

PAGES = ("", "attack", "compare", "defend", "windows", "gradcam", "masks", "landscape", "detect", "certify", "models")
NOISE = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def everything(app: AppTest) -> str:
    """All words that a page shows, those of its image rows and plots too."""
    parts = [
        str(getattr(element, "value", ""))
        for kind in (app.markdown, app.caption, app.title, app.info)
        for element in kind
    ]
    parts += [str(frame.value) for frame in app.dataframe] + [str(table.value) for table in app.table]
    parts += [progress.text for progress in app.get("progress")]
    for element in app.get("bidi_component"):
        parts.append(json.dumps(json.loads(getattr(element.proto, "json", "") or "null"), ensure_ascii=False))
    return "\n".join(parts)


@pytest.mark.parametrize("page", PAGES)
def test_no_screen_marks_a_prediction_or_names_a_true_class(page: str) -> None:
    digest = uploads.uploads().add(images.png(NOISE))
    recipe = Recipe(
        domain="mnist",
        image=ImageRef(kind="upload", name="noise.png", digest=digest),
        attack=Method(name="fgsm"),
        defenses=((Method(name="bitdepth"),), (Method(name="lgs"),)),
    )
    app = visit(page, recipe.to_link())
    text = everything(app)
    assert "✓" not in text and "✗" not in text, [line for line in text.splitlines() if "✓" in line or "✗" in line]
    if page == "":
        assert "The true class of this image is unknown." in verdict(app)
    if page == "attack":
        assert verdict(app).startswith("The classifier saw a") or "the classifier still sees" in verdict(app)
    if page == "defend":
        assert "clean prediction" in verdict(app)
    if page == "gradcam":
        assert "true" not in app.segmented_control(key="cam_about").options
