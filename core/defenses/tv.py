"""Total-variation denoising: the closest image with little variation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from core.accelerated import compiled
from core.declaration import FractionFloat, number
from core.defenses.base import Defense
from core.threads import parallel_map

TOLERANCE = 2e-4  # stop when the energy changes by less than this share of its first value, as scikit-image does
ITERATIONS = 200  # at most
TAU = 0.25  # Chambolle's step, 1 / (2·dimensions), inside which the iteration converges


class TotalVariation(Defense):
    """Minimise ½‖u − x‖² + weight·TV(u), TV(u) = Σ|∇u|, by Chambolle's projection (2004, equation 9), channel by channel.

    N×C×H×W in [0, 1] → the same shape and type. Differentiable, through the iterations.

    `weight` multiplies the variation, as in scikit-image: 0.05 is light, 0.3 is cartoon-like. The papers' TVM weights
    (10, 20, 30) multiply the likeness instead: those are `TVM`'s.
    """

    name: ClassVar[str] = "tv"
    title: ClassVar[str] = "Total variation"
    summary: ClassVar[str] = "Finds the closest image with little total variation: flat areas, sharp edges."
    paper: ClassVar[str] = "Chambolle 2004, equation 9; Rudin, Osher and Fatemi 1992: min ½‖u − x‖² + weight·Σ|∇u|"

    weight: FractionFloat = number(
        0.1, 0.01, 1, step=0.01, help="Weight of the variation against the likeness; more is flatter."
    )

    def apply(self, images: Tensor) -> Tensor:
        return smoothed(images, self.weight)


class TVM(Defense):
    """Minimise TV(u) + weight/2·‖u − x‖², the weighted form of the papers' tables (weights 10, 20, 30), as scikit-image's
    `denoise_tv_bregman`; the same minimum as `TotalVariation` has with 1/weight (LGS, section 4.2.3).

    N×C×H×W in [0, 1] → the same shape and type. Differentiable. Guo et al. (2018, section 4.3), who gave it its name, also drop
    pixels at random; the papers compared with it as scikit-image has it, without that.
    """

    name: ClassVar[str] = "tvm"
    title: ClassVar[str] = "Total variance minimisation"
    summary: ClassVar[str] = "Total variation with the papers' weight, which holds on to the image: more is lighter."
    paper: ClassVar[str] = "Naseer, Khan and Porikli 2019, section 4.2.3 (TVM); Guo et al. 2018, section 4.3"

    weight: FractionFloat = number(
        10, 1, 100, step=1, help="Weight of the likeness against the variation; more stays closer to the image."
    )

    def apply(self, images: Tensor) -> Tensor:
        return smoothed(images, 1 / self.weight)


def smoothed(images: Tensor, weight: float) -> Tensor:
    """The minimum of ½‖u − x‖² + weight·TV(u) for every channel of images N×C×H×W."""
    planes = images.flatten(0, 1)
    if not (torch.is_grad_enabled() and images.requires_grad):
        result = _solved(planes, weight)[0]
    elif compiled("chambolle", planes) is not None:
        result = _Smoothed.apply(planes, weight)
    else:
        result = _solved_with_graph(planes, weight)[0]
    return result.view_as(images)


class _Smoothed(torch.autograd.Function):
    """Planes P×H×W by compiled loops, whose gradient does the iterations that each took once more."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, weight: float) -> Tensor:
        result, ctx.taken = _solved(planes, weight)
        ctx.weight = weight
        ctx.save_for_backward(planes)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        (planes,) = ctx.saved_tensors
        (slope,) = slopes
        result = torch.empty_like(planes, memory_format=torch.contiguous_format)
        chambolle = compiled("chambolle", planes)

        def alone(number: int) -> None:
            image, gradient = planes[number].contiguous().numpy(), slope[number].contiguous().numpy()
            chambolle.backward(image, ctx.weight, ctx.taken[number], TAU, gradient, result[number].numpy())

        parallel_map(alone, range(len(planes)))
        return result, None


@torch.no_grad()
def _solved(planes: Tensor, weight: float) -> tuple[Tensor, list[int]]:
    """Denoise planes P×H×W, each until its own energy settles; the result and the iterations each took."""
    chambolle = compiled("chambolle", planes)
    if chambolle is None:
        return _solved_together(planes, weight)
    result, taken = torch.empty_like(planes, memory_format=torch.contiguous_format), [0] * len(planes)

    def alone(number: int) -> None:
        image = planes[number].contiguous().numpy()
        taken[number] = chambolle.solve(image, weight, TOLERANCE, ITERATIONS, TAU, result[number].numpy())

    parallel_map(alone, range(len(planes)))
    return result, taken


@torch.no_grad()
def _solved_together(planes: Tensor, weight: float) -> tuple[Tensor, list[int]]:
    """The same on all planes at once, in operations that a GPU has too."""
    result, taken = torch.empty_like(planes), [0] * len(planes)
    active = list(range(len(planes)))
    image = planes
    p = image.new_zeros(2, *image.shape)
    g, out, d, norm = torch.zeros_like(p), torch.empty_like(image), torch.empty_like(image), torch.empty_like(image)
    first = previous = image.new_zeros(len(active))
    one = image.new_ones(())
    for iteration in range(ITERATIONS):
        # out = image − d, where d is the divergence of the dual field p
        torch.add(p[0], p[1], out=d)
        d[:, 1:] -= p[0, :, :-1]
        d[:, :, 1:] -= p[1, :, :, :-1]
        torch.sub(image, d, out=out)
        torch.sub(out[:, 1:], out[:, :-1], out=g[0, :, :-1])
        torch.sub(out[:, :, 1:], out[:, :, :-1], out=g[1, :, :, :-1])
        torch.mul(g[0], g[0], out=norm).addcmul_(g[1], g[1]).sqrt_()
        energy = torch.linalg.vector_norm(d, dim=(1, 2)).square() + weight * norm.sum((1, 2))
        if iteration == 0:
            first = energy
            settled = [False] * len(active)
        else:
            settled = ((previous - energy).abs() <= TOLERANCE * first).tolist()  # flat: 0 ≤ 0
        previous = energy
        last = iteration == ITERATIONS - 1
        if last or any(settled):
            done = [k for k, still in enumerate(settled) if still or last]
            keep = [k for k, still in enumerate(settled) if not (still or last)]
            for k in done:
                taken[active[k]] = iteration
            result[[active[k] for k in done]] = out[done]
            active = [active[k] for k in keep]
            if not active:
                break
            image, p, g, first, previous = image[keep], p[:, keep], g[:, keep], first[keep], previous[keep]
            norm, out, d = norm[keep], torch.empty_like(image), torch.empty_like(image)
        p.sub_(g, alpha=TAU).div_(torch.add(one, norm, alpha=TAU / weight, out=norm))
    return result, taken


def _solved_with_graph(planes: Tensor, weight: float) -> tuple[Tensor, list[int]]:
    """The same iterations with autograd's graph; only the dual field of each is kept, the rest is computed again."""
    _, taken = _solved(planes.detach(), weight)
    stops = torch.tensor(taken, device=planes.device)
    p = planes.new_zeros(2, *planes.shape)
    result = planes
    for iteration in range(max(taken) + 1):
        here = (stops == iteration).view(-1, 1, 1)
        if iteration in taken:
            result = torch.where(here, planes + _minus_divergence(p), result)
        if iteration < max(taken):
            p = checkpoint(_next, p, planes, weight, use_reentrant=False)
    return result, taken


def _next(p: Tensor, planes: Tensor, weight: float) -> Tensor:
    out = planes + _minus_divergence(p)
    down = torch.nn.functional.pad(out[:, 1:] - out[:, :-1], (0, 0, 0, 1))
    right = torch.nn.functional.pad(out[:, :, 1:] - out[:, :, :-1], (0, 1))
    g = torch.stack((down, right))
    norm = torch.linalg.vector_norm(g, dim=0)  # its gradient is 0 where the image is flat, where a root's is infinite
    moved: Tensor = (p - TAU * g) / (1 + TAU / weight * norm)
    return moved


def _minus_divergence(p: Tensor) -> Tensor:
    down = torch.nn.functional.pad(p[0, :, :-1], (0, 0, 1, 0))
    right = torch.nn.functional.pad(p[1, :, :, :-1], (1, 0))
    return down + right - p[0] - p[1]
