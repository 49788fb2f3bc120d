"""Views of a training: its losses and metrics against the epoch, and its sample images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.theme import plain
from core.figures.evaluation import COLORS
from core.figures.training import curve_name, curves_figure, is_logarithmic
from core.training.learning_curves import LearningCurve

DASHES = ("solid", "dash", "dot", "dashdot")
GAP = 4  # pixels between two sample images
SAMPLES = 16  # of a row, at most
SHOWN = 84  # pixels to which a smaller sample image is enlarged at least


def curves_plots(curves: Sequence[LearningCurve], stages: Sequence[str], *, key: str) -> None:
    """The losses and the metrics of each stage, the newest stage first; `stages` names the networks that they train."""
    for stage in sorted({curve.stage for curve in curves}, reverse=True):
        trained = stages[stage] if stage < len(stages) else f"stage {stage + 1}"
        several = len(stages) > 1
        parts = [
            (word, [curve for curve in curves if curve.stage == stage and curve.is_loss == is_loss])
            for word, is_loss in (("Losses", True), ("Metrics", False))
        ]
        for place, (word, some) in zip(st.columns(2, gap="medium"), parts, strict=True):
            if some:
                with place:
                    _plot(some, f"{word} of the {trained}" if several else word, key=f"{key}_{stage}_{word}")


def _plot(curves: Sequence[LearningCurve], title: str, *, key: str) -> None:
    figure = go.Figure()
    for number, curve in enumerate(curves):
        line = {"color": COLORS[number % len(COLORS)], "dash": DASHES[number % len(DASHES)], "width": 2}
        few = len(curve.values) < 3
        figure.add_trace(
            go.Scatter(
                x=curve.epochs,
                y=curve.values,
                name=curve_name(curve),
                line=line,
                mode="lines+markers" if few else "lines",
                hovertemplate="%{y:.4g} at epoch %{x:.2f}",
            )
        )
    figure.update_xaxes(title="epoch", rangemode="tozero")
    logarithmic = is_logarithmic(curves)
    if logarithmic:
        figure.update_yaxes(type="log", dtick="D2", minor={"dtick": "D1", "showgrid": False})
    shares = not curves[0].is_loss and all(0 <= value <= 1 for curve in curves for value in curve.values)
    if shares:
        figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    style(figure, height=320)
    figure.update_layout(title={"text": title, "font": {"size": 15}, "x": 0}, showlegend=True)
    last = ", ".join(f"{curve_name(curve)} {curve.values[-1]:.3g}" for curve in curves)
    scale = ", logarithmic" if logarithmic else ""
    st.plotly_chart(
        figure, key=key, config=CONFIG, theme="streamlit", alt=f"{title} against the epoch{scale}; now {last}"
    )
    save_menu(partial(curves_figure, list(curves), title), key, title.lower().replace(" ", "_"))


def samples_view(samples: Mapping[str, Any], *, key: str) -> None:
    """The sample images, a row for each thing that they show; the same image stands in the same column of every row."""
    for number, words in enumerate(sorted(samples, key=_row_order)):
        images = samples[words].numpy()[:SAMPLES]
        st.caption(plain(words, 80))
        with st.container(key=f"px_{key}_{number}"):
            alt = f"{len(images)} sample images: {words[:80]}"
            st.image(sample_strip(images), width="stretch", output_format="PNG", alt=alt)


def _row_order(words: str) -> tuple[int, str]:
    """The order of the rows: what a network gets comes before what it makes of it."""
    order = ("clean", "image", "training images", "adversarial")
    return order.index(words) if words in order else len(order), words


def sample_strip(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images N×C×H×W side by side on gray, the small ones enlarged pixel by pixel: H×W×3."""
    scale = max(1, -(-SHOWN // max(1, images.shape[2])))
    height, width = scale * images.shape[2], scale * images.shape[3]
    strip = np.full((height, len(images) * (width + GAP) - GAP, 3), 0x77, np.uint8)
    for number, image in enumerate(images):
        large = image.transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
        strip[:, number * (width + GAP) : number * (width + GAP) + width] = large  # one channel is gray
    return strip
