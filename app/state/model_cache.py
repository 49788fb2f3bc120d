"""Loaded classifiers: a few for the whole process, whoever asked for them first."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict

import streamlit as st

from core import domains
from core.models import artifacts
from core.models.classifier import Classifier
from core.progress import OnProgress

MAX_MODELS = 4

Key = tuple[str, str, str, str]  # domain, name, device, where data live


class ModelCache:
    """The classifiers that were used last."""

    def __init__(self, capacity: int = MAX_MODELS) -> None:
        self.capacity = capacity
        self.models: OrderedDict[Key, tuple[str, Classifier]] = OrderedDict()  # with the checksum of its weights
        self.lock = threading.Lock()

    def get(self, key: Key) -> Classifier | None:
        with self.lock:
            checksum, classifier = self.models.get(key, ("", None))
            if classifier is None or checksum != _checksum(key):  # weights can be retrained under the same name
                return None
            self.models.move_to_end(key)
            return classifier

    def load(self, key: Key, on_progress: OnProgress | None = None) -> Classifier:
        """The classifier of that key, loaded unless it is here; `on_progress` is called with the bytes of a download.

        Raises:
            InvalidInput: its weights cannot be had.
        """
        cached = self.get(key)
        if cached is not None:
            return cached
        domain, name, device, _ = key
        checksum = _checksum(key)
        loaded = domains.get(domain).classifier(name, device=device, on_progress=on_progress)
        with self.lock:
            before = self.models.get(key)
            if before is not None and before[0] == checksum:  # somebody else was faster
                loaded = before[1]
            self.models[key] = checksum, loaded
            self.models.move_to_end(key)
            while len(self.models) > self.capacity:
                self.models.popitem(last=False)
        gc.collect()
        gc.freeze()  # what is loaded now stays: later collections need not walk through all of torch
        return loaded


def _checksum(key: Key) -> str:
    domain, name, *_ = key
    return artifacts.checksum("classifier", f"{domain}_{name}")


@st.cache_resource(show_spinner=False)
def model_cache() -> ModelCache:
    return ModelCache()


def is_available(key: Key) -> bool:
    """Whether a classifier can be used without a download: its weights are on this machine, or it is loaded."""
    return domains.get(key[0]).is_local(key[1]) or model_cache().get(key) is not None
