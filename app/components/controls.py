"""Controls drawn from a method's declaration; nothing about a method is written here.

Where the recipe and a control disagree, whoever changed last wins: a control that the user moved changes the recipe, and a recipe
that was changed elsewhere (a link, a click on the image, another page) moves the control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.declaration import Configurable, Parameter, format_value
from core.images import rounding_note

N_VISIBLE = 3  # parameters that are always in sight; the rest is folded away
_MAX_SLIDER_STOPS = 400  # more stops than this are typed, not slid

Parameters = tuple[Parameter, ...]


def controls(
    method: type[Configurable], params: Mapping[str, Any], *, key: str, parameters: Parameters | None = None
) -> dict[str, Any]:
    """One control a parameter, standing at `params`; the parameters that differ from the defaults after the user's touch.

    Args:
        parameters: the method's parameters with the defaults and units of a domain.
    """
    declared = method.parameters() if parameters is None else parameters
    values, chosen = _all_values(method, params, declared), {}
    for shelf, some in ((st.container(), declared[:N_VISIBLE]), (None, declared[N_VISIBLE:])):
        if not some:
            continue
        with shelf or st.expander("More settings"):
            chosen.update(_changed(_control, some, values, f"{key}_{method.name}"))
    return chosen


def inline_controls(method: type[Configurable], params: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """The same beside each other, all in sight."""
    declared = method.parameters()
    with st.container(key=f"{key}_strip", horizontal=True, gap="medium"):
        return _changed(_control, declared, _all_values(method, params, declared), f"{key}_{method.name}")


def current_values(method: type[Configurable], params: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """What `inline_controls` is going to return: where its controls stand, before they are drawn."""
    declared = method.parameters()
    return _changed(_current_value, declared, _all_values(method, params, declared), f"{key}_{method.name}")


def _changed(
    value_of: Callable[[Parameter, Any, str], Any], parameters: Parameters, values: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The values that differ from the defaults, as `value_of` gives them for each parameter, its value and its widget's key."""
    current = {p.name: value_of(p, values[p.name], f"{key}_{p.name}") for p in parameters}
    return {p.name: current[p.name] for p in parameters if current[p.name] != p.default}


def is_rendered(method: type[Configurable], *, key: str) -> bool:
    """Whether the strip stands on the page already."""
    return f"{key}_{method.name}_{method.parameters()[0].name}" in st.session_state


def sync_widget(key: str, value: Any, *form: Any) -> None:
    """Have the widget of that key stand at the recipe's `value`, unless the user moved it since the recipe was that.

    What a script writes goes to the browser and undoes a choice that is on its way from there, so it is only written where the recipe
    was changed elsewhere: where its value is not the one that was read off the widget last, nor the one that it had then while
    nothing has changed the recipe since (a run that was cut off).

    The widget gets the value as its default, too: where a run that wrote it was cut off before the browser heard of it, the browser
    begins with the default, and would else answer with the widget's lowest value.

    Args:
        form: the widget's range; where it changes, the widget is a new one.
    """
    if key not in st.session_state or not _widget_wins(key, value, form):
        st.session_state[key] = value


def remember_value(key: str, value: Any, read: Any, *form: Any) -> None:
    """Note that `read` was read off the widget while the recipe's value was `value`."""
    st.session_state[f"{key}_taken"] = _LastRead(value, read, form, st.session_state.get("recipe"))


@dataclass(frozen=True)
class _LastRead:
    """What was read off a widget, and the recipe at that moment."""

    value: Any
    read: Any
    form: tuple[Any, ...]
    recipe: Any


def _widget_wins(key: str, value: Any, form: tuple[Any, ...] | None = None) -> bool:
    """Whether the widget wins over the recipe's `value`."""
    last: _LastRead | None = st.session_state.get(f"{key}_taken")
    if last is None or (form is not None and form != last.form):
        return False
    return bool(value == last.read or (value == last.value and st.session_state.get("recipe") is last.recipe))


def _all_values(method: type[Configurable], params: Mapping[str, Any], parameters: Parameters) -> dict[str, Any]:
    """All parameters' values: those given, and the defaults of `parameters`."""
    declared = {parameter.name: parameter.default for parameter in method.parameters()}
    own = {p.name: p.default for p in parameters if p.default != declared[p.name]}
    return method(**{**own, **params}).values()


def _user_moved(key: str, value: Any) -> bool:
    """Whether the widget of that key stands on the page and wins over the recipe's `value`."""
    return key in st.session_state and _widget_wins(key, value)


def _current_value(parameter: Parameter, value: Any, key: str) -> Any:
    if parameter.optional:
        own = value is not None
        if _user_moved(f"{key}_own", own):
            own = st.session_state[f"{key}_own"]
        if not own:
            return None
        value = _start(parameter, value)
    drawn = value if parameter.kind in ("choice", "flag") else _to_widget(parameter, value)
    if not _user_moved(key, drawn):
        return value
    drawn = st.session_state[key]
    return drawn if parameter.kind in ("choice", "flag") else _from_widget(parameter, value, drawn)


def _control(parameter: Parameter, value: Any, key: str) -> Any:
    label = parameter.name.replace("_", " ")
    if parameter.optional:
        return _optional(parameter, value, label, key)
    if parameter.kind not in ("choice", "flag"):
        return _number(parameter, value, label, key)
    sync_widget(key, value)
    read: Any
    if parameter.kind == "choice":
        read = st.selectbox(label, parameter.choices, parameter.choices.index(value), help=parameter.help, key=key)
    else:
        read = st.toggle(label, value, help=parameter.help, key=key)
    remember_value(key, value, read)
    return read


def _optional(parameter: Parameter, value: Any, label: str, key: str) -> Any:
    """A switch between *worked out* and a number of the user's."""
    sync_widget(f"{key}_own", value is not None)
    own = st.toggle(f"{label}: choose it", value is not None, help=parameter.help, key=f"{key}_own")
    remember_value(f"{key}_own", value is not None, own)
    if not own:
        return None
    return _number(parameter, _start(parameter, value), label, key)


def _start(parameter: Parameter, value: Any) -> Any:
    """Where a number begins that was worked out until now."""
    return value if value is not None else (parameter.step or 1) * 4


def _number(parameter: Parameter, value: Any, label: str, key: str) -> Any:
    """A slider over the usual range, or a field where there would be too many stops."""
    assert parameter.low is not None and parameter.high is not None
    unit = _unit(parameter)
    high = parameter.high if parameter.slider_max is None else max(parameter.slider_max, float(value))
    step = parameter.step or (parameter.high - parameter.low) / 100
    words = parameter.help
    if parameter.unit == "/255":
        label, words = f"{label} (n/255)", f"{parameter.help} {format_value(value, '/255')} = {value:.4f} of the range."
    elif parameter.unit:
        label = f"{label} ({parameter.unit.strip()})"
    current = _to_widget(parameter, value)
    low: Any
    top: Any
    stride: Any
    end: Any
    if parameter.kind == "integer":
        low, top, stride, end = int(parameter.low), int(high), max(1, int(step)), int(parameter.high)
    else:
        low, top, stride, end = (round(n * unit, 6) for n in (parameter.low, high, step, parameter.high))
    if (top - low) / stride > _MAX_SLIDER_STOPS:
        sync_widget(key, current, low, end, stride)
        drawn = st.number_input(
            label,
            low,
            end,
            current,
            step=stride,
            format="%d" if parameter.kind == "integer" else "%g",
            help=words,
            key=key,
        )
        form = (low, end, stride)
    else:
        if parameter.kind == "integer" and (current - low) % stride:
            stride = 1
        form = (low, top, stride)
        sync_widget(key, current, *form)
        drawn = st.slider(
            label,
            low,
            top,
            current,
            step=stride,
            format=None if parameter.kind == "integer" else "%g",
            help=words,
            key=key,
        )
    result = _from_widget(parameter, value, drawn)
    remember_value(key, current, _to_widget(parameter, result), *form)
    return result


def eps_note(parameters: Parameters, params: Mapping[str, Any]) -> None:
    """What 8-bit rounding makes of an L∞ eps that is not a whole number of gray levels."""
    if params.get("norm", "linf") == "l2":
        return
    for parameter in parameters:
        if parameter.name == "eps" and rounding_note(params.get("eps", parameter.default)):
            st.caption(rounding_note(params.get("eps", parameter.default)))


def _to_widget(parameter: Parameter, value: Any) -> Any:
    """Where the control of a number stands that is `value`."""
    return int(value) if parameter.kind == "integer" else round(float(value) * _unit(parameter), 6)


def _from_widget(parameter: Parameter, value: Any, drawn: float) -> Any:
    """The parameter's value where the control of one that was `value` stands at `drawn`."""
    if parameter.kind == "integer":
        return int(drawn)
    assert parameter.low is not None and parameter.high is not None
    unit = _unit(parameter)
    if abs(drawn - float(value) * unit) < 1e-6:
        return value  # the slider's rounding is no change
    return min(max(round(drawn, 6) / unit, parameter.low), parameter.high)


def _unit(parameter: Parameter) -> float:
    """By which a value is multiplied to be shown: budgets are counted in n/255."""
    return 255.0 if parameter.unit == "/255" else 1.0
