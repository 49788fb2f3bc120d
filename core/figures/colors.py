"""Colors by meaning (Okabe and Ito): safe for color-blind readers, and never the only carrier of a meaning."""

from __future__ import annotations

CLEAN, ADVERSARIAL, DEFENDED, TARGET, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8a8f98"
BLUE, WHITE, VERMILION = CLEAN, "#ffffff", ADVERSARIAL
INK = "#111111"
