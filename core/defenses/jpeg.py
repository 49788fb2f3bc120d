"""JPEG compression: what the eye does not see is dropped, and often the attack with it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from core.declaration import number
from core.defenses.base import Defense


class JPEG(Defense):
    """Write each image as a JPEG file and read it back (Dziugaite, Ghahramani and Roy 2016, section 3).

    N×C×H×W in [0, 1] → the same shape and type, values n/255; rounded to 8 bits first, as every file is. The codec is
    Pillow's with its own chroma subsampling (4:2:0); one channel is coded as grey. It has no gradient.
    """

    name: ClassVar[str] = "jpeg"
    title: ClassVar[str] = "JPEG"
    summary: ClassVar[str] = "Compresses the picture as a JPEG file and opens it again."
    paper: ClassVar[str] = "Dziugaite, Ghahramani and Roy 2016, A study of the effect of JPG compression, section 3"
    differentiable: ClassVar[bool] = False

    quality: int = number(60, 1, 100, step=1, help="JPEG quality; lower compresses harder and removes more.")

    def apply(self, images: Tensor) -> Tensor:
        given = images.detach().cpu().numpy()
        result = np.empty(given.shape, given.dtype)

        def through(index: int) -> None:
            pixels = given[index] * given.dtype.type(255)
            np.clip(np.rint(pixels, out=pixels), 0, 255, out=pixels)
            for channel, plane in enumerate(recompressed(pixels.astype(np.uint8), self.quality)):
                np.divide(plane, given.dtype.type(255), out=result[index, channel])

        # Pillow takes one picture at a time and lets go of the interpreter while it works; so threads, one a core.
        with ThreadPoolExecutor(min(len(given), torch.get_num_threads())) as pool:
            list(pool.map(through, range(len(given))))
        return torch.from_numpy(result).to(images.device)


def recompressed(pixels: npt.NDArray[np.uint8], quality: int) -> list[npt.NDArray[np.uint8]]:
    """The channels of one picture, uint8 C×H×W with C = 3 or 1, after a JPEG file of that quality."""
    planes = [Image.fromarray(plane) for plane in pixels]
    file = io.BytesIO()
    (planes[0] if len(planes) == 1 else Image.merge("RGB", planes)).save(file, format="JPEG", quality=quality)
    with Image.open(file) as picture:
        return [np.asarray(plane) for plane in picture.split()]
