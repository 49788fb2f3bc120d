"""The experiments that count batch by batch, by name."""

from __future__ import annotations

from core.evaluate.flows import FlowTable
from core.evaluate.lan import ConvolutionalMaskTables, MaskTables
from core.evaluate.papers import Reproduction

REPRODUCTIONS: dict[str, Reproduction] = {r.name: r for r in (FlowTable(), MaskTables(), ConvolutionalMaskTables())}
