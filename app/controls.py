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
    with st.container(key=f"{key}_strip"):
        for column, parameter in zip(st.columns(len(declared), gap="medium"), declared, strict=True):
            with column:
                value = _control(parameter, held[parameter.name], f"{key}_{method.name}_{parameter.name}")
            if value != parameter.default:
                chosen[parameter.name] = value
    return chosen


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
    start = value if value is not None else (parameter.step or 1) * 4
    return _number(parameter, start, label, key)


def _number(parameter: Parameter, value: Any, label: str, key: str) -> Any:
    """A slider over the usual range, or a field where there would be too many stops; budgets are counted in n/255."""
    assert parameter.low is not None and parameter.high is not None
    whole = parameter.kind == "integer"
    unit = 255.0 if parameter.unit == "/255" else 1.0
    high = parameter.high if parameter.usual is None else max(parameter.usual, float(value))
    step = parameter.step or (parameter.high - parameter.low) / 100
    words = parameter.help
    if parameter.unit == "/255":
        label, words = f"{label} (n/255)", f"{parameter.help} {shown(value, '/255')} = {value:.4f} of the range."
    elif parameter.unit:
        label = f"{label} ({parameter.unit.strip()})"
    if whole:
        low, top, stride, now = int(parameter.low), int(high), max(1, int(step)), int(value)
        if (top - low) / stride > _SLIDER:
            return int(st.number_input(label, low, int(parameter.high), now, stride, help=words, key=key))
        return int(st.slider(label, low, top, now, stride if (now - low) % stride == 0 else 1, help=words, key=key))
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
    if abs(drawn - now_) < 1e-6:
        return value  # the slider's rounding is no change
    return min(max(round(drawn, 6) / unit, parameter.low), parameter.high)
