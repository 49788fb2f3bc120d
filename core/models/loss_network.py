"""A frozen classifier's features as a measure of how far two images are apart (Johnson et al. 2016)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from core.inputs import InvalidInput, quoted
from core.models.classifier import Classifier


class LossNetwork(nn.Module):
    """Images N×C×H×W in [0, 1] to the outputs of some layers of a classifier, and to its logits N×K.

    Images of one channel are repeated for a classifier of three. Images that are smaller than the classifier's are padded with zeros,
    larger ones are resized.

    Args:
        classifier: stays as it is, but for the hooks that read its layers.
        layers: the dotted names of modules inside its network.

    Raises:
        InvalidInput: the network has no such layer, or the layers are too many or none.
    """

    def __init__(self, classifier: Classifier, layers: tuple[str, ...]) -> None:
        super().__init__()
        modules = dict(classifier.network.named_modules())
        missing = [name for name in layers if name not in modules]
        if missing or not layers:
            what = f"no layer called {quoted(missing[0])}" if missing else "no layer named for the loss"
            raise InvalidInput(f"{classifier.title} has {what}; name layers such as {', '.join(list(modules)[2:5])}.")
        self.classifier, self.layers = classifier, layers
        self.seen: dict[str, Tensor] = {}
        self.reading = False  # others may ask the classifier, too; what they see is not kept
        for name in layers:
            modules[name].register_forward_hook(partial(self._read, name))

    def _read(self, name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        if self.reading:
            self.seen[name] = output

    def observes(self, classifier: object) -> bool:
        """Whether its logits are those of that very classifier on the same images."""
        return classifier is self.classifier

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        self.reading = True
        try:
            logits: Tensor = self.classifier(self._fitted(images))
            return tuple(self.seen[name] for name in self.layers), logits
        finally:
            self.reading = False
            self.seen.clear()

    def _fitted(self, images: Tensor) -> Tensor:
        size, channels = self.classifier.size, self.classifier.channels
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1) if channels == 3 else images.mean(1, keepdim=True)
        missing = size - images.shape[3]
        if missing > 0:
            return F.pad(images, (missing // 2, missing - missing // 2) * 2)
        if missing < 0:
            return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        return images
