"""A GPU played by the CPU: tensors of another device that break where a GPU's would.

Each holds its values on the CPU and is computed there, so what is found can be compared with the CPU's own; but an operation that
mixes them with tensors of the CPU is refused as a GPU refuses it, and so are `numpy()` and pointers to their memory. That tells
whether code leaves tensors on the wrong device, and that the operations which take a compiled loop's place find the same; what it
cannot tell is how a GPU rounds, or how fast it is.

The device's name is torch's "meta": the only one but the CPU whose gradients torch computes where its hardware is absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from core import device

THERE = torch.device("meta")
REAL = os.environ.get("MIRAGE_TEST_DEVICE", "")  # the device that the tests use instead of the played one
_aten = torch.ops.aten
# These may move what they are given: copies, and indices, which `x[positions]` takes from the CPU.
_MOVING = (
    _aten._to_copy.default,
    _aten.copy_.default,
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
)
_made = torch.tensor


class Acting(Tensor):
    """A tensor that lies there; its values are held here."""

    held: Tensor
    is_cuda, is_meta = True, False
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> Acting:
        made: Acting = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=THERE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def __repr__(self, *_: Any, **__: Any) -> str:  # type: ignore[override]
        return f"there: {self.held!r}"

    def tolist(self) -> Any:  # torch has none for a class of one's own
        return self.held.tolist()

    # torch leaves out the values of numbers that are to lie on "meta", so they are put into a tensor first.
    def __getitem__(self, where: Any) -> Tensor:
        return super().__getitem__(_placed(where))

    def __setitem__(self, where: Any, value: Any) -> None:
        super().__setitem__(_placed(where), value)


def _placed(where: Any) -> Any:
    if isinstance(where, tuple):
        return tuple(map(_placed, where))
    return _tensor(where, device=THERE) if isinstance(where, list) else where


def _tensor(data: Any, **options: Any) -> Tensor:
    place = options.pop("device", "cpu")
    return _made(data, **options).to(place)


class _Everywhere(TorchDispatchMode):
    """What is made there acts, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    acting = {id(x.held): x for x in given if isinstance(x, Acting)}
    if acting and func not in _MOVING and any(x.ndim and not isinstance(x, Acting) for x in given):
        raise RuntimeError(f"Expected all tensors to be on the same device ({func})")
    there = bool(acting)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]) == THERE
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif func is _aten.copy_.default:
        there = isinstance(args[0], Acting)
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, Acting) else x, (args, kwargs))
    found = func(*args, **kwargs)
    if not there:
        return found

    def wrapped(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return acting[id(x)] if id(x) in acting else Acting(x)  # an operation in place gives back what it was given

    return tree_map(wrapped, found)


@contextmanager
def gpu() -> Iterator[torch.device]:
    """The device that is played: within, tensors can be moved there and made there. With MIRAGE_TEST_DEVICE=cuda:0 it is the real one."""
    if REAL:
        yield torch.device(REAL)
        return
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(device, "names", lambda: (str(THERE), "cpu")))
        stack.enter_context(mock.patch.object(torch.cuda, "synchronize", lambda _: None))
        stack.enter_context(mock.patch.object(torch, "tensor", _tensor))
        # Gradients in this thread: torch has none for a device that is not there.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(_Everywhere())
        yield THERE
