"""Controls from a declaration that no screen has seen before."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from streamlit.testing.v1 import AppTest

from core.declaration import Configurable, FractionFloat, choice, flag, number


class Made(Configurable):
    name: ClassVar[str] = "made"
    title: ClassVar[str] = "Made"
    summary: ClassVar[str] = "Nothing."
    paper: ClassVar[str] = "Nobody 2026"

    eps: FractionFloat = number(8 / 255, 0, 1, help="Budget.", step=0.5 / 255, slider_max=32 / 255, unit="/255")
    steps: int = number(40, 1, 5000, help="How many.", step=1, slider_max=100)
    pace: FractionFloat | None = number(None, 0, 1, help="Pace.", step=0.01)
    norm: Literal["linf", "l2"] = choice("linf", help="Norm.")
    early: bool = flag(True, help="Stop early.")


def _screen(params):  # its source runs in a file of its own
    import streamlit as st

    from app.components.controls import controls
    from tests.app.test_controls import Made

    st.session_state.got = controls(Made, params, key="k")


def screen(**params: Any) -> AppTest:
    app = AppTest.from_function(_screen, kwargs={"params": params}, default_timeout=30).run()
    assert not app.exception, app.exception
    return app


def test_untouched_controls_say_nothing() -> None:
    app = screen()
    assert app.session_state["got"] == {}
    eps = app.slider(key="k_made_eps")
    assert (eps.label, eps.value, eps.max, eps.step) == ("eps (n/255)", 8, 32, 0.5)
    assert eps.help.startswith("Budget.") and "8/255" in eps.help
    assert app.slider(key="k_made_steps").max == 100
    assert app.selectbox(key="k_made_norm").options == ["linf", "l2"]


def test_controls_stand_where_the_recipe_says_also_beyond_the_usual_range() -> None:
    params = {"eps": 64 / 255, "steps": 300, "pace": 0.25, "norm": "l2", "early": False}
    app = screen(**params)
    assert app.session_state["got"] == params
    assert (app.slider(key="k_made_eps").value, app.slider(key="k_made_eps").max) == (64, 64)
    assert app.slider(key="k_made_pace").value == 0.25


def test_what_is_moved_is_returned_in_the_units_of_the_declaration() -> None:
    app = screen()
    app.slider(key="k_made_eps").set_value(2.5).run()
    assert app.session_state["got"] == {"eps": 2.5 / 255}
    app.toggle(key="k_made_pace_own").set_value(True).run()
    assert app.session_state["got"]["pace"] == app.slider(key="k_made_pace").value
    app.toggle(key="k_made_pace_own").set_value(False).run()
    app.toggle(key="k_made_early").set_value(False).run()
    app.selectbox(key="k_made_norm").set_value("l2").run()
    assert app.session_state["got"] == {"eps": 2.5 / 255, "norm": "l2", "early": False}
    app.slider(key="k_made_eps").set_value(8.0).run()
    assert "eps" not in app.session_state["got"]


def _both(params):  # its source runs in a file of its own
    import streamlit as st

    from app.components.controls import controls
    from tests.app.test_controls import Made

    recipe = st.session_state.setdefault("recipe", dict(params))
    st.session_state.recipe = controls(Made, recipe, key="k")


def test_a_recipe_that_changes_elsewhere_moves_its_controls() -> None:
    app = AppTest.from_function(_both, kwargs={"params": {}}, default_timeout=30).run()
    app.slider(key="k_made_eps").set_value(2.5).run()
    app.selectbox(key="k_made_norm").set_value("l2").run()
    for params in (
        {"eps": 4 / 255, "steps": 7, "pace": 0.5, "norm": "linf", "early": False},
        {},
        {"eps": 100 / 255, "steps": 300, "norm": "l2"},
        {"eps": 2.5 / 255, "pace": 0.5},
    ):
        app.session_state["recipe"] = {name: value for name, value in params.items() if value != "linf"}
        app.run()
        assert not app.exception, app.exception
        assert app.session_state["recipe"] == {name: value for name, value in params.items() if value != "linf"}
        assert app.slider(key="k_made_eps").value == pytest.approx(255 * params.get("eps", 8 / 255))
        assert app.toggle(key="k_made_pace_own").value == ("pace" in params)
        app.slider(key="k_made_steps").set_value(11).run()
        assert app.session_state["recipe"]["steps"] == 11, "and what the user moves then still counts"


def test_a_change_that_was_cut_off_before_the_recipe_had_it_is_not_lost() -> None:
    app = screen()  # this screen never changes its recipe, as a run that the next one cuts off
    app.slider(key="k_made_eps").set_value(2.5).run()
    app.slider(key="k_made_steps").set_value(7).run()
    assert app.session_state["got"] == {"eps": 2.5 / 255, "steps": 7}


def _strip(params):  # its source runs in a file of its own
    import streamlit as st

    from app.components.controls import current_values, inline_controls
    from tests.app.test_controls import Made

    before = current_values(Made, params, key="k")
    st.session_state.got = (before, inline_controls(Made, params, key="k"))


@pytest.mark.parametrize("params", [{}, {"eps": 64 / 255, "steps": 300, "pace": 0.25, "norm": "l2", "early": False}])
def test_where_controls_stand_is_known_before_they_are_drawn(params: dict[str, Any]) -> None:
    app = AppTest.from_function(_strip, kwargs={"params": params}, default_timeout=30).run()
    moves = (
        lambda: app.slider(key="k_made_eps").set_value(2.5),
        lambda: app.slider(key="k_made_steps").set_value(7),
        lambda: app.selectbox(key="k_made_norm").set_value("linf"),
        lambda: app.toggle(key="k_made_early").set_value(False),
        lambda: app.toggle(key="k_made_pace_own").set_value(True),
        lambda: app.slider(key="k_made_pace").set_value(0.5),
        lambda: app.toggle(key="k_made_pace_own").set_value(False),
    )
    assert app.session_state["got"] == (params, params)
    for move in moves:
        move().run()
        assert not app.exception, app.exception
        before, after = app.session_state["got"]
        assert before == after
    assert after == {"eps": 2.5 / 255, "steps": 7, "early": False}
