"""`python -m core list`: the domains, classifiers, attacks, defenses, detectors and certificates there are."""

from __future__ import annotations

import argparse
from typing import Any

from core import attacks, certify, defenses, detectors, domains
from core.cli.options import Commands
from core.declaration import Configurable, Parameter, format_value
from core.registry import Registry


def add_command(commands: Commands) -> None:
    """The command."""
    parser = commands.add_parser(
        "list",
        help="the domains, classifiers, attacks, defenses, detectors and certificates there are, with their parameters",
    )
    parser.set_defaults(act=act)


def act(_options: argparse.Namespace, _rest: list[str]) -> int:
    """Print them with their parameters."""
    print("Domains")
    for name in domains.names():
        domain = domains.get(name)
        print(f"  {name:<16}{domain.title}: {domain.note}")
        print(f"    attacks' eps: {format_value(domain.linf.eps, domain.linf.unit)} in L∞, {domain.l2.eps:g} in L2")
        for classifier in domain.classifier_names():
            print(f"    {classifier:<24}{domain.classifier_title(classifier)}")
    registries: tuple[tuple[str, Registry[Any]], ...] = (
        ("Attacks", attacks.REGISTRY),
        ("Defenses", defenses.REGISTRY),
        ("Detectors", detectors.REGISTRY),
        ("Certificates", certify.REGISTRY),
    )
    for title, registry in registries:
        print(f"\n{title}")
        for name in registry.names():
            _describe(registry.get(name))
    return 0


def _describe(method: type[Configurable]) -> None:
    print(f"  {method.name:<16}{method.title}: {method.summary} {method.paper}".rstrip())
    for parameter in method.parameters():
        print(f"    --{parameter.name:<14}{_range(parameter):<28}{parameter.help}")


def _range(parameter: Parameter) -> str:
    default = "worked out" if parameter.default is None else format_value(parameter.default, parameter.unit)
    if parameter.choices:
        return f"{'|'.join(parameter.choices)} [{default}]"
    if parameter.low is None or parameter.high is None:
        return f"[{default}]"
    return (
        f"{format_value(parameter.low, parameter.unit)} to {format_value(parameter.high, parameter.unit)} [{default}]"
    )
