"""Keys of results: each kind of result has one function here, which says what parts of the recipe the result depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import streamlit as st

from core import device, domains
from core.analysis.class_maps import ClassMap
from core.analysis.comparison import Comparison, TransferMatrix
from core.analysis.landscape import Regions
from core.analysis.patch_location import LocationMap
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.detector_benchmark import DetectorBenchmark
from core.evaluate.eps_curves import EpsCurves
from core.evaluate.transfer import TransferAccuracy
from core.explain.landscape import Grid
from core.explain.layers import Layer
from core.models import artifacts
from core.recipe import AttackOutcome, DefenseOutcome, Example, Method, Outcome, Recipe
from core.recipe.columns import Columns, build_columns, members_of, named_classifiers
from core.recipe.recipe import Attacker
from core.recipe.running import SweepPoint

T = TypeVar("T")


class Kind(StrEnum):
    """The kinds of results that pages ask for."""

    EXAMPLE = "example"
    LAYERS = "layers"
    ATTACK = "attack"
    DEFENSES = "defenses"
    SWEEP = "sweep"
    DEFENSE_GRID = "defense_grid"
    COMPARISON = "comparison"
    TRANSFER = "transfer"
    TRANSFER_ACCURACY = "transfer_accuracy"
    EPS_CURVES = "eps_curves"
    LOCATIONS = "locations"
    CLEAN_SCORES = "clean_scores"
    DETECTOR_BENCHMARK = "detector_benchmark"
    CERTIFIED_IMAGE = "certified_image"
    CERTIFIED_SET = "certified_set"
    LOSS_SURFACE = "loss_surface"
    DECISION_REGIONS = "decision_regions"
    CLASS_MAPS = "class_maps"
    FEATURE_NOISE = "feature_noise"
    WEIGHTS = "weights"
    DATA_SET = "data_set"


@dataclass(frozen=True)
class ResultKey(Generic[T]):
    """What a result of type T is stored under.

    Args:
        kind: the kind of result.
        parts: what the result depends on, as text.
        attacked: the key of the attack that it is computed from; None for what needs none.
    """

    kind: Kind
    parts: tuple[str, ...] = field(default=())
    attacked: ResultKey[AttackOutcome] | None = None

    def __str__(self) -> str:
        return " ".join((self.kind, *self.parts))


AnyKey = ResultKey[Any]

IMAGE = frozenset({"domain", "classifier", "image", "true_class"})
CRAFTED = IMAGE | {"attack", "target", "seed"}


def device_name() -> str:
    """The device that computes."""
    return str(st.session_state.get("device", device.names()[0]))


def classifier_name(recipe: Recipe) -> str:
    return recipe.classifier or domains.get(recipe.domain).classifier_names()[0]


def _parts(recipe: Recipe, fields: frozenset[str]) -> tuple[str, ...]:
    """The device, the classifier, whether the data set is here (its arrival changes the gallery), and those fields of the recipe."""
    local = domains.get(recipe.domain).missing_reason() is None
    classifier = _classifier(recipe.domain, classifier_name(recipe))
    return device_name(), classifier, str(local), recipe.model_dump_json(include=set(fields))


def _classifier(domain: str, name: str) -> str:
    """A classifier's name with the checksum of its weights: they can be retrained under the same name."""
    return f"{name} {artifacts.checksum('classifier', f'{domain}_{name}')}".rstrip()


def _classifiers(recipe: Recipe, names: Sequence[str]) -> list[str]:
    return [_classifier(recipe.domain, name) for name in names]


def _weights(recipe: Recipe, columns: Columns) -> str:
    """The checksums of what the columns use: other classifiers and learned defenses."""
    classifiers = _classifiers(recipe, named_classifiers(columns))
    learned = [sha256 for system in build_columns(recipe.domain, columns) for sha256 in system.checksums().values()]
    return " ".join((*classifiers, *learned))


def _known(recipe: Recipe) -> tuple[str, ...]:
    """The column that the recipe's attacker knows; empty where the attacker knows none."""
    column = recipe.known_column()
    if column is None:
        return ()
    members = (member.model_dump_json() for member in members_of(column))
    return (*members, recipe.backward, _weights(recipe, (column,)))


def _columns(recipe: Recipe) -> str:
    return f"{recipe.model_dump_json(include={'defenses'})} {_weights(recipe, recipe.defenses)}".rstrip()


def example(recipe: Recipe) -> ResultKey[Example]:
    return ResultKey(Kind.EXAMPLE, _parts(recipe, IMAGE))


def layers(domain: str, classifier: str) -> ResultKey[tuple[Layer, ...]]:
    return ResultKey(Kind.LAYERS, (domain, _classifier(domain, classifier)))


def attack(recipe: Recipe) -> ResultKey[AttackOutcome]:
    """The recipe's attack on its classifier, without any defense."""
    return ResultKey(Kind.ATTACK, _parts(recipe, CRAFTED))


def known_attack(recipe: Recipe) -> ResultKey[AttackOutcome]:
    """The recipe's attack on the system that its attacker knows; `attack` where that is the classifier alone."""
    return ResultKey(Kind.ATTACK, _parts(recipe, CRAFTED) + _known(recipe))


def defenses(recipe: Recipe, attacker: Attacker) -> ResultKey[tuple[DefenseOutcome, ...]]:
    """The recipe's columns against one attacker."""
    return ResultKey(Kind.DEFENSES, (attacker, *_parts(recipe, CRAFTED), _columns(recipe)), attacked=attack(recipe))


def sweep(recipe: Recipe, defense: str, parameter: str) -> ResultKey[tuple[SweepPoint, ...]]:
    """One defense over the values of one of its parameters."""
    parts = (*_parts(recipe, CRAFTED), defense, parameter, _columns(recipe))
    return ResultKey(Kind.SWEEP, parts, attacked=attack(recipe))


def defense_grid(recipe: Recipe, n_images: int) -> ResultKey[tuple[Outcome, ...]]:
    """The recipe's attack and columns on several images of the gallery."""
    parts = _parts(recipe, frozenset({"domain", "classifier", "attack", "target", "seed"}))
    return ResultKey(Kind.DEFENSE_GRID, (str(n_images), *parts, _columns(recipe)))


def comparison(recipe: Recipe) -> ResultKey[Comparison]:
    fields = IMAGE | {"comparison", "target", "seed"}
    return ResultKey(Kind.COMPARISON, _parts(recipe, fields) + _known(recipe))


def transfer(recipe: Recipe) -> ResultKey[TransferMatrix]:
    everyone = _classifiers(recipe, domains.get(recipe.domain).classifier_names())
    return ResultKey(Kind.TRANSFER, (*_parts(recipe, CRAFTED - {"classifier"}), *everyone))


def transfer_accuracy(
    recipe: Recipe, classifiers: Sequence[str], count: int, split: str
) -> ResultKey[TransferAccuracy]:
    """The recipe's attack crafted on each of those classifiers and judged by all of them, on images of a split."""
    return ResultKey(
        Kind.TRANSFER_ACCURACY,
        (*_many_images(recipe, count, split), *_classifiers(recipe, classifiers)),
    )


def eps_curves(
    recipe: Recipe, classifiers: Sequence[str], eps: Sequence[str], count: int, split: str
) -> ResultKey[EpsCurves]:
    """The recipe's attack at several eps on each of those classifiers."""
    return ResultKey(
        Kind.EPS_CURVES,
        (
            *_many_images(recipe, count, split),
            " ".join(eps),
            *_classifiers(recipe, classifiers),
        ),
    )


def _many_images(recipe: Recipe, count: int, split: str) -> tuple[str, ...]:
    attacked = recipe.model_dump_json(include={"domain", "attack", "target", "seed"})
    local = domains.get(recipe.domain).missing_reason() is None
    return device_name(), str(local), attacked, str(count), split


def locations(recipe: Recipe) -> ResultKey[LocationMap]:
    """The recipe's patch attack over a grid of locations."""
    return ResultKey(Kind.LOCATIONS, _parts(recipe, CRAFTED))


def clean_scores(recipe: Recipe, detector: str) -> ResultKey[npt.NDArray[np.float32]]:
    """A detector's scores of clean images."""
    parts = (detector, *_parts(recipe.replace(image={}), IMAGE), str(recipe.seed), *_known(recipe))
    return ResultKey(Kind.CLEAN_SCORES, parts)


def detector_benchmark(
    recipe: Recipe, detector: str, threshold: float, count: int, split: str
) -> ResultKey[DetectorBenchmark]:
    """A detector on many images, attacked by both attackers."""
    attacked = known_attack(recipe.replace(image={}, target="")).parts
    return ResultKey(Kind.DETECTOR_BENCHMARK, (detector, f"{threshold:.6f}", str(count), split, *attacked))


def certified_image(recipe: Recipe, method: Method) -> ResultKey[CertifiedImage]:
    """What a certificate promises of the recipe's image."""
    parts = (method.model_dump_json(), *_parts(recipe, IMAGE), str(recipe.seed))
    return ResultKey(Kind.CERTIFIED_IMAGE, parts)


def certified_set(recipe: Recipe, method: Method, count: int, split: str) -> ResultKey[CertifiedSet]:
    """What a certificate promises of images of the data set."""
    parts = (method.model_dump_json(), str(count), split, *_parts(recipe.replace(image={}), IMAGE), str(recipe.seed))
    return ResultKey(Kind.CERTIFIED_SET, parts)


def loss_surface(recipe: Recipe, radius: float) -> ResultKey[Grid]:
    return ResultKey(Kind.LOSS_SURFACE, (f"{radius:g}", *_parts(recipe, IMAGE), str(recipe.seed)))


def decision_regions(recipe: Recipe) -> ResultKey[Regions]:
    return ResultKey(Kind.DECISION_REGIONS, _parts(recipe, CRAFTED), attacked=attack(recipe))


def class_maps(recipe: Recipe, method: str, layer: str, target_class: str) -> ResultKey[tuple[ClassMap, ...]]:
    parts = (*_parts(recipe, CRAFTED), *_known(recipe), _columns(recipe), method, layer, target_class)
    return ResultKey(Kind.CLASS_MAPS, parts, attacked=known_attack(recipe))


def feature_noise(recipe: Recipe, attacks: Sequence[str]) -> ResultKey[dict[str, list[float]]]:
    """The noise that those attacks add at every depth of the classifier."""
    compared = recipe.model_dump_json(include={"comparison", "defenses"})
    return ResultKey(Kind.FEATURE_NOISE, (*_parts(recipe, CRAFTED), compared, *attacks), attacked=attack(recipe))


def weights(recipe: Recipe, classifier: str = "") -> ResultKey[bool]:
    """The download of a classifier's weights: of the recipe's own unless another one is named."""
    return ResultKey(Kind.WEIGHTS, (recipe.domain, classifier or classifier_name(recipe), device_name()))


def data_set(domain: str) -> ResultKey[bool]:
    """The download of a domain's data set."""
    return ResultKey(Kind.DATA_SET, (domain,))
