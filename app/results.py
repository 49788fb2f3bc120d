"""What was computed, kept under the part of the recipe that it depends on: for each visitor, and the newest of it for all."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from pydantic import BaseModel

from core import device, domains
from core.recipe import AttackOutcome, Comparison, DefenseOutcome, LocationMap, Recipe, TransferMatrix
from core.recipe.columns import members_of
from core.recipe.recipe import Attacker

KEPT, BYTES = 24, 200_000_000  # results a visitor keeps and their pictures' bytes; the oldest go first


def place() -> str:
    """The device that computes."""
    return str(st.session_state.get("device", device.names()[0]))


def classifier_name(wanted: Recipe) -> str:
    return wanted.classifier or domains.get(wanted.domain).classifier_names()[0]


def weights_key(wanted: Recipe, name: str = "") -> str:
    """Of the download of a classifier's weights: of the recipe's own unless another one is named."""
    return f"weights {wanted.domain} {name or classifier_name(wanted)} {place()}"


def results() -> OrderedDict[str, Any]:
    held: OrderedDict[str, Any] = st.session_state.setdefault("results", OrderedDict())
    return held


def keep(key: str, result: Any) -> None:
    _put(results(), key, result)


def _put(kept: OrderedDict[str, Any], key: str, result: Any) -> None:
    kept[key] = result
    kept.move_to_end(key)
    while len(kept) > 1 and (len(kept) > KEPT or sum(map(size_of, kept.values())) > BYTES):
        kept.popitem(last=False)


class Shared:
    """The newest results of all visitors: when a class opens one link, the attack runs once."""

    def __init__(self) -> None:
        self.kept: OrderedDict[str, Any] = OrderedDict()
        self.lock = threading.Lock()

    def add(self, key: str, result: Any) -> None:
        with self.lock:
            _put(self.kept, key, result)

    def find(self, key: str) -> Any:
        """What was computed under that key for anybody; None where nobody asked for it lately."""
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
            return self.kept.get(key)


@st.cache_resource(show_spinner=False)
def shared() -> Shared:
    return Shared()


def size_of(result: Any) -> int:
    """About how many bytes a result's arrays and tensors take; a classifier is kept elsewhere and does not count."""
    if isinstance(result, np.ndarray | torch.Tensor):
        return int(result.nbytes)
    if isinstance(result, torch.nn.Module) or result is None:
        return 0
    if isinstance(result, BaseModel):
        return sum(map(size_of, vars(result).values()))
    if is_dataclass(result) and not isinstance(result, type):
        return sum(size_of(getattr(result, one.name)) for one in fields(result))
    if isinstance(result, Mapping):
        return sum(map(size_of, result.values()))
    if isinstance(result, tuple | list) and result and isinstance(result[0], int | float):
        return 8 * len(result)
    if isinstance(result, tuple | list | set | frozenset):
        return sum(map(size_of, result))
    return 8


def key_of(what: str, wanted: Recipe, attacker: Attacker | None = None) -> str:
    fields = {
        "scene": {"domain", "classifier", "picture", "true_class"},
        "attack": {"domain", "classifier", "picture", "true_class", "attack", "target", "seed"},
        "columns": {"domain", "classifier", "picture", "true_class", "attack", "target", "seed", "defenses"},
        "comparison": {"domain", "classifier", "picture", "true_class", "comparison", "target", "seed"},
        "transfer": {"domain", "picture", "true_class", "attack", "target", "seed"},
    }[what]
    name = classifier_name(wanted)
    here = domains.get(wanted.domain).missing() is None  # a data set that arrives changes the gallery
    return f"{what} {attacker or ''} {place()} {name} {here} {wanted.model_dump_json(include=fields)}"


def attack_key(wanted: Recipe) -> str:
    return key_of("attack", wanted)


def columns_key(wanted: Recipe, attacker: Attacker) -> str:
    return key_of("columns", wanted, attacker)


def scene_key(wanted: Recipe) -> str:
    return key_of("scene", wanted)


def known(wanted: Recipe) -> str:
    """The part of a key that names the column which the attacker knows; empty where none is known."""
    column = wanted.known_column()
    return "" if column is None else f" through {[m.model_dump_json() for m in members_of(column)]} {wanted.backward}"


def comparison_key(wanted: Recipe) -> str:
    return key_of("comparison", wanted) + known(wanted)


def transfer_key(wanted: Recipe) -> str:
    return key_of("transfer", wanted)


def attacked(wanted: Recipe) -> AttackOutcome | None:
    """The attack's result, where it was computed already."""
    held: AttackOutcome | None = results().get(key_of("attack", wanted))
    return held


def columns(wanted: Recipe, attacker: Attacker) -> tuple[DefenseOutcome, ...] | None:
    """The defenses' results against one attacker, where they were computed already."""
    held: tuple[DefenseOutcome, ...] | None = results().get(key_of("columns", wanted, attacker))
    return held


def comparison(wanted: Recipe) -> Comparison | None:
    """The comparison's results, where it was held already."""
    held: Comparison | None = results().get(comparison_key(wanted))
    return held


def places_key(wanted: Recipe) -> str:
    return "places " + key_of("attack", wanted)


def places(wanted: Recipe) -> LocationMap | None:
    """The map of places of the recipe's attack, where it was made already."""
    held: LocationMap | None = results().get(places_key(wanted))
    return held


def matrix(wanted: Recipe) -> TransferMatrix | None:
    """The transfer matrix of the recipe's attack, where it was computed already."""
    held: TransferMatrix | None = results().get(key_of("transfer", wanted))
    return held
