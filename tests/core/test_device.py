"""Which device computes, and in which precision."""

from __future__ import annotations

import pytest
import torch

from core.device import mixed


@pytest.mark.parametrize(
    ("has", "kind"),
    [
        ({"architecture": "x86_64", "avx2": True}, torch.float32),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"architecture": "x86_64", "avx512_bf16": True}, torch.bfloat16),
        ({"architecture": "x86_64", "amx_bf16": True}, torch.bfloat16),
        ({"architecture": "arm64", "neon": True, "bf16": True}, torch.bfloat16),
    ],
)
def test_bfloat16_only_where_a_processor_has_it(
    has: dict[str, object], kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    with mixed(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
