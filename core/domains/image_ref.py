"""Naming one image of a domain, as plain data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ImageRef(BaseModel):
    """Which image: one of the domain's gallery, one of its data set, or one that a user brought (by its digest)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gallery", "dataset", "upload"] = "gallery"
    name: Annotated[str, Field(max_length=80)] = ""
    split: Annotated[str, Field(pattern="^[a-z]{1,16}$")] = "test"
    index: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    digest: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""  # SHA-256 of the file
    fit: Literal["crop", "pad", "stretch"] = "crop"
