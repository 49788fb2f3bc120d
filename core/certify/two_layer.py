"""A two-layer network as matrices: logits = V·relu(W·x + b) + c of the pixels x in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.inputs import InvalidInput
from core.models.classifier import Classifier

_PASSIVE = (nn.Flatten, nn.Dropout, nn.Identity)  # in eval mode they change no value


@dataclass(frozen=True, eq=False)
class TwoLayer:
    """The matrices, of any float type, for images of `shape` (C, H, W) with D values.

    Attributes:
        first: W, h×D, on pixels in [0, 1]: the normalization is folded in. first_bias: b, h.
        second: V, K×h. second_bias: c, K.
    """

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    shape: tuple[int, int, int]

    def hidden(self, images: Tensor) -> Tensor:
        """W·x + b of images N×C×H×W, N×h."""
        return images.flatten(1) @ self.first.T + self.first_bias

    def logits(self, images: Tensor) -> Tensor:
        """N×K of images N×C×H×W."""
        return self.hidden(images).clamp(min=0) @ self.second.T + self.second_bias

    def detached(self) -> TwoLayer:
        """The same matrices without gradients."""
        first, first_bias, second, second_bias = (
            part.detach() for part in (self.first, self.first_bias, self.second, self.second_bias)
        )
        return TwoLayer(first, first_bias, second, second_bias, self.shape)


def folded(
    layers: tuple[nn.Linear, nn.Linear], mean: Tensor, std: Tensor, shape: tuple[int, int, int], dtype: torch.dtype
) -> TwoLayer:
    """The matrices of two layers behind a normalization, one number a channel; differentiable in the layers."""
    first, second = layers
    scale = (1 / std.to(dtype)).view(-1, 1, 1).expand(shape).flatten()
    offset = (mean.to(dtype) / std.to(dtype)).view(-1, 1, 1).expand(shape).flatten()
    weight = first.weight.to(dtype)
    biases = [weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.to(dtype) for layer in layers]
    return TwoLayer(weight * scale, biases[0] - weight @ offset, second.weight.to(dtype), biases[1], shape)


def two_layers(network: nn.Module) -> tuple[nn.Linear, nn.Linear] | None:
    """The two linear layers of a network that is flatten, linear, ReLU, linear; None where it is something else."""
    leaves = [m for m in network.modules() if not list(m.children()) and not isinstance(m, _PASSIVE)]
    if len(leaves) != 3 or not isinstance(leaves[1], nn.ReLU):
        return None
    first, _, second = leaves
    return (first, second) if isinstance(first, nn.Linear) and isinstance(second, nn.Linear) else None


def why_not(classifier: Classifier) -> str | None:
    """Why a classifier has no two-layer form, as a sentence; None where it has one."""
    if type(classifier) is not Classifier:
        return "A classifier behind a defense, or a vote, is more than one network; the flow certificate takes a single two-layer network."
    if two_layers(classifier.network) is None:
        return (
            f"{classifier.title} is no two-layer network (flatten, linear, ReLU, linear), and the flow certificate is for these alone; "
            "choose one of MNIST's two-layer networks."
        )
    if classifier.channels != 1:
        return f"{classifier.title} takes images of {classifier.channels} channels, and the flow certificate is for gray images."
    return None


def two_layer(classifier: Classifier, dtype: torch.dtype = torch.float64) -> TwoLayer:
    """The matrices of a classifier, its normalization folded in.

    Raises:
        InvalidInput: it has no two-layer form, or its network does something else with the two layers.
    """
    problem = why_not(classifier)
    layers = two_layers(classifier.network)
    if problem is not None or layers is None:
        raise InvalidInput(problem or "")
    shape = (classifier.channels, classifier.size, classifier.size)
    network = folded(layers, classifier.mean.flatten(), classifier.std.flatten(), shape, dtype)
    images = torch.rand((4, *shape), generator=torch.Generator().manual_seed(0)).to(classifier.device)
    with torch.no_grad():
        said, meant = classifier(images).to(dtype), network.logits(images.to(dtype))
    if not bool(((said - meant).abs() <= 1e-3 * meant.abs().max().clamp(min=1)).all()):
        raise InvalidInput(
            f"{classifier.title} does not compute V·relu(W·x + b) + c with its two layers; the flow certificate is not for it."
        )
    return network
