"""What some attacks show beyond the adversarial image: a flow, a patch to print, a blink."""

from __future__ import annotations

from typing import Any

import pytest

from app.runtime import background, jobs
from app.state import result_keys, results
from core import domains
from core.recipe import ImageRef, Method, Recipe
from core.recipe.universal import universal_training_batch
from tests.pages.visits import settled, tiles, verdict, visit


def tabs(app: object) -> list[str]:
    return [tab.label for tab in app.tabs]  # type: ignore[attr-defined]


def test_every_attack_can_be_blinked() -> None:
    app = visit("attack", Recipe(attack=Method(name="fgsm")).to_link())
    assert tabs(app) == ["Step by step", "Before and after", "Blink"]


def test_a_flow_is_drawn_as_arrows_and_grid() -> None:
    flow = Method(name="stadv", params={"steps": 25, "binary_search_steps": 1})
    app = visit("attack", Recipe(domain="mnist", attack=flow).to_link())
    assert tabs(app)[-1] == "Flow"
    moved = [caption.value for caption in app.caption if "farthest pixel moved" in caption.value]
    assert len(moved) == 1 and "moved 0.00 pixels" not in moved[0], verdict(app)
    outcome = app.session_state["shown_attack"]
    again = type(outcome).from_json(outcome.to_json())
    assert (again.attacked.flow == outcome.attacked.flow).all()


def test_a_universal_patch_is_trained_on_other_images_and_printed() -> None:
    method = Method(name="universal_patch", params={"steps": 4, "batch": 4, "area": 0.2})
    app = visit("attack", Recipe(domain="mnist", image=ImageRef(), attack=method).to_link())
    assert tabs(app)[-1] == "Print"
    (patch,) = tiles(app, "The patch")
    assert patch["title"] == "the patch"
    outcome = app.session_state["shown_attack"]
    mnist = domains.get("mnist")
    images, _ = universal_training_batch(mnist, mnist.classifier(device="cpu"), outcome.attacked.target, seed=0)
    assert outcome.attacked.universal_success is not None and outcome.attacked.universal_success[1] == len(images) > 7
    assert any(f"of {len(images)} (" in caption.value for caption in app.caption)
    app.number_input(key="patch_cm").set_value(12.0)
    settled(app.run())
    assert not app.exception


def test_the_map_of_places_is_one_button() -> None:
    lavan = Method(name="lavan", params={"steps": 10})
    app = visit("attack", Recipe(domain="mnist", attack=lavan).to_link())
    assert tabs(app)[-1] == "Places"
    app.button(key="map_places").click()
    settled(app.run())
    assert any("of 25 places" in caption.value for caption in app.caption)


def test_a_kept_patch_is_stuck_onto_another_image() -> None:
    method = Method(name="universal_patch", params={"steps": 4, "batch": 4, "area": 0.2})
    app = visit("attack", Recipe(domain="mnist", image=ImageRef(), attack=method).to_link())
    assert "kept_patch" not in app.session_state
    app.button(key="keep_patch").click()
    settled(app.run())
    assert app.button(key="keep_patch").disabled
    (first,) = tiles(app, "The image with the patch")
    app.slider(key="stick_angle").set_value(90)
    settled(app.run())
    (turned,) = tiles(app, "The image with the patch")
    assert turned["src"] != first["src"]
    other = domains.get("mnist").gallery()[4].name
    app.session_state["recipe"] = app.session_state["recipe"].replace(image=ImageRef(name=other))
    settled(app.run())
    (moved,) = tiles(app, "The image with the patch")
    assert moved["src"] != turned["src"]
    assert any("Press Run" in title.value for title in app.title), "another image trains no new patch by itself"
    app.button(key="drop_patch").click()
    settled(app.run())
    assert "kept_patch" not in app.session_state and not app.exception


def test_a_job_that_ends_while_the_page_is_drawn_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page looks for the map, finds none, and only then the job ends: the map must stand there, not the button again."""
    lavan = Method(name="lavan", params={"steps": 10})
    app = visit("attack", Recipe(domain="mnist", attack=lavan).to_link())
    look = results.get

    def late(key: result_keys.AnyKey) -> Any:
        found = look(key)
        job = background.current_job()
        if job is not None:
            assert job.finished.wait(30)
        return found

    monkeypatch.setattr(results, "get", late)
    monkeypatch.setattr(jobs, "INLINE_WAIT", 0.0)
    app.button(key="map_places").click()
    app.run()
    assert any("of 25 places" in caption.value for caption in app.caption)
    assert not [button for button in app.button if button.key == "map_places"]
