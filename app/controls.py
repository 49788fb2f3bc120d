"""Controls drawn from a method's declaration; nothing about a method is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.declaration import Declared, Parameter, shown

FIRST = 3  # parameters that are always in sight; the rest is folded away
_SLIDER = 400  # more stops than this are typed, not slid


def controls(method: type[Declared], params: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """One control a parameter, standing at `params`; the parameters that differ from the defaults after the visitor's touch."""
    chosen = {}
    held = method(**dict(params)).values()
    declared = method.parameters()
    for shelf, parameters in ((st.container(), declared[:FIRST]), (None, declared[FIRST:])):
        if not parameters:
            continue
        with shelf or st.expander("More settings"):
            for parameter in parameters:
                value = _control(parameter, held[parameter.name], f"{key}_{method.name}_{parameter.name}")
                if value != parameter.default:
                    chosen[parameter.name] = value
    return chosen


def strip(method: type[Declared], params: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """The same beside each other, all in sight."""
    chosen = {}
    held = method(**dict(params)).values()
    declared = method.parameters()
    with st.container(key=f"{key}_strip", horizontal=True, gap="medium"):
        for parameter in declared:
            value = _control(parameter, held[parameter.name], f"{key}_{method.name}_{parameter.name}")
            if value != parameter.default:
                chosen[parameter.name] = value
    return chosen


def standing(method: type[Declared], params: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """What `strip` is going to return: where its controls stand, before they are drawn."""
    chosen = {}
    held = method(**dict(params)).values()
    for parameter in method.parameters():
        value = _standing(parameter, held[parameter.name], f"{key}_{method.name}_{parameter.name}")
        if value != parameter.default:
            chosen[parameter.name] = value
    return chosen


def stands(method: type[Declared], *, key: str) -> bool:
    """Whether the strip stands on the page already."""
    return f"{key}_{method.name}_{method.parameters()[0].name}" in st.session_state


def _standing(parameter: Parameter, value: Any, key: str) -> Any:
    if parameter.optional:
        if not st.session_state.get(f"{key}_own", value is not None):
            return None
        value = _start(parameter, value)
    if key not in st.session_state:
        return value
    drawn = st.session_state[key]
    return drawn if parameter.kind in ("choice", "flag") else _taken(parameter, value, drawn)


def _control(parameter: Parameter, value: Any, key: str) -> Any:
    label = parameter.name.replace("_", " ")
    if parameter.kind == "choice":
        options = list(parameter.choices)
        return st.selectbox(label, options, index=options.index(value), help=parameter.help, key=key)
    if parameter.kind == "flag":
        return st.toggle(label, value=value, help=parameter.help, key=key)
    if parameter.optional:
        return _optional(parameter, value, label, key)
    return _number(parameter, value, label, key)


def _optional(parameter: Parameter, value: Any, label: str, key: str) -> Any:
    """A switch between *worked out* and a number of the visitor's."""
    own = st.toggle(f"{label}: choose it", value=value is not None, help=parameter.help, key=f"{key}_own")
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
    drawn: float
    high = parameter.high if parameter.usual is None else max(parameter.usual, float(value))
    step = parameter.step or (parameter.high - parameter.low) / 100
    words = parameter.help
    if parameter.unit == "/255":
        label, words = f"{label} (n/255)", f"{parameter.help} {shown(value, '/255')} = {value:.4f} of the range."
    elif parameter.unit:
        label = f"{label} ({parameter.unit.strip()})"
    if parameter.kind == "integer":
        low, top, stride, now = int(parameter.low), int(high), max(1, int(step)), int(value)
        if (top - low) / stride > _SLIDER:
            drawn = st.number_input(label, low, int(parameter.high), now, stride, help=words, key=key)
        else:
            stride = stride if (now - low) % stride == 0 else 1
            drawn = st.slider(label, low, top, now, stride, help=words, key=key)
        return _taken(parameter, value, drawn)
    low_, top_, stride_, now_ = parameter.low * unit, high * unit, step * unit, float(value) * unit
    if (top_ - low_) / stride_ > _SLIDER:
        drawn = st.number_input(label, low_, parameter.high * unit, now_, stride_, format="%g", help=words, key=key)
    else:
        drawn = st.slider(
            label,
            round(low_, 6),
            round(top_, 6),
            round(now_, 6),
            round(stride_, 6),
            format="%g",
            help=words,
            key=key,
        )
    return _taken(parameter, value, drawn)


def _taken(parameter: Parameter, value: Any, drawn: float) -> Any:
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
