"""The certificate against flows as an objective: the network `classifier`, which has two layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.certify.flow_sets import NearSet
from core.certify.relaxation import lower_margins
from core.certify.two_layer import TwoLayer, folded, two_layers
from core.inputs import InvalidInput
from core.training.objectives.base import Batch, Networks, Terms, objective
from core.training.objectives.flows import first_order_change, moved_batch
from core.training.objectives.inner import classifier_of


@objective("flow_certificate")
def flow_certificate(
    networks: Networks,
    batch: Batch,
    *,
    eps: float,
    weight: float = 1.0,
    pairs: int = 1,
    max_tv: float = 0.0,
    steps: int = 4,
    attacked: float = 0.0,
    first_order: float = 0.0,
    label_smoothing: float = 0.0,
) -> Terms:
    """CE(f(x), y) + λ·CE of the margins that flows of total variation `eps` leave, with λ = `weight` (Nguyen 2018, section 4.1).

    The margins to the `pairs` likeliest other classes are the certificate's lower bounds; those to the others are the clean ones.
    Where flows longer than any certificate are to be withstood, two terms are added: μ·CE(f(x'), y) with μ = `attacked`, where x' is
    moved by a flow of total variation at most `max_tv`, found anew in `steps` steps; and ν times the mean of what a flow of total
    variation 1 changes of the lead, to first order, with ν = `first_order`.

    Raises:
        InvalidInput: the network has no two-layer form, or takes more than one channel.
    """
    network, images, labels = _matrices(classifier_of(networks), batch), batch.images, batch.labels
    logits = network.logits(images)
    own = labels[:, None]
    others = logits.detach().scatter(1, own, -torch.inf).topk(int(pairs), 1).indices
    changes = NearSet(images, images.new_full((len(images),), eps))
    lower = lower_margins(network, images, labels, others, changes)
    margins = (logits.gather(1, own) - logits).scatter(1, others, lower)
    losses = {
        "cross_entropy": F.cross_entropy(logits, labels, label_smoothing=label_smoothing),
        "certificate": weight * F.cross_entropy(-margins, labels),
    }
    correct = logits.argmax(1) == labels
    certified = correct & (lower > 0).all(1)
    metrics = {"accuracy": correct.float().mean(), "certified": certified.float().mean()}
    if attacked:
        fixed = network.detached()

        def loss(moved: Tensor) -> Tensor:
            return F.cross_entropy(fixed.logits(moved), labels, reduction="sum")

        said = network.logits(moved_batch(loss, images, max_tv, int(steps)))
        losses["attacked"] = attacked * F.cross_entropy(said, labels)
        metrics["accuracy under flows"] = (said.argmax(1) == labels).float().mean()
    if first_order:
        losses["first order"] = first_order * first_order_change(network, images, labels).mean()
    return Terms(losses, metrics)


def _matrices(network: nn.Module, batch: Batch) -> TwoLayer:
    """The trained network's matrices in float32, its normalization folded in."""
    layers, channels = two_layers(network), batch.images.shape[1]
    if layers is None or channels != 1:
        raise InvalidInput(
            "The objective 'flow_certificate' trains networks of two layers (flatten, linear, ReLU, linear) on gray images; choose the "
            "architecture 'two_layer' on MNIST."
        )
    mean, std = network.mean.flatten(), network.std.flatten()  # type: ignore[operator]
    shape = (1, *batch.images.shape[2:])
    return folded(layers, mean, std, shape, torch.float32)
