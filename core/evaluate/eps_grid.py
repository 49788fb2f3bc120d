"""Attacks at several budgets."""

from __future__ import annotations

from collections.abc import Sequence

from core import attacks, domains
from core.recipe.columns import Method
from core.recipe.recipe import build_attack


def at_each_eps(methods: Sequence[Method], eps: Sequence[str], domain: str = "photos") -> list[Method]:
    """Every attack that has an eps at each of the given ones; the others, and all without any, as they are.

    Args:
        eps: as a person writes them, '8/255' or '0.03'.

    Raises:
        InvalidInput: an attack does not take its parameters.
    """
    result = []
    for method in methods:
        has_eps = eps and any(parameter.name == "eps" for parameter in attacks.get(method.name).parameters())
        variants = [{**method.params, "eps": value} for value in eps] if has_eps else [method.params]
        # Through the attack and back: '8/255' and 0.0314 are the same plan.
        result += [_normalized(Method(name=method.name, params=params), domain) for params in variants]
    return result


def _normalized(method: Method, domain: str) -> Method:
    """The method with the parameters, as numbers, that differ from the domain's defaults."""
    values = build_attack(domain, method).values()
    parameters = domains.get(domain).attack_parameters(attacks.get(method.name), method.params)
    return Method(name=method.name, params={p.name: values[p.name] for p in parameters if values[p.name] != p.default})
