"""Which device computes, and taking turns on it."""

from __future__ import annotations

import torch

from core.inputs import InvalidInput, quoted

# A GPU's convolutions round their inputs to 10 bits of mantissa unless told otherwise: class maps then differ from the CPU's in the
# third digit, and so do gradients. Training has bfloat16 for speed.
torch.backends.cudnn.allow_tf32 = False


def names() -> tuple[str, ...]:
    """The devices of this machine, the fastest first."""
    devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append("mps")
    return (*devices, "cpu")


def pick(name: str | None = None) -> torch.device:
    """The device of that name, or the fastest.

    Raises:
        InvalidInput: this machine has no such device.
    """
    if name is None or name == "auto":
        return torch.device(names()[0])
    if name == "cuda":
        name = "cuda:0"
    if name not in names():
        raise InvalidInput(f"This machine has no device called {quoted(name)}; it has {', '.join(names())}.")
    return torch.device(name)


def mixed(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where the device multiplies it in hardware, which halves the time; elsewhere float32 stays.

    A processor that has to imitate bfloat16 takes many times as long with it.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        has = torch.cpu.get_capabilities()
        native = any(has.get(kind, False) for kind in ("avx512_bf16", "amx_bf16", "bf16"))  # Intel and AMD; Arm
    else:
        native = True
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def threads() -> str:
    """The number of the CPU's threads in words."""
    count = torch.get_num_threads()
    return "1 thread" if count == 1 else f"{count} threads"


def describe(name: str) -> str:
    """The device as a person knows it."""
    if name.startswith("cuda"):
        return f"{torch.cuda.get_device_name(name)} ({name})"
    return {"cpu": f"CPU, {threads()}", "mps": "Apple GPU"}.get(name, name)
