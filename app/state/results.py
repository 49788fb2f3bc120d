"""Results that were computed: the newest of each user, and the newest of all users together."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import streamlit as st
import torch
from pydantic import BaseModel

from app.state.result_keys import AnyKey, ResultKey

MAX_RESULTS, MAX_BYTES = 24, 200_000_000  # of a user; the oldest results go first

T = TypeVar("T")
Store = OrderedDict[AnyKey, Any]


def results() -> Store:
    """This user's results, the oldest first."""
    store: Store = st.session_state.setdefault("results", OrderedDict())
    return store


def get(key: ResultKey[T]) -> T | None:
    """The result of that key; None where it was not computed yet."""
    result: T | None = results().get(key)
    return result


def put(key: ResultKey[T], result: T) -> None:
    """Store a result for this user."""
    _store(results(), key, result)


def _store(store: Store, key: AnyKey, result: Any) -> None:
    store[key] = result
    store.move_to_end(key)
    while len(store) > 1 and (len(store) > MAX_RESULTS or sum(map(size_of, store.values())) > MAX_BYTES):
        store.popitem(last=False)


class SharedCache:
    """The newest results of all users: when a class opens one link, the attack runs once."""

    def __init__(self) -> None:
        self._store: Store = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: ResultKey[T], result: T) -> None:
        with self._lock:
            _store(self._store, key, result)

    def get(self, key: ResultKey[T]) -> T | None:
        """The result of that key, whoever asked for it; None where nobody did lately."""
        with self._lock:
            if key in self._store:
                self._store.move_to_end(key)
            return self._store.get(key)


@st.cache_resource(show_spinner=False)
def shared_cache() -> SharedCache:
    return SharedCache()


def size_of(result: Any) -> int:
    """About how many bytes a result takes; a classifier is cached elsewhere and does not count, nor does a function."""
    if isinstance(result, np.ndarray | torch.Tensor):
        return int(result.nbytes)
    if isinstance(result, torch.nn.Module) or result is None or callable(result):
        return 0
    if isinstance(result, BaseModel):
        return sum(map(size_of, vars(result).values()))
    if is_dataclass(result):
        return sum(size_of(getattr(result, field.name)) for field in fields(result))
    if isinstance(result, Mapping):
        return sum(map(size_of, result.values()))
    if isinstance(result, int | float):
        return 8
    if isinstance(result, tuple | list | set | frozenset):
        return sum(map(size_of, result))
    if hasattr(result, "__dict__"):
        return sum(map(size_of, vars(result).values()))
    return sys.getsizeof(result)
