"""JPEG compression: what the eye does not see is dropped, and often the attack with it."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

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
        pixels = (images.detach() * 255).round_().clamp_(0, 255).to("cpu", torch.uint8)
        rows = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
        opened = np.empty_like(rows)

        def through(index: int) -> None:
            opened[index] = recompressed(rows[index], self.quality)

        # Pillow takes one picture at a time and lets go of the interpreter while it works; so threads, one a core.
        workers = min(len(rows), torch.get_num_threads(), os.cpu_count() or 1)
        if workers == 1:
            for index in range(len(rows)):
                through(index)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(through, range(len(rows))))
        back = torch.from_numpy(opened).to(images.device).permute(0, 3, 1, 2)
        return back.to(images.dtype, memory_format=torch.contiguous_format).div_(255)


def recompressed(pixels: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[Any]:
    """One picture, uint8 H×W×C with C = 3 or 1, after a JPEG file of that quality: the same shape."""
    grey = pixels.shape[2] == 1
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(file, format="JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture).reshape(pixels.shape)
