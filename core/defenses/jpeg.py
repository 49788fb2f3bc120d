"""JPEG compression: what the eye does not see is dropped, and often the attack with it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.io import decode_jpeg, encode_jpeg

from core.declaration import number
from core.defenses.base import Defense
from core.threads import parallel_map

Floats = npt.NDArray[np.floating[Any]]


class JPEG(Defense):
    """Write each image as a JPEG file and read it back (Dziugaite, Ghahramani and Roy 2016, section 3).

    N×C×H×W in [0, 1] → the same shape and type, values n/255; rounded to 8 bits first, as every file is. The codec is
    libjpeg-turbo with its own chroma subsampling (4:2:0); one channel is coded as gray. It has no gradient.
    """

    name: ClassVar[str] = "jpeg"
    title: ClassVar[str] = "JPEG"
    summary: ClassVar[str] = "Compresses the image as a JPEG file and opens it again."
    paper: ClassVar[str] = "Dziugaite, Ghahramani and Roy 2016, A study of the effect of JPG compression, section 3"
    differentiable: ClassVar[bool] = False

    quality: int = number(60, 1, 100, step=1, help="JPEG quality; lower compresses harder and removes more.")

    def apply(self, images: Tensor) -> Tensor:
        values = images.detach().cpu()
        result = torch.empty_like(values, memory_format=torch.contiguous_format)
        few = max(1, len(values) // (4 * torch.get_num_threads()))
        parts = [range(len(values))[start : start + few] for start in range(0, len(values), few)]
        # The codec takes one image at a time and lets go of the interpreter; so each core takes some.
        parallel_map(lambda indices: _through_files(values.numpy(), result.numpy(), indices, self.quality), parts)
        return result.to(images.device)


def _through_files(values: Floats, result: Floats, indices: range, quality: int) -> None:
    """Write the images `indices` of `values` (N×C×H×W) as files and read them into `result`."""
    channels, height, width = values.shape[1:]
    # Half of the time goes to memory, not to the codec; so it is touched as rarely as can be, and laid out as the codec wants.
    planes = np.empty((channels, height, width), np.uint8)
    pixels = np.empty((height, width, channels), np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    top = values.dtype.type(255)
    for index in indices:
        scratch = result[index]
        np.rint(np.multiply(values[index], top, out=scratch), out=scratch)
        np.copyto(planes, scratch, casting="unsafe")
        for channel in range(channels):
            pixels[..., channel] = planes[channel]
        decoded = decode_jpeg(encode_jpeg(image, quality)).numpy()
        for channel in range(channels):
            planes[channel] = decoded[channel]
        np.divide(planes, top, out=scratch)
