"""What a user does, as plain data: the recipe that names an image, a classifier, an attack and defenses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from core import attacks, domains
from core.declaration import FractionFloat, format_errors, json_fields
from core.domains.image_ref import ImageRef
from core.inputs import InvalidInput, quoted
from core.recipe.columns import (
    MAX_COLUMNS,
    Columns,
    ColumnSpec,
    Method,
    Plain,
    build_column,
    build_columns,
    check_backward,
    check_classifiers,
    checked_columns,
)
from core.recipe.view import EXPLAINED, View
from core.systems import Backward, System

LONGEST = 8192  # characters of a link's recipe; the longest honest one is far below

Attacker = Literal["grey", "adaptive", "both"]


def build_attack(domain: str, method: Method) -> attacks.Attack:
    """The attack with its parameters, and the domain's defaults for the others.

    Raises:
        InvalidInput: there is no such attack, or it does not take these parameters.
    """
    return attacks.build(method.name, domains.get(domain).attack_values(attacks.get(method.name), method.params))


def describe_attack(domain: str, method: Method, always: Collection[str] = ()) -> str:
    """The attack with the parameters that differ from the domain's defaults, and those of `always`, in the domain's units."""
    parameters = domains.get(domain).attack_parameters(attacks.get(method.name), method.params)
    return build_attack(domain, method).describe(parameters, always)


class ComparisonSpec(Plain):
    """Attacks to put beside each other, and the budget that each of them gets where it has one.

    `eps` bounds every value's change (L∞), None for the domain's own; `steps` is the number of gradient steps, and of queries for a
    black box.
    """

    attacks: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)] = (
        "fgsm",
        "pgd",
        "square",
        "deepfool",
        "jsma",
    )
    eps: Annotated[FractionFloat, Field(ge=0, le=1)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 40

    @field_validator("attacks")
    @classmethod
    def _known_attacks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            attacks.get(name)
        return tuple(dict.fromkeys(names))


class JsonSpec(Plain):
    """Plain data about a domain that people keep as JSON; what is wrong with it is told in a sentence.

    Raises:
        InvalidInput: a field is unknown, missing or out of range.
    """

    what: ClassVar[str]  # with its article: 'a recipe'

    domain: Annotated[str, Field(max_length=40)] = "photos"

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInput(format_errors(error, f"This {self.what.split()[-1]}", values)) from None

    @field_validator("domain")
    @classmethod
    def _known_domain(cls, name: str) -> str:
        domains.get(name)
        return name

    def to_json(self) -> str:
        """All of it, every default written out, for people to read and keep."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What that JSON says.

        Raises:
            InvalidInput: it is not JSON, or says something else.
        """
        return cls(**json_fields(text, cls.what, ("domain", "seed")))


def with_budget(comparison: ComparisonSpec, name: str, eps: float | None = None) -> Method:
    """That attack with the comparison's budget, where it has one: eps, gradient steps or queries.

    Args:
        eps: the budget where the comparison names none.
    """
    known = {parameter.name: parameter for parameter in attacks.get(name).parameters()}
    params: dict[str, Any] = {}
    for word, value in (
        ("eps", comparison.eps if eps is None else eps),
        ("steps", comparison.steps),
        ("queries", comparison.steps),
    ):
        parameter = known.get(word)
        if value is not None and parameter is not None and parameter.default is not None:
            low, high = parameter.low or 0, parameter.high or value
            params[word] = type(parameter.default)(min(max(value, low), high))
    return Method(name=name, params=params)


class Recipe(JsonSpec):
    """One experiment on one image; JSON in and out, and small enough for a link.

    `defenses` is a tuple of columns. A column is a chain of methods before the recipe's classifier, or a `SystemSpec`: another
    classifier, or members that vote. `attacker` says whether the attack on each column knows the
    defense: 'grey' does not, 'adaptive' does, 'both' shows both. `backward` is how the adaptive one differentiates it, as in
    `Guarded`. The Attack page shows one attack: the adaptive one on the column with the number `known_defense` (the last one where
    there are fewer), else the one on the bare classifier. `target` is a class by name or number, '' for untargeted.
    `true_class`, also by name or number, is the true class of an image whose class the domain does not know ('': unknown); where the
    domain knows the class, it is ignored. `view` says what the pages show of it.

    Raises:
        InvalidInput: it names something outside the registries, or a value out of range; the sentence says what to do.
    """

    what: ClassVar[str] = "a recipe"

    classifier: Annotated[str, Field(max_length=80)] = ""
    image: ImageRef = ImageRef()
    true_class: Annotated[str, Field(max_length=80)] = ""
    attack: Method = Method(name="pgd")
    target: Annotated[str, Field(max_length=80)] = ""
    defenses: Annotated[Columns, Field(max_length=MAX_COLUMNS)] = (
        (Method(name="jpeg"),),
        (Method(name="median"),),
        (Method(name="lgs"),),
    )
    attacker: Attacker = "grey"
    backward: Backward = "average"
    known_defense: Annotated[int, Field(ge=0, le=11)] = 0
    comparison: ComparisonSpec = ComparisonSpec()
    view: View = View()
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @field_validator("defenses")
    @classmethod
    def _known_defenses(cls, columns: Columns) -> Columns:
        return checked_columns(columns)

    @field_validator("attack")
    @classmethod
    def _known_attack(cls, method: Method) -> Method:
        attacks.build(method.name, method.params)
        return method

    @model_validator(mode="after")
    def _known_names(self) -> Recipe:
        check_classifiers(self.domain, self.defenses)
        check_backward(self.backward, self.attacker, self.build_systems())
        domain = domains.get(self.domain)
        if self.classifier and self.classifier not in domain.classifier_names():
            raise InvalidInput(
                f"{domain.title} has no classifier called {quoted(self.classifier)}; it has {', '.join(domain.classifier_names())}."
            )
        explained = self.view.explained_class
        if explained not in EXPLAINED:
            word = domain.class_word(domain.class_number(explained))
            object.__setattr__(self, "view", self.view.model_copy(update={"explained_class": word}))
        for field in ("target", "true_class"):
            word = getattr(self, field)
            if word:  # one class has one name, whatever it was called: 1, "CAT" and " cat " are the same class
                object.__setattr__(self, field, domain.class_word(domain.class_number(word)))
        if self.image.kind == "gallery" and self.image.name:
            domain.gallery_item(self.image.name)
        return self

    # Views of the data

    def build_attack(self) -> attacks.Attack:
        """The attack with its parameters, and the domain's defaults for the others."""
        return build_attack(self.domain, self.attack)

    def attack_description(self) -> str:
        """The attack with the parameters that differ from the domain's defaults, in the domain's units."""
        return describe_attack(self.domain, self.attack)

    @property
    def comparison_eps(self) -> float:
        """The comparison's eps; the domain's where the comparison names none."""
        return domains.get(self.domain).linf.eps if self.comparison.eps is None else self.comparison.eps

    def build_systems(self) -> tuple[System, ...]:
        """One system a column."""
        return build_columns(self.domain, self.defenses)

    def known_column(self) -> ColumnSpec | None:
        """The column that the attacker of the Attack page knows; None for one who knows none."""
        if self.attacker != "adaptive" or not self.defenses:
            return None
        return self.defenses[min(self.known_defense, len(self.defenses) - 1)]

    def build_known_system(self) -> System | None:
        """The same, built."""
        column = self.known_column()
        return None if column is None else build_column(self.domain, column)

    def replace(self, **changes: Any) -> Recipe:
        """The same recipe with some fields changed, checked again."""
        return type(self)(**{**self.model_dump(), **changes})

    # Links

    def to_link(self) -> str:
        """The recipe as one URL-safe word: base64 of the JSON of what differs from the defaults."""
        text = json.dumps(self.model_dump(mode="json", exclude_defaults=True), separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_link(cls, word: str) -> Recipe:
        """The recipe of that word of a link.

        Raises:
            InvalidInput: the word is damaged, too long, or names something that is not here.
        """
        if len(word) > LONGEST:
            raise InvalidInput("The recipe in this link is too long to be one of ours.")
        try:
            text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidInput("The recipe in this link is damaged; copy the whole link again.") from None
        return cls.from_json(text)
