"""A classifier as a chain of layers in float64, for bounds that go from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.certify.layers import Convolution, Flatten, Layer, Linear, MaxPool, Pad, ReLU
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.models.copying import copied

AGREEMENT = 1e-8  # relative difference between the chain and the network, both in float64, that rounding explains


Chain = tuple[Layer, ...]


def chain_of(classifier: Classifier) -> Chain:
    """The layers from images in [0, 1] to logits, the normalization among them.

    What the network computes for one batch is recorded. Every operation on the image must be one of these layers, on what the
    operation before it gave, so no decision of the network's own code can depend on the image.

    Raises:
        InvalidInput: the network is no such chain; the sentence names what does not fit.
    """
    if type(classifier) is not Classifier:
        raise InvalidInput(
            "A classifier behind a defense, or a vote, is more than one network; these bounds go through the layers of a single network."
        )
    network = copied(classifier.network).double().to(memory_format=torch.contiguous_format)
    scale = 1 / classifier.std.double().flatten()
    shape = (classifier.channels, classifier.size, classifier.size)
    normalization = _by_channel(shape, scale, -classifier.mean.double().flatten() * scale)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, *shape, dtype=torch.float64, generator=generator).to(classifier.device)
    with torch.inference_mode(False), torch.no_grad():
        normalized = normalization(images)
        recorder = _Recorder(classifier.title, normalized)
        with recorder:
            logits: Tensor = network(normalized)
        if recorder.current is not logits or not isinstance(recorder.layers[-1], Linear):
            raise InvalidInput(_refusal(classifier.title, "an end other than a fully connected layer"))
        layers = (normalization, *recorder.layers)
        recomputed = run(layers, images)
    if not bool(((recomputed - logits).abs() <= AGREEMENT * (1 + logits.abs().max())).all()):
        raise InvalidInput(_refusal(classifier.title, "something that its layers do not show"))
    return layers


def run(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """The output of the layers for N inputs."""
    for layer in layers:
        x = layer(x)
    return x


def _refusal(title: str, what: str) -> str:
    return (
        f"{title} has {what}; bounds go through a chain of convolutions, fully connected layers, ReLU, max-pool, batch norm and "
        "padding, the last one fully connected. Randomized smoothing takes any classifier."
    )


def _by_channel(shape: tuple[int, ...], scale: Tensor, shift: Tensor) -> Convolution:
    """scale·x + shift by channel."""
    return Convolution(shape, scale.view(-1, 1, 1, 1), shift, (1, 1), (0, 0), (1, 1), len(scale))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down the layers of a forward pass; the setting belongs to one thread."""

    def __init__(self, title: str, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.title, self.current = title, image
        self.seen = [image]  # whatever depends on the image; keeps each alive, so that no id is used twice
        self.layers: list[Layer] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        inputs = [arg for arg in (*args, *(kwargs or {}).values()) if isinstance(arg, Tensor | list | tuple)]
        tensors = [part for arg in inputs for part in (arg if isinstance(arg, list | tuple) else [arg])]
        depends = [part for part in tensors if any(part is earlier for earlier in self.seen)]
        result = func(*args, **(kwargs or {}))
        if not depends:
            return result
        name = str(func.overloadpacket).removeprefix("aten.")
        output = result[0] if isinstance(result, tuple) else result
        if len(depends) > 1 or depends[0] is not self.current:
            raise InvalidInput(_refusal(self.title, "a shortcut around a layer"))
        layer = (
            None
            if kwargs and any(kwargs.get(word) is not None for word in ("alpha", "beta"))
            else self._layer(name, args, output)
        )
        if layer is None:
            raise InvalidInput(_refusal(self.title, f"the operation {name.strip('_')!r}"))
        if layer is not _SAME:
            self.layers.append(layer)
        self.seen.append(output)
        self.current = output
        return result

    def _layer(self, name: str, args: tuple[Any, ...], output: Any) -> Layer | None:
        """The layer that an operation is; None where it is none of them."""
        x = self.current
        shape = tuple(x.shape[1:])
        match name:
            case "convolution" if args[0] is x and not args[6] and x.dim() == 4:
                weight, bias = args[1], args[2]
                return Convolution(shape, weight, bias, tuple(args[3]), tuple(args[4]), tuple(args[5]), args[8])
            case "addmm" if args[1] is x:
                return Linear(shape, args[2].T.contiguous(), args[0])
            case "mm" if args[0] is x:
                return Linear(shape, args[1].T.contiguous(), None)
            case "relu" | "relu_":
                return ReLU(shape)
            case "max_pool2d_with_indices":
                return MaxPool(shape, _window(args))
            case "constant_pad_nd" if len(args[1]) == 4:
                return Pad(shape, tuple(args[1]), float(args[2]) if len(args) > 2 else 0.0)
            case "native_batch_norm" if not args[5] and x.dim() == 4:
                return _norm(shape, args[1:5], args[7])
            case "_native_batch_norm_legit_no_training" if x.dim() == 4:
                return _norm(shape, args[1:5], args[6])
            case "view" | "_unsafe_view" | "_reshape_copy" | "_reshape_alias" if output.shape == (2, prod(shape)):
                return Flatten(shape)
            case "view" | "_unsafe_view" | "clone" | "detach" | "alias" if output.shape == x.shape:
                return _SAME
        return None


_SAME = Flatten(())  # an operation that changes nothing


def _window(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Kernel, stride, padding, dilation and ceil mode as `F.max_pool2d` takes them."""
    defaults: list[Any] = [None, None, [], [0, 0], [1, 1], False]
    kernel, stride, padding, dilation, ceil = [*args, *defaults[len(args) :]][1:]
    sizes = (kernel, stride or kernel, padding, dilation)
    return (*(tuple(size) * 2 if len(size) == 1 else tuple(size) for size in sizes), ceil)


def _norm(shape: tuple[int, ...], tensors: Sequence[Tensor | None], eps: float) -> Convolution:
    """A batch norm in eval mode, of its weight, bias, mean and variance."""
    weight, bias, mean, var = tensors
    assert mean is not None and var is not None
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    return _by_channel(shape, scale, (0 if bias is None else bias) - mean * scale)
