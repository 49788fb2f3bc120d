"""One Adam step, for the attacks that optimize with it."""

from __future__ import annotations

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam's moments for one tensor (Kingma and Ba 2015, algorithm 1).

    torch.optim.Adam keeps its moments by parameter and cannot drop the rows of images that are finished.
    """

    def __init__(self, values: Tensor) -> None:
        self.first = self.second = torch.zeros_like(values)
        self.step_index = 0

    def step(self, gradient: Tensor, step_size: float | Tensor) -> Tensor:
        """The change along the gradient, in its shape: add it to ascend, subtract it to descend.

        Args:
            gradient: in the shape of the tensor. step_size: a number, or a tensor that broadcasts over it.
        """
        self.step_index += 1
        self.first = BETA_1 * self.first + (1 - BETA_1) * gradient
        self.second = BETA_2 * self.second + (1 - BETA_2) * gradient.square()
        mean = self.first / (1 - BETA_1**self.step_index)
        variance = self.second / (1 - BETA_2**self.step_index)
        return step_size * mean / (variance.sqrt() + EPSILON)

    def select(self, rows: Tensor) -> None:
        """Go on with these rows (bool or int64) alone."""
        self.first, self.second = self.first[rows], self.second[rows]
