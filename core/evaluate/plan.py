"""A whole-dataset experiment as plain data: which images, classifiers, attacks, defenses and attackers."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from core import attacks, certify, detectors, domains
from core.attacks.base import Attack
from core.certify import Certificate
from core.detectors import Detector
from core.inputs import InvalidInput, quoted
from core.recipe.columns import (
    Columns,
    Method,
    build_columns,
    check_backward,
    check_classifiers,
    checked_columns,
    named_classifiers,
    resolved_columns,
)
from core.recipe.recipe import Attacker, JsonSpec, build_attack, describe_attack
from core.systems import Backward, System

NO_DEFENSE = -1  # in place of a defense's number: none
NO_ATTACK = -1  # in place of an attack's number: none
BUDGETS = ("eps", "max_tv", "area", "sigma")  # the parameters that a table names at their default, too
FIRST_CERTIFICATE = -2  # in place of an attack's number: the first certificate; the second one is -3


class Plan(JsonSpec):
    """Every attack on every classifier, on images sampled by the seed, judged behind every defense.

    Attributes:
        classifiers: by name; none for the domain's default.
        crafted_on: another classifier that all attacks are crafted on: the plan's classifiers are attacked as a black box, by an
            attacker who knows no defense. '' crafts on each of them.
        split, n_images, seed: which images.
        attacks, defenses, detectors, certificates: with their parameters. Detectors score what is crafted on the bare classifier.
            Certificates are worked out for the bare classifier and for every column, where they fit.
        target: a class by name or number; '' for untargeted.
        attacker: 'grey' judges the attack on the bare classifier behind each defense, 'adaptive' crafts one attack per defense,
            'both' does both.
        backward: how the adaptive attacker differentiates a defense, as in `Guarded`.
        batch: images attacked together; a run that is cut off loses one batch at most.
        save_images: the attacked images that are kept, of the first so many.

    Raises:
        InvalidInput: it names something outside the registries or a value out of range, or nothing is chosen.
    """

    what: ClassVar[str] = "an evaluation"

    classifiers: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    crafted_on: Annotated[str, Field(max_length=80)] = ""
    split: Annotated[str, Field(pattern="^[a-z]{1,16}$")] = "test"
    n_images: Annotated[int, Field(ge=1, le=1_000_000)] = 16
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    attacks: Annotated[tuple[Method, ...], Field(max_length=24)] = (Method(name="pgd"),)
    target: Annotated[str, Field(max_length=80)] = ""
    defenses: Annotated[Columns, Field(max_length=32)] = ((Method(name="jpeg"),), (Method(name="lgs"),))
    attacker: Attacker = "both"
    backward: Backward = "average"
    batch: Annotated[int, Field(ge=1, le=1000)] = 25
    save_images: Annotated[int, Field(ge=0, le=100_000)] = 100
    detectors: Annotated[tuple[Method, ...], Field(max_length=8)] = ()
    certificates: Annotated[tuple[Method, ...], Field(max_length=8)] = ()

    @field_validator("attacks", "detectors", "certificates")
    @classmethod
    def _known_methods(cls, methods: tuple[Method, ...], info: ValidationInfo) -> tuple[Method, ...]:
        registry = {"attacks": attacks, "detectors": detectors, "certificates": certify}[str(info.field_name)].REGISTRY
        for method in methods:
            registry.build(method.name, method.params)
        return _once(methods)

    @field_validator("defenses")
    @classmethod
    def _known_defenses(cls, columns: Columns) -> Columns:
        return _once(checked_columns(columns))

    @model_validator(mode="after")
    def _known_names(self) -> Plan:
        domain = domains.get(self.domain)
        for name in (*self.classifiers, *([self.crafted_on] if self.crafted_on else [])):
            if name not in domain.classifier_names():
                raise InvalidInput(
                    f"{domain.title} has no classifier called {quoted(name)}; it has {', '.join(domain.classifier_names())}."
                )
        if self.crafted_on and self.attacker != "grey":
            raise InvalidInput(
                "An attack that is crafted on another classifier is a black box: it knows no defense. Choose the attacker 'grey'."
            )
        if self.target:
            domain.class_number(self.target)
        check_classifiers(self.domain, self.defenses)
        check_backward(self.backward, self.attacker, self.systems)
        _ = self.built_detectors, self.built_certificates
        return self

    @cached_property
    def built_attacks(self) -> tuple[Attack, ...]:
        return tuple(build_attack(self.domain, method) for method in self.attacks)

    @cached_property
    def built_detectors(self) -> tuple[Detector, ...]:
        """The detectors with the domain's defaults, without a classifier."""
        domain = domains.get(self.domain)
        return tuple(detectors.build(method.name, method.params).resolved(domain) for method in self.detectors)

    @cached_property
    def built_certificates(self) -> tuple[Certificate, ...]:
        return tuple(build_certificate(self.domain, method) for method in self.certificates)

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """One a column."""
        return build_columns(self.domain, self.defenses)

    def system(self, number: int) -> System | None:
        """The system of that column; None for NO_DEFENSE."""
        return None if number == NO_DEFENSE else self.systems[number]

    def classifier_names(self) -> tuple[str, ...]:
        """The classifiers by name; the domain's default where none is named."""
        return self.classifiers or domains.get(self.domain).classifier_names()[:1]

    def other_classifiers(self) -> tuple[str, ...]:
        """The classifiers that take part beside those that every column is tried on."""
        names = (*named_classifiers(self.defenses), *([self.crafted_on] if self.crafted_on else []))
        return tuple(name for name in dict.fromkeys(names) if name not in self.classifier_names())

    def attack_title(self, number: int) -> str:
        """The attack with its budget and the parameters that differ from the domain's defaults."""
        return "no attack" if number == NO_ATTACK else describe_attack(self.domain, self.attacks[number], BUDGETS)

    def defense_title(self, number: int) -> str:
        return "no defense" if number == NO_DEFENSE else self.systems[number].describe()

    def detector_title(self, number: int) -> str:
        return self.built_detectors[number].describe()

    def certificate_title(self, number: int) -> str:
        """The certificate with its budget and the parameters that differ from the domain's defaults."""
        method = self.certificates[number]
        parameters = domains.get(self.domain).attack_parameters(certify.get(method.name), method.params)
        return self.built_certificates[number].describe(parameters, BUDGETS)

    @property
    def name(self) -> str:
        """The same plan is the same run: its name comes from what it says."""
        fields = self.resolved().model_dump(mode="json")
        if not self.certificates:
            del fields["certificates"]  # so that runs from before there were any are found again
        text = json.dumps(fields, sort_keys=True)
        return f"{self.domain}-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of the weights of the defenses and the detectors by the names of their artifacts."""
        parts = [part.checksums() for part in self.systems] + [part.checksums() for part in self.built_detectors]
        return {name: sha256 for part in parts for name, sha256 in part.items()}

    def resolved(self) -> Plan:
        """The same plan with the classifiers and the weights of learned defenses and detectors spelled out."""
        columns = resolved_columns(self.domain, self.defenses)
        resolved = tuple(Method(name=detector.name, params=detector.values()) for detector in self.built_detectors)
        names = self.classifier_names()
        return self.model_copy(update={"classifiers": names, "defenses": columns, "detectors": resolved})


def build_certificate(domain: str, method: Method) -> Certificate:
    """The certificate with its parameters, and the domain's defaults for the others.

    Raises:
        InvalidInput: there is no such certificate, or it does not take these parameters.
    """
    return certify.build(method.name, domains.get(domain).attack_values(certify.get(method.name), method.params))


def _once(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """The items in order, none of them twice."""
    return tuple(item for n, item in enumerate(items) if item not in items[:n])
