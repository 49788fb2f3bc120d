"""DKN: a network that predicts a kernel for every pixel."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from core.defenses.learned import LearnedDefense
from core.inputs import InvalidInput
from core.models.denoisers import KernelPredictionNet


class DKN(LearnedDefense):
    """A U-Net predicts 5×5 weights for each value, by which its neighborhood is averaged (Hao et al. 2019, equation 3)."""

    name: ClassVar[str] = "dkn"
    title: ClassVar[str] = "Defense kernel network (DKN)"
    summary: ClassVar[str] = (
        "Averages the neighborhood of each pixel with weights that a U-Net predicts for that pixel."
    )
    paper: ClassVar[str] = "Hao et al. 2019"

    def kernels(self, images: Tensor) -> Tensor:
        """The weights by which the neighborhood of each pixel is added up, D/m² in equation 3.

        Args:
            images: N×C×H×W in [0, 1].

        Returns:
            N×m²×C×H×W; entry i weighs the pixel i // m - m // 2 rows and i % m - m // 2 columns away.

        Raises:
            InvalidInput: the images are not what the weights are for, or the network predicts no kernels.
        """
        network = self.network(images)
        if not isinstance(network, KernelPredictionNet):
            raise InvalidInput(f"The network of {self.artifact().name} predicts no kernels.")
        return network.kernels(images.float()) / network.side**2
