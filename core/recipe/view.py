"""What the pages show of a recipe, as plain data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from core import certify, detectors
from core.declaration import FractionFloat
from core.explain.cams import METHODS
from core.inputs import InvalidInput, quoted
from core.recipe.columns import Method, Plain

EXPLAINED = ("predicted", "true", "target")  # classes that a class map may explain, beside a class by its name


class View(Plain):
    """Which views of the outcome are shown, and how they are set; no image of the recipe and no prediction depends on it.

    Attributes:
        class_map: the method of the class maps.
        layer: the layer that they are made of, by its dotted name; '' for the classifier's usual one.
        explained_class: 'predicted', 'true', 'target', or a class by name or number.
        landscape: the loss surface, the decision regions, or the spectrum of the change.
        radius: how far the loss surface reaches, in units of [0, 1]; None for twice the attack's change.
        detector: by name; '' for the domain's first.
        clean_flagged: the share of clean images that a detector may flag, from which its threshold follows.
        threshold: above which scores a trial's images are flagged; None for the detector's own.
        windows: the image whose gradient windows are drawn.
        certificate: by name, with the parameters that differ from the domain's defaults; None for the first that fits.
    """

    class_map: Annotated[str, Field(max_length=40)] = "gradcam"
    layer: Annotated[str, Field(max_length=120)] = ""
    explained_class: Annotated[str, Field(max_length=80)] = "predicted"
    landscape: Literal["surface", "regions", "spectrum"] = "surface"
    radius: Annotated[FractionFloat, Field(gt=0, le=2)] | None = None
    detector: Annotated[str, Field(max_length=40)] = ""
    clean_flagged: Annotated[FractionFloat, Field(ge=0, lt=1)] = 0.05
    threshold: float | None = None
    windows: Literal["clean", "attacked"] = "attacked"
    certificate: Method | None = None

    @field_validator("class_map")
    @classmethod
    def _known_class_map(cls, name: str) -> str:
        if name not in METHODS:
            raise InvalidInput(f"There is no class-map method {quoted(name)}; it must be one of {', '.join(METHODS)}.")
        return name

    @field_validator("detector")
    @classmethod
    def _known_detector(cls, name: str) -> str:
        if name:
            detectors.get(name)
        return name

    @field_validator("certificate")
    @classmethod
    def _known_certificate(cls, method: Method | None) -> Method | None:
        if method is not None:
            certify.build(method.name, method.params)
        return method
