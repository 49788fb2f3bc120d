"""Loaded classifiers: a few for the whole process, whoever asked for them first."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict

import streamlit as st

from core import domains
from core.models.classifier import Classifier
from core.progress import OnProgress

MAX_MODELS = 4

Key = tuple[str, str, str, str]  # domain, name, device, where data live


class ModelCache:
    """The classifiers that were used last."""

    def __init__(self, capacity: int = MAX_MODELS) -> None:
        self.capacity = capacity
        self.models: OrderedDict[Key, Classifier] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Key) -> Classifier | None:
        with self.lock:
            if key in self.models:
                self.models.move_to_end(key)
            return self.models.get(key)

    def load(self, key: Key, on_progress: OnProgress | None = None) -> Classifier:
        """The classifier of that key, loaded unless it is here; `on_progress` is called with the bytes of a download.

        Raises:
            InvalidInput: its weights cannot be had.
        """
        cached = self.get(key)
        if cached is not None:
            return cached
        domain, name, device, _ = key
        loaded = domains.get(domain).classifier(name, device=device, on_progress=on_progress)
        with self.lock:
            loaded = self.models.setdefault(key, loaded)
            while len(self.models) > self.capacity:
                self.models.popitem(last=False)
        gc.collect()
        gc.freeze()  # what is loaded now stays: later collections need not walk through all of torch
        return loaded


@st.cache_resource(show_spinner=False)
def model_cache() -> ModelCache:
    return ModelCache()


def is_available(key: Key) -> bool:
    """Whether a classifier can be used without a download: its weights are on this machine, or it is loaded."""
    return domains.get(key[0]).is_local(key[1]) or model_cache().get(key) is not None
