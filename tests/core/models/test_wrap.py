"""A network of one's own as a classifier: it is copied, and what does not fit gets a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import Classifier, InvalidInput
from core.attacks import PGD
from core.models.folding import fuse_conv_bn

NAMES = ("a", "b", "c", "d")


class Viewing(nn.Module):
    """Convolutions whose maps are flattened with `view`, forward, or backward through a function of its own."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.drop = nn.Conv2d(6, 5, 3, padding=1), nn.Dropout(0.5)
        self.head = nn.Linear(5 * 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(torch.relu(self.norm(self.first(x))))
        return self.head(self.drop(h.view(len(h), -1)))  # type: ignore[no-any-return]


class ViewingBackward(Viewing):
    """Its last convolution's gradient is looked at with `view`."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first(x)))
        h.register_hook(lambda gradient: gradient.view(-1).view(gradient.shape)) if h.requires_grad else None
        return self.head(self.second(h).flatten(1))  # type: ignore[no-any-return]


class Plain(nn.Module):
    """No convolution: the image itself is flattened with `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.view(len(x), -1))  # type: ignore[no-any-return]


def weight_norm() -> nn.Module:
    """Its weight is computed from two others by a hook, and the result lies about with its graph."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.Flatten(), nn.Linear(144, 4))
    network(torch.rand(1, 3, 8, 8))
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "view": Viewing,
    "view in the gradient": ViewingBackward,
    "no convolution": Plain,
    "weight norm": weight_norm,
    "float64": lambda: Viewing().double(),
}


def images(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def wrapped(module: nn.Module, **more: Any) -> Classifier:
    given = {"classes": NAMES, "size": 8, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3), **more}
    return Classifier.wrap(module, **given)


def state(module: nn.Module) -> list[object]:
    """All that must not change: values, modes, gradients asked for, memory, hooks."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return [
        [(name, t.requires_grad, t.stride(), t.dtype, t.data_ptr(), t.sum().item()) for name, t in tensors.items()],
        [
            (name, part.training, len(part._forward_hooks), len(part._backward_hooks))
            for name, part in module.named_modules()
        ],
        [p.grad for p in module.parameters()],
    ]


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_wrapped_network_works_and_the_callers_stays_as_it_was(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = make().train()
    before = state(module)
    random = torch.get_rng_state()
    model, x = wrapped(module), images()
    assert torch.equal(torch.get_rng_state(), random)
    assert state(module) == before
    with torch.no_grad():
        y = model(x).argmax(1)
    result = PGD(eps=0.2, steps=10)(model, x, y)
    assert bool(result.success.any())
    for form in (x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        torch.testing.assert_close(model(form), model(x))
    assert state(module) == before and module.training


def test_it_says_what_the_network_says_and_later_changes_do_not_reach_it() -> None:
    module, x = Viewing().eval(), images()
    model = wrapped(module)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    before = model(x)
    torch.testing.assert_close(before, module((x - mean) / std))
    with torch.no_grad():
        module.head.weight.zero_()
    module.train()
    assert torch.equal(model(x), before) and not model.network.training
    assert not any(p.requires_grad for p in model.parameters()) and all(p.requires_grad for p in module.parameters())


def test_what_is_not_said_gets_a_sensible_value() -> None:
    model = wrapped(Viewing())
    assert (model.classes, model.size, model.channels, model.title) == (NAMES, 8, 3, "Viewing")
    assert model.cam_layer == "second" and model.cam_module is model.network.second
    gray = Classifier.wrap(Viewing(1), classes=4, size=8, mean=[0.1307], std=[0.3081])
    assert gray.channels == 1 and gray.classes == ("0", "1", "2", "3")
    assert Classifier.wrap(Viewing(), classes=4, size=8).channels == 3
    assert Classifier.wrap(Viewing(), classes=4, size=8, mean=0.5, std=0.25).std.flatten().tolist() == [0.25] * 3
    assert Classifier.wrap(Viewing(), classes=NAMES, size=8, cam_layer="first").cam_layer == "first"
    assert wrapped(Plain()).cam_layer == ""
    with pytest.raises(InvalidInput, match="names no layer"):
        _ = wrapped(Plain()).cam_module


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"classes": NAMES[:3]}, "answers with 1×4 for one image, and 3 classes need 1×3"),
        ({"classes": 5}, "5 classes need 1×5"),
        ({"classes": "abcd"}, "class names"),
        ({"classes": 0}, "class names"),
        ({"size": 9}, "does not take images N×3×9×9"),
        ({"size": 0}, "size is 0"),
        ({"size": 8.0}, "size is 8.0"),
        ({"mean": (0.5,), "std": (0.5,), "channels": 1}, "does not take images N×1×8×8"),
        ({"channels": 2}, "1 or 3 channels"),
        ({"mean": (0.5, 0.5)}, "1 or 3 channels"),
        ({"std": (0.5, 0.5)}, "std has 2 values"),
        ({"mean": (0.5,), "channels": 3, "std": (1.0, 1.0, 1.0, 1.0)}, "std has 4 values"),
        ({"std": 0.0}, "above 0"),
        ({"std": (0.2, -0.2, 0.2)}, "above 0"),
        ({"mean": float("nan")}, "finite"),
        ({"cam_layer": "third"}, "no layer called 'third'"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(more: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        wrapped(Viewing(), **more)
    assert "\n" not in str(refusal.value)


def test_a_function_or_a_network_of_another_answer_is_refused() -> None:
    class Pair(Viewing):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), x

    with pytest.raises(InvalidInput, match=r"torch\.nn\.Module"):
        wrapped(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="answers with tuple"):
        wrapped(Pair())


def test_images_of_other_channels_or_types_are_refused_and_never_repeated_silently() -> None:
    model, x = wrapped(Viewing()), images()
    for wrong in (x[:, :1], x[0], (x * 255).byte()):
        with pytest.raises(InvalidInput, match="takes float images N×3×8×8"):
            model(wrong)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        torch.testing.assert_close(model(x.to(dtype)), model(x.to(dtype).float()))


def test_folding_leaves_the_network_as_it_was() -> None:
    module = Viewing().train()
    before = state(module)
    folded = fuse_conv_bn(module, images(1))
    assert state(module) == before
    assert not folded.training and not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
