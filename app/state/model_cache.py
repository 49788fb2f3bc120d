"""Loaded classifiers: a few for the whole process, whoever asked for them first."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict

import streamlit as st

from core import domains
from core.fetching import Watch
from core.models.classifier import Classifier

KEPT = 4

Key = tuple[str, str, str, str]  # domain, name, device, where data live


class Shelf:
    """The classifiers that were used last."""

    def __init__(self, most: int = KEPT) -> None:
        self.most = most
        self.kept: OrderedDict[Key, Classifier] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Key) -> Classifier | None:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
            return self.kept.get(key)

    def load(self, key: Key, watch: Watch | None = None) -> Classifier:
        """The classifier of that key, loaded unless it is here; `watch` sees the bytes of a download.

        Raises:
            BadInput: its weights cannot be had.
        """
        held = self.get(key)
        if held is not None:
            return held
        domain, name, place, _ = key
        loaded = domains.get(domain).classifier(name, device=place, watch=watch)
        with self.lock:
            loaded = self.kept.setdefault(key, loaded)
            while len(self.kept) > self.most:
                self.kept.popitem(last=False)
        gc.collect()
        gc.freeze()  # what is loaded now stays: later collections need not walk through all of torch
        return loaded


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    return Shelf()


def here(key: Key) -> bool:
    """Whether a classifier can be used without a download: its weights are on this machine, or it is loaded."""
    return domains.get(key[0]).is_local(key[1]) or shelf().get(key) is not None
