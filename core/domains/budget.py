"""How large a change the field allows on a domain's images, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.declaration import Configurable, Parameter

DECLARED = 8 / 255  # the eps that attacks declare; other budgets scale from it
BUDGETS = ("eps", "sigma", "step_size")  # the parameters that measure a change


@dataclass(frozen=True)
class Budget:
    """A default eps, the upper end and the step of its slider, and the unit in which it is written: '/255', or '' for a plain number."""

    eps: float
    slider_max: float
    step: float
    unit: str = ""


LINF = Budget(DECLARED, 32 / 255, 1 / 255, "/255")  # what the attacks declare themselves


def attack_parameters(
    method: type[Configurable], params: Mapping[str, Any], linf: Budget, l2: Budget
) -> tuple[Parameter, ...]:
    """A method's parameters with the budgets of a domain, in the norm that `params` choose."""
    declared = method.parameters()
    norm = params.get("norm", next((p.default for p in declared if p.name == "norm"), "linf"))
    budget = l2 if norm == "l2" else linf
    if budget == LINF:
        return declared
    return tuple(_scaled(p, budget) if p.name in BUDGETS and p.unit == "/255" else p for p in declared)


def _scaled(parameter: Parameter, budget: Budget) -> Parameter:
    """The parameter with its default, slider and unit in the proportion that the budget's eps has to the declared one."""
    scale = budget.eps / DECLARED
    high = parameter.high if parameter.high is not None else 1.0
    default = parameter.default
    if default is not None:
        default = min(float(f"{default * scale:.3g}"), high)
    full = parameter.name != "step_size"
    return replace(
        parameter,
        default=default,
        slider_max=min(budget.slider_max if full else budget.slider_max / 4, high),
        step=budget.step if full else budget.step / 4,
        unit=budget.unit,
    )
