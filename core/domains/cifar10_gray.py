"""CIFAR-10 in gray at 28×28, as Sivamani 2019 uses it beside MNIST."""

from __future__ import annotations

from typing import ClassVar

from core.domains.budget import Budget
from core.domains.cifar10 import Cifar10


class Cifar10Gray(Cifar10):
    """CIFAR-10's images, turned gray and resized to 28×28; the same data set serves both."""

    name: ClassVar[str] = "cifar10_gray"
    title: ClassVar[str] = "CIFAR-10 gray"
    note: ClassVar[str] = "CIFAR-10 in gray at 28×28 pixels, the form in which Sivamani 2019 uses it."
    size: ClassVar[int] = 28
    channels: ClassVar[int] = 1
    linf: ClassVar[Budget] = Budget(0.2, 0.5, 0.01)
