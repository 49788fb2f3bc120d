"""The contract of a domain: classes, image size, images and classifiers that belong together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import images
from core.class_names import class_number, class_words
from core.declaration import Configurable, Parameter
from core.device import pick
from core.domains.budget import LINF, Budget, attack_parameters
from core.domains.image_folder import Notice
from core.domains.image_ref import ImageRef
from core.inputs import InvalidInput, quoted
from core.models import artifacts
from core.models.artifacts import Artifact
from core.models.classifier import Classifier
from core.progress import OnProgress

Pixels = npt.NDArray[np.uint8]  # H×W×C


# Of a domain's classifiers that ship; the first one is its default.
_ORDER = ("photonet", "resnet", "a", "vgg", "alexnet", "b", "cnn", "digits")


def read_only(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same array; what is handed out to many may be changed by none."""
    values.setflags(write=False)
    return values


@dataclass(frozen=True)
class GalleryItem:
    """One image of a gallery; the label is None where the domain has no class for it."""

    name: str
    title: str
    label: int | None
    credit: str = ""


class Domain(ABC):
    """Classes, image size, images and classifiers that belong together."""

    name: ClassVar[str]
    title: ClassVar[str]
    note: ClassVar[str]  # one plain sentence about what this is and is not
    size: ClassVar[int]
    channels: ClassVar[int] = 3
    linf: ClassVar[Budget] = LINF  # the field's usual L∞ budget on these images
    l2: ClassVar[Budget] = Budget(3.0, 10.0, 0.1)
    dataset: ClassVar[str] = ""  # the data set's own name; empty where there is none to fetch

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The class names in the order of the logits."""

    # Classifiers

    def classifier_names(self) -> tuple[str, ...]:
        """The classifiers of this domain, the default first; the user's own come last."""
        return tuple(self._artifacts())

    def classifier_title(self, name: str) -> str:
        """The classifier's name for people; where others have the same title, with its own name behind it."""
        title = self._artifact(name).card.title
        same = sum(artifact.card.title == title for artifact in self._artifacts().values())
        return title if same == 1 else f"{title} ({name})"

    def classifier_note(self, name: str) -> str:
        """One line about what the classifier is and how good it is."""
        card = self._artifact(name).card
        return f"{card.headline()}. {card.description}" if card.metrics else card.description

    def classifier(
        self, name: str | None = None, device: str | None = None, on_progress: OnProgress | None = None
    ) -> Classifier:
        """The classifier of that name (the default's without one) on that device (the fastest without one).

        `on_progress` is called with the bytes of a download where there is one; it returns True to stop.

        Raises:
            InvalidInput: there is no such classifier or device, or its weights cannot be had.
        """
        artifact = self._artifact(name or self.classifier_names()[0])
        return artifacts.load_classifier(artifact, self.classes, device=str(pick(device)))

    def is_local(self, name: str) -> bool:
        """Whether a classifier's weights are on this machine: a matter of milliseconds, not of a download."""
        return name in self._artifacts()

    def takes(self, channels: int, size: int) -> bool:
        """Whether this domain's images are of that form."""
        return (channels, size) == (self.channels, self.size)

    def _artifacts(self) -> dict[str, Artifact]:
        """The artifacts that are classifiers of this domain, by the classifier's name, the default first."""
        by_name = {
            artifact.name.removeprefix(f"{self.name}_"): artifact
            for artifact in artifacts.list_artifacts("classifier", self.name)
            if self.takes(artifact.card.channels, artifact.card.size)
        }

        def place(name: str) -> tuple[bool, int, str]:
            return not by_name[name].shipped, _ORDER.index(name) if name in _ORDER else len(_ORDER), name

        return {name: by_name[name] for name in sorted(by_name, key=place)}

    def _artifact(self, name: str) -> Artifact:
        by_name = self._artifacts()
        if name not in by_name:
            names = ", ".join(self.classifier_names())
            raise InvalidInput(f"{self.title} has no classifier called {quoted(name)}; it has {names}.")
        return by_name[name]

    # Attacks

    def attack_parameters(
        self, method: type[Configurable], params: Mapping[str, Any] | None = None
    ) -> tuple[Parameter, ...]:
        """An attack's parameters with this domain's defaults, slider ends and units; `params` choose the norm."""
        return attack_parameters(method, params or {}, self.linf, self.l2)

    def attack_values(self, method: type[Configurable], params: Mapping[str, Any]) -> dict[str, Any]:
        """The given parameters, and this domain's defaults where they differ from those that the attack declares."""
        declared = {parameter.name: parameter.default for parameter in method.parameters()}
        own = {p.name: p.default for p in self.attack_parameters(method, params) if p.default != declared[p.name]}
        return {**own, **params}

    # Images

    @abstractmethod
    def gallery(self) -> tuple[GalleryItem, ...]:
        """Images to choose from at a glance."""

    @abstractmethod
    def gallery_pixels(self, name: str) -> Pixels:
        """One image of the gallery as it is stored, H×W×C."""

    def splits(self) -> tuple[str, ...]:
        """The parts of the data set that is on this machine; empty where it is not."""
        return () if self.missing_reason() else ("test", "train")

    @abstractmethod
    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """The classes of all images of a split, in order; read only."""

    @abstractmethod
    def pixels(self, split: str, index: int) -> Pixels:
        """One image of a split as it is stored, H×W×C; read only where it is kept in memory."""

    def count(self, split: str) -> int:
        return len(self.labels(split))

    def missing_reason(self) -> str | None:
        """Why its data set is not to be had, as a sentence; None where it is here."""
        return None

    def notices(self) -> tuple[Notice, ...]:
        """What there is to say about the user's own images and files of this domain."""
        return tuple(
            Notice(
                f"The artifact {artifact.name} is left out: it takes images of {card.size}×{card.size} pixels and {card.channels} "
                f"channels, and those of {self.title} have {self.size}×{self.size} and {self.channels}.",
                problem=True,
            )
            for kind in ("classifier", "denoiser")
            for artifact in artifacts.list_artifacts(kind, self.name)
            if not self.takes((card := artifact.card).channels, card.size)
        )

    @property
    def can_fetch(self) -> bool:
        """Whether `fetch` could bring the data set."""
        return bool(self.dataset) and self.missing_reason() is not None

    def fetch(self, on_progress: OnProgress | None = None) -> None:
        """Download the data set into `data_root()` by torchvision's own loader; `on_progress` is called as in `download`.

        Raises:
            InvalidInput: it cannot be downloaded; what was there before is still there.
        """
        raise InvalidInput(f"{self.title} has no data set to download.")

    def sample(self, count: int, split: str = "test", seed: int = 0) -> tuple[Tensor, Tensor]:
        """Images drawn without replacement: float32 N×C×H×W in [0, 1] of this domain's size, and int64 N.

        Raises:
            InvalidInput: the split is not here or holds fewer images.
        """
        chosen = self.sample_indices(count, split, seed)
        batch = [images.to_tensor(images.fit(self.pixels(split, i), self.size, self.channels, "crop")) for i in chosen]
        return torch.cat(batch), torch.from_numpy(self.labels(split)[chosen])

    def sample_indices(self, count: int, split: str = "test", seed: int = 0) -> npt.NDArray[np.int64]:
        """The numbers of images drawn without replacement, in the order of `sample`.

        Raises:
            InvalidInput: the split is not here or holds fewer images.
        """
        labels = self._split_labels(split)
        if not 1 <= count <= len(labels):
            raise InvalidInput(
                f"{self.title} has {len(labels)} labeled images in {quoted(split)}; ask for 1 to {len(labels)}."
            )
        return torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:count].numpy()

    def image(self, chosen: ImageRef, uploads: Mapping[str, Pixels]) -> tuple[Pixels, int | None]:
        """The image that a recipe names and its class, None where nobody knows it.

        Raises:
            InvalidInput: it is not here.
        """
        label = self.true_label(chosen)
        if chosen.kind == "upload":
            if chosen.digest not in uploads:
                raise InvalidInput("This recipe is about an image that somebody uploaded; upload it here to go on.")
            return uploads[chosen.digest], label
        if chosen.kind == "gallery":
            return self.gallery_pixels(chosen.name or self.gallery()[0].name), label
        return self.pixels(chosen.split, chosen.index), label

    def true_label(self, chosen: ImageRef) -> int | None:
        """The class of the image that a recipe names, None where the domain does not know it.

        Raises:
            InvalidInput: the image is neither in the gallery nor in the data set on this machine.
        """
        if chosen.kind == "upload":
            return None
        if chosen.kind == "gallery":
            return self.gallery_item(chosen.name or self.gallery()[0].name).label
        labels = self._split_labels(chosen.split)
        if chosen.index >= len(labels):
            raise InvalidInput(f"{chosen.split} holds the images 0 to {len(labels) - 1}; there is no {chosen.index}.")
        label = int(labels[chosen.index])
        return label if label >= 0 else None

    def gallery_item(self, name: str) -> GalleryItem:
        """The gallery's entry of that name.

        Raises:
            InvalidInput: there is none.
        """
        for item in self.gallery():
            if item.name == name:
                return item
        raise InvalidInput(f"The gallery of {self.title} has no image called {name[:60]!r}.")

    def class_number(self, word: str) -> int:
        """The class of that name or number; where names differ in nothing but case, the one that is spelled so.

        Raises:
            InvalidInput: there is none, or there are several.
        """
        return class_number(word, self.classes, self.title)

    def class_words(self) -> tuple[str, ...]:
        """What a recipe calls each class: its name, or its number where several classes have the same name."""
        return class_words(self.classes)

    def class_word(self, number: int) -> str:
        """What a recipe calls that class."""
        return self.class_words()[number]

    def _split_labels(self, split: str) -> npt.NDArray[np.int64]:
        splits = self.splits()
        if split not in splits:
            missing = None if splits else self.missing_reason()
            raise InvalidInput(
                missing or f"{self.title} has no split called {split[:60]!r}; it has {', '.join(splits) or 'none'}."
            )
        return self.labels(split)
