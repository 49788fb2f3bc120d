"""Class maps: where a classifier looks when it names a class, by the methods of pytorch-grad-cam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from core.explain.layers import Layer, as_maps, channels_last
from core.inputs import InvalidInput, owned
from core.models.classifier import Classifier
from core.models.copying import twin
from core.progress import OnProgress, Progress

Maps = npt.NDArray[np.float32]

BATCH = 32  # images a pass, where a method needs a pass a channel
MOST = 2_000_000_000  # bytes that such a method may take for its inputs
POSITIONS = 4096  # places of a map that an eigenvector is looked for in


@dataclass(frozen=True)
class Method:
    """One way to draw a class map."""

    name: str
    title: str
    summary: str
    paper: str
    needs_forward_per_channel: bool = False  # one pass through the network for each channel of the layer: slow
    ignores_layer: bool = False  # looks at the image itself, whatever layer is chosen


METHODS = {
    method.name: method
    for method in (
        Method(
            "gradcam",
            "Grad-CAM",
            "Weighs each channel by the mean of its gradient.",
            "Selvaraju et al. 2017, equations 1 and 2",
        ),
        Method(
            "gradcam++",
            "Grad-CAM++",
            "Weighs positive gradients by place: better for several objects.",
            "Chattopadhyay et al. 2018",
        ),
        Method(
            "hirescam",
            "HiResCAM",
            "Multiplies activations and gradients place by place.",
            "Draelos and Carin 2020",
        ),
        Method(
            "xgradcam",
            "XGrad-CAM",
            "Scales the gradients by the normalized activations.",
            "Fu et al. 2020",
        ),
        Method(
            "layercam",
            "LayerCAM",
            "Weighs each place by its own positive gradient: good in early layers.",
            "Jiang et al. 2021",
        ),
        Method(
            "eigencam",
            "EigenCAM",
            "The first principal component of the activations; the same for every class.",
            "Muhammad and Yeasin 2020; signs as Chung and Ying 2025, equation 13",
        ),
        Method(
            "scorecam",
            "Score-CAM",
            "Weighs each channel by the score of the image seen through it; slow.",
            "Wang et al. 2020",
            needs_forward_per_channel=True,
        ),
        Method(
            "ablationcam",
            "Ablation-CAM",
            "Weighs each channel by how far the score falls without it; slow.",
            "Desai and Ramaswamy 2020, equation 5",
            needs_forward_per_channel=True,
        ),
        Method(
            "guided",
            "Guided backprop",
            "The gradient at the image, of which only what is positive passes each ReLU.",
            "Springenberg et al. 2015",
            ignores_layer=True,
        ),
    )
}


class Stopped(Exception):
    """`on_progress` stopped it."""


def class_maps(
    classifier: Classifier,
    images: Tensor,
    classes: Sequence[int],
    *,
    method: str = "gradcam",
    layer: Layer,
    on_progress: OnProgress | None = None,
) -> Maps:
    """Where the classifier looks for `classes[n]` in image n of N×C×H×W in [0, 1]: N×H×W, each map scaled to [0, 1].

    Works on a twin of the classifier: no hook and no gradient is left behind, and two users never mix. A map that is nowhere
    positive is all zero.

    Args:
        on_progress: called before each pass through the network with how many passes are done, of all; returns True to stop.

    Raises:
        InvalidInput: there is no such method, or it cannot work on that layer.
        Stopped: `on_progress` stopped it.
    """
    if method not in METHODS:
        raise InvalidInput(f"There is no class map called {method[:60]!r}; there are {', '.join(METHODS)}.")
    if len(classes) != len(images) or any(not 0 <= number < len(classifier.classes) for number in classes):
        raise InvalidInput(
            f"A class map needs one class for each image, a number from 0 to {len(classifier.classes) - 1}."
        )
    with torch.inference_mode(False), torch.enable_grad():
        batch = owned(images, classifier.device, torch.float32).clone()
        if METHODS[method].ignores_layer:
            maps = _guided(classifier, batch, classes)
        elif METHODS[method].needs_forward_per_channel:
            steps = len(batch) * (2 + -(-layer.channels // BATCH))
            network = ProgressModel(twin(classifier.one_draw()), on_progress, steps)
            one_by_one = [
                _library(network, batch[n : n + 1], classes[n : n + 1], method, layer) for n in range(len(batch))
            ]
            maps = np.concatenate(one_by_one)
        else:
            maps = _library(ProgressModel(twin(classifier.one_draw()), on_progress, 1), batch, classes, method, layer)
    return np.nan_to_num(maps.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)


class ProgressModel(nn.Module):
    """The twin, which reports every pass through it."""

    def __init__(self, network: Classifier, on_progress: OnProgress | None, total: int) -> None:
        super().__init__()
        self.classifier, self.on_progress, self.total, self.done = network, on_progress, total, 0

    def forward(self, images: Tensor) -> Tensor:
        if self.on_progress is not None:
            progress = Progress("Class maps", min(self.done, self.total), self.total)
            if self.on_progress(progress):
                raise Stopped
        self.done += 1
        logits: Tensor = self.classifier(images)
        return logits


def _library(network: ProgressModel, batch: Tensor, classes: Sequence[int], method: str, layer: Layer) -> Maps:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    library = _methods()
    module = network.classifier.network.get_submodule(layer.name)
    if method == "eigencam" and layer.height * layer.width > POSITIONS:
        raise InvalidInput(
            f"EigenCAM looks at maps of up to 64 × 64; {layer.name} makes {layer.height} × {layer.width}. Take a deeper layer."
        )
    if method == "scorecam" and 8 * layer.channels * batch[0].numel() > MOST:
        raise InvalidInput(
            f"Score-CAM on the {layer.channels} channels of {layer.name} needs too much memory; take another layer."
        )
    further = {"ablation_layer": library.Zeroed(), "batch_size": BATCH} if method == "ablationcam" else {}
    cam = library.by_name[method](network, [module], reshape_transform=_copied_maps, **further)
    cam.batch_size = BATCH
    try:
        maps: Maps = cam(batch.requires_grad_(True), [ClassifierOutputTarget(number) for number in classes])
    finally:
        cam.activations_and_grads.release()
    return maps


def _copied_maps(output: Tensor) -> Tensor:
    """A layer's maps as they are now: what follows may write into the same memory (DenseNet's last ReLU does)."""
    return as_maps(output).clone()


def _methods() -> Any:
    """pytorch-grad-cam's classes by our names; two of them mended. It takes seconds to import, so this waits until it is needed."""
    global _LIBRARY
    if _LIBRARY is not None:
        return _LIBRARY
    import pytorch_grad_cam as library
    from pytorch_grad_cam import ablation_cam, score_cam
    from pytorch_grad_cam.ablation_layer import AblationLayer

    # They draw a progress bar for every image into the server's log.
    quiet = SimpleNamespace(tqdm=lambda steps: steps)
    ablation_cam.tqdm = score_cam.tqdm = quiet

    class Eigen(library.EigenCAM):  # type: ignore[misc]
        """An eigenvector's sign is arbitrary; the library leaves it so, and clean and attacked maps may be each other's negative."""

        def get_cam_image(self, images: Any, layer: Any, targets: Any, activations: Any, *_rest: Any) -> Any:
            flat = activations.reshape(*activations.shape[:2], -1).swapaxes(1, 2).astype(np.float64)
            flat = np.nan_to_num(flat - flat.mean(1, keepdims=True))
            _, _, axes = np.linalg.svd(flat, full_matrices=False)
            projected = (flat @ axes[:, 0, :, None])[..., 0]
            flip = -projected.min(1) > projected.max(1)
            projected[flip] *= -1
            return projected.reshape(len(activations), *activations.shape[2:]).astype(np.float32)

    class Zeroed(AblationLayer):  # type: ignore[misc]
        """Sets channels to zero, as the paper does; the library sets them far below the others where any is negative."""

        def set_next_batch(self, input_batch_index: int, activations: Tensor, num_channels_to_ablate: int) -> None:
            activation = activations[input_batch_index : input_batch_index + 1]
            self.activations = activation.repeat(num_channels_to_ablate, *[1] * (activation.dim() - 1))

        def __call__(self, _x: Tensor) -> Tensor:
            output: Tensor = self.activations
            axis = output.dim() - 1 if channels_last(output) else 1
            numbers = torch.as_tensor(self.indices[: len(output)], device=output.device).long()
            mask = torch.ones(len(output), output.shape[axis], device=output.device).scatter_(1, numbers[:, None], 0)
            return output * mask.view(len(output), *(-1 if d == axis else 1 for d in range(1, output.dim())))

    class Ablation(library.AblationCAM):  # type: ignore[misc]
        """The paper divides by the score, which is positive there; below zero the library's map would be its negative."""

        def get_cam_weights(self, images: Any, layer: Any, targets: Any, activations: Any, grads: Any) -> Any:
            weights = super().get_cam_weights(images, layer, targets, activations, grads)
            signs = [
                np.sign(float(target(output).detach())) for target, output in zip(targets, self.outputs, strict=True)
            ]
            return weights * np.array(signs, np.float32)[:, None]

    _LIBRARY = SimpleNamespace(
        Zeroed=Zeroed,
        by_name={
            "gradcam": library.GradCAM,
            "gradcam++": library.GradCAMPlusPlus,
            "hirescam": library.HiResCAM,
            "xgradcam": library.XGradCAM,
            "layercam": library.LayerCAM,
            "eigencam": Eigen,
            "scorecam": library.ScoreCAM,
            "ablationcam": Ablation,
        },
    )
    return _LIBRARY


_LIBRARY: Any = None


class _GuidedReLUs(TorchFunctionMode):
    """While it holds, every ReLU of this thread lets back only what is positive, be it a module or a function."""

    met = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from pytorch_grad_cam.guided_backprop import GuidedBackpropReLU

        if func in (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_):
            self.met += 1
            return GuidedBackpropReLU.apply(args[0])
        limits = (*args[1:3], *((kwargs or {}).get(word) for word in ("min_val", "max_val")[len(args[1:3]) :]))
        if func is F.relu6 or (func is F.hardtanh and limits == (0.0, 6.0)):
            self.met += 1
            return GuidedBackpropReLU.apply(args[0]).clamp(max=6.0)
        return func(*args, **(kwargs or {}))


def _guided(classifier: Classifier, batch: Tensor, classes: Sequence[int]) -> Maps:
    """The largest channel of the guided gradient at each pixel, scaled by its 99.5th percentile."""
    batch = batch.requires_grad_(True)
    with _GuidedReLUs() as guide:
        logits = classifier(batch)
        (slope,) = torch.autograd.grad(logits[torch.arange(len(batch)), list(classes)].sum(), batch)
    if not guide.met:
        raise InvalidInput("Guided backprop needs ReLUs, and this classifier has none; take another method.")
    strength = slope.abs().amax(1)
    top = torch.quantile(strength.flatten(1), 0.995, dim=1).clamp(min=torch.finfo(strength.dtype).tiny)
    scaled: Maps = (strength / top[:, None, None]).clamp(0, 1).cpu().numpy()
    return scaled
