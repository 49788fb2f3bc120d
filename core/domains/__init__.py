"""Domains by name: photos · imagenette · imagenet · cifar10 · cifar10_gray · mnist."""

from __future__ import annotations

from core.disk import data_root
from core.domains.base import Domain, GalleryItem
from core.domains.cifar10 import Cifar10
from core.domains.cifar10_gray import Cifar10Gray
from core.domains.imagenet import ImageNet
from core.domains.imagenette import Imagenette
from core.domains.mnist import Mnist
from core.domains.photos import Photos
from core.inputs import InvalidInput

_DOMAINS: dict[str, type[Domain]] = {
    cls.name: cls for cls in (Photos, Imagenette, ImageNet, Cifar10, Cifar10Gray, Mnist)
}


def names() -> tuple[str, ...]:
    """The domains that have a classifier, the default first."""
    return tuple(name for name, domain in _DOMAINS.items() if domain().classifier_names())


def get(name: str) -> Domain:
    """The domain of that name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in _DOMAINS:
        raise InvalidInput(f"There is no domain called {name[:60]!r}; there are {', '.join(names())}.")
    return _DOMAINS[name]()


__all__ = ["Domain", "GalleryItem", "data_root", "get", "names"]
