"""What one cell of an evaluation holds, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.evaluate.compute import Ints
from core.recipe.universal import Floats


@dataclass(frozen=True)
class Cell:
    """What one classifier predicts behind one defense for every image under one attack; −1 and NaN where it is not evaluated yet.

    Attributes:
        predicted: int32 N. confidence: of that class, N. true_confidence: N. targets: −1 for none, N.
        seconds: that the defense takes for one image, the median over the batches; NaN where nothing was measured.
    """

    predicted: Ints
    confidence: Floats
    true_confidence: Floats
    targets: Ints
    seconds: float

    @property
    def evaluated(self) -> npt.NDArray[np.bool_]:
        """Which images were evaluated already, N."""
        return self.predicted >= 0


@dataclass(frozen=True)
class CertifiedCell:
    """What a certificate promises of every image, for one system; −1, False and NaN where it is not worked out yet.

    Attributes:
        predicted: the class that it speaks of, int32 N; −1 also where it abstains.
        certified: whether the true class is certified, bool N.
        radius: the largest certified budget, in `unit`, N; NaN also where the certificate works none out.
        evaluated: which images were worked out, bool N.
        unit: of the radius.
        seconds: for one image, the median over the batches; NaN where nothing was measured.
        refusal: why the certificate cannot be worked out for the system; '' where it can.
    """

    predicted: Ints
    certified: npt.NDArray[np.bool_]
    radius: Floats
    evaluated: npt.NDArray[np.bool_]
    unit: str
    seconds: float
    refusal: str
