"""Running a recipe, whole or in the stages that a screen reuses."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import attacks, defenses, domains, images
from core.cancellation import Cancelled
from core.device import pick
from core.domains.chosen import Picture
from core.flags import Slope, slope
from core.guarded import Backward, Guarded
from core.inputs import BadInput, check_logits
from core.models.classifier import Classifier
from core.models.counted import Counted, Tally
from core.recipe.norms import norms
from core.recipe.outcome import Attacked, Column, Guard, Outcome, Trace, Verdict
from core.recipe.recipe import Recipe

FRAMES = 120  # pictures kept of an attack at most; a longer one keeps every second, fourth, ... step

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Progress:
    """How far a run is, for whoever watches: what is being done, how far, and in an attack the step itself."""

    text: str
    done: int
    total: int
    step: attacks.Step | None = None


Watch = Callable[[Progress], bool | None]  # returns True to stop; what was found so far is kept


@dataclass(frozen=True)
class Scene:
    """The picture and the classifier of a recipe, ready to be attacked."""

    classifier: Classifier
    clean: Pixels  # size×size×channels
    label: int  # the true class; where it is unknown, what the classifier says of the clean image
    label_known: bool
    before: Verdict
    picture: Picture  # which image it is; a default is named

    @property
    def known_label(self) -> int | None:
        """The true class; None where it is unknown."""
        return self.label if self.label_known else None

    @property
    def images(self) -> Tensor:
        """The clean picture as a batch of one, 1×C×H×W."""
        return images.to_tensor(self.clean)

    @property
    def labels(self) -> Tensor:
        return torch.tensor([self.label])


def prepare(
    recipe: Recipe,
    *,
    device: str | None = None,
    classifier: Classifier | None = None,
    uploads: Mapping[str, Pixels] | None = None,
) -> Scene:
    """The recipe's picture, fitted, and its classifier. Where the recipe names no picture, it is the domain's default for this classifier.

    Args:
        classifier: the recipe's classifier where the caller has it loaded already.
        uploads: pictures that visitors brought (H×W×3, 8 bits), by their digest.

    Raises:
        BadInput: the picture is not here, or data or weights are missing.
    """
    domain = domains.get(recipe.domain)
    if classifier is None:
        classifier = domain.classifier(recipe.classifier or None, device=str(pick(device)))
    picture = recipe.picture
    if picture.kind == "gallery" and not picture.name:
        picture = picture.model_copy(update={"name": domain.default_item(classifier).name})
    pixels, label = domain.picture(picture, uploads or {})
    if label is None and recipe.true_class:
        label = domain.class_number(recipe.true_class)
    clean = images.fit(pixels, classifier.size, classifier.channels, recipe.picture.fit)
    with torch.no_grad():
        probabilities = _probabilities(classifier, images.to_tensor(clean))
    known = label is not None
    true = label if label is not None else int(probabilities.argmax())
    return Scene(classifier, clean, true, known, _verdict(probabilities, true), picture)


def fool(
    recipe: Recipe,
    scene: Scene,
    *,
    defense: defenses.Defense | None = None,
    backward: Backward = "average",
    watch: Watch | None = None,
) -> Attacked:
    """The recipe's attack on the scene; with `defense`, by an attacker who knows it and differentiates as `backward` says."""
    attack = recipe.built_attack()
    tally = Tally()
    bare = scene.classifier
    if defense is not None and backward == "average" and not defense.randomised():
        backward = "best"  # the same, by its name
    behind = bare if defense is None else Guarded(bare, defense, backward, seed=recipe.seed)
    with torch.no_grad():
        before = None if defense is None else look(behind, scene.images, scene.label)
    classifier = Counted(behind, tally)
    target = domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None
    if target is not None:
        check_target(scene, target)
    batch, labels = scene.images, scene.labels
    if attack.universal:
        # One change for all: it is trained on the gallery too, toward one class, which the attacker chooses if nobody does.
        if target is None:
            target = next(n for n, _ in scene.before.top if n != scene.label)
        batch, labels = _company(recipe, scene, target)
    goal = attacks.Goal() if target is None else attacks.Goal(torch.full_like(labels, target))
    recorder = _Recorder(scene.label, f"{attack.title}" + (f" on {defense.title}" if defense else ""), watch)
    generator = torch.Generator().manual_seed(recipe.seed)
    result = attack(classifier, batch, labels, goal, generator, watch=recorder)
    check_logits(result.logits[:1])
    adversarial = images.to_pixels(result.images)[0]
    probabilities = result.logits[0].float().softmax(0).cpu()
    aim = target if target is not None else int(result.targets[0]) if result.targets is not None else None
    return Attacked(
        method=recipe.attack_description(),
        adversarial=adversarial,
        verdict=_verdict(probabilities, scene.label),
        success=bool(result.success[0]),
        first=int(result.steps[0]),
        iterations=result.iterations,
        seconds=result.seconds,
        stopped=result.stopped,
        target=aim,
        norms=norms(scene.clean, adversarial),
        flips_back=recorder.fooled and not bool(result.success[0]),
        gradients=tally.gradients,
        queries=tally.queries,
        known="" if defense is None else defense.described(),
        backward="none" if defense is None else backward,
        before=before,
        gradient=_slope(behind, scene) if attack.access == "gradient" else None,
        trace=recorder.trace(),
        flow=result.extras["flow"][0].cpu().numpy() if "flow" in result.extras else None,
        patch=_printed(result.extras),
        mask=None if result.mask is None else images.to_pixels(result.mask.float())[0],
        others=(int(result.success[1:].sum()), len(labels) - 1) if attack.universal else None,
    )


def _slope(classifier: Classifier, scene: Scene) -> Slope | None:
    """What a gradient attacker finds at the clean image; None where the work was cancelled."""
    try:
        return slope(classifier, scene.images, scene.labels)
    except Cancelled:
        return None


def check_target(scene: Scene, target: int) -> None:
    """Refuse a target that the clean image has already.

    Raises:
        BadInput: it is the image's true class or, where that is unknown, what the classifier sees in the clean image.
    """
    if target != scene.label:
        return
    if scene.label_known:
        raise BadInput("The target is the picture's own class; choose another class as the target.")
    raise BadInput(
        f"The classifier sees {scene.classifier.classes[target]!r} in the clean image already; choose another class as the target."
    )


def _company(recipe: Recipe, scene: Scene, target: int) -> tuple[Tensor, Tensor]:
    """The scene's picture first, then the gallery's others that are not of the target class; and their labels."""
    domain, classifier = domains.get(recipe.domain), scene.classifier
    batch, labels = [scene.images], [scene.label]
    for item in domain.gallery():
        pixels = images.fit(domain.gallery_pixels(item.name), classifier.size, classifier.channels, recipe.picture.fit)
        if item.label is not None and item.label != target and not np.array_equal(pixels, scene.clean):
            batch.append(images.to_tensor(pixels))
            labels.append(item.label)
    return torch.cat(batch), torch.tensor(labels)


def _printed(extras: Mapping[str, Tensor]) -> Pixels | None:
    """The patch on white, as it comes out of a printer."""
    if "patch" not in extras:
        return None
    stencil = extras["stencil"]
    return images.to_pixels(extras["patch"] * stencil + (1 - stencil))


def defend(recipe: Recipe, scene: Scene, attacked: Attacked, *, watch: Watch | None = None) -> tuple[Column, ...]:
    """Every defense of the recipe on the clean and on the attacked picture, one column each; stopped, those that are whole."""
    columns: list[Column] = []
    built = recipe.built_defenses()
    with suppress(Cancelled):
        for index, defense in enumerate(built):
            if watch is not None and watch(Progress(defense.described(), index, len(built))):
                break
            column = _column(recipe, scene, attacked, defense, watch)
            if column.adaptive and column.adaptive.attack and column.adaptive.attack.stopped:
                break  # half an attack says nothing of a defense
            columns.append(column)
    return tuple(columns)


def run(
    recipe: Recipe,
    *,
    device: str | None = None,
    classifier: Classifier | None = None,
    uploads: Mapping[str, Pixels] | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Run a whole recipe; the same recipe on the same device gives the same pictures and numbers.

    Raises:
        BadInput: something in the recipe is not to be had; the sentence says what to do.
    """
    scene = prepare(recipe, device=device, classifier=classifier, uploads=uploads)
    attacked = fool(recipe, scene, watch=watch)
    columns = () if attacked.stopped else defend(recipe, scene, attacked, watch=watch)
    return assemble(recipe, scene, attacked, columns)


def assemble(recipe: Recipe, scene: Scene, attacked: Attacked, columns: tuple[Column, ...]) -> Outcome:
    """The stages of one recipe put together."""
    return Outcome(
        recipe=recipe,
        domain=recipe.domain,
        classifier=scene.classifier.name,
        classes=scene.classifier.classes,
        device=str(scene.classifier.device),
        versions=f"torch {torch.__version__}, Python {platform.python_version()}",
        label=scene.label,
        label_known=scene.label_known,
        clean=scene.clean,
        before=attacked.before or scene.before,
        attacked=attacked,
        columns=columns,
    )


@dataclass(frozen=True)
class SweepPoint:
    """One value of a swept parameter and what the defense does there."""

    value: float | str | bool
    clean: Guard
    attacked: Guard


def sweep(
    recipe: Recipe,
    scene: Scene,
    attacked: Attacked,
    method: str,
    parameter: str,
    values: tuple[object, ...],
    *,
    watch: Watch | None = None,
) -> tuple[SweepPoint, ...] | None:
    """One defense at several values of one parameter, on the clean and on the attacked picture (grey box).

    None where `watch` stopped it.

    Raises:
        BadInput: no such defense or parameter, or a value out of range.
    """
    points = []
    base = next((m.params for column in recipe.defenses for m in column if m.name == method), {})
    for number, value in enumerate(values):
        defense = defenses.build_for(domains.get(recipe.domain), method, {**base, parameter: value})
        if watch is not None and watch(Progress(f"{defense.title} over {parameter}", number, len(values))):
            return None
        clean = _guard(recipe, scene, defense, scene.images)
        points.append(SweepPoint(value, clean, _guard(recipe, scene, defense, images.to_tensor(attacked.adversarial))))  # type: ignore[arg-type]
    return tuple(points)


def _column(recipe: Recipe, scene: Scene, attacked: Attacked, defense: defenses.Defense, watch: Watch | None) -> Column:
    clean = _guard(recipe, scene, defense, scene.images)
    seconds = _seconds(defense, scene)  # after the first pass, which pays for threads and memory
    grey = adaptive = None
    if recipe.attacker in ("grey", "both"):
        grey = _guard(recipe, scene, defense, images.to_tensor(attacked.adversarial))
    if recipe.attacker in ("adaptive", "both"):
        again = fool(recipe, scene, defense=defense, backward=recipe.backward, watch=watch)
        guard = _guard(recipe, scene, defense, images.to_tensor(again.adversarial))
        adaptive = guard.model_copy(update={"attack": again, "backward": again.backward})
    return Column(
        defense=defense.described(), short=defense.title, clean=clean, grey=grey, adaptive=adaptive, seconds=seconds
    )


def _seconds(defense: defenses.Defense, scene: Scene) -> float:
    """What one pass of the defense over the clean picture takes."""
    batch = scene.images.to(scene.classifier.device)
    began = time.perf_counter()
    with torch.no_grad():
        defense(batch)
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)
    return time.perf_counter() - began


def _guard(recipe: Recipe, scene: Scene, defense: defenses.Defense, batch: Tensor) -> Guard:
    with torch.no_grad():
        batch = batch.to(scene.classifier.device)
        defended = defense(batch)
        if defense.randomised():  # the picture is one draw, the verdict the mean of several
            probabilities = _probabilities(Guarded(scene.classifier, defense, seed=recipe.seed), batch)
        else:
            probabilities = _probabilities(scene.classifier, defended)
    verdict = _verdict(probabilities, scene.label)
    return Guard(defended=images.to_pixels(defended)[0], verdict=verdict, recovered=verdict.label == scene.label)


def look(classifier: Classifier, batch: Tensor, label: int) -> Verdict:
    """What the classifier says of a batch of one, whose true class is `label`."""
    return _verdict(_probabilities(classifier, batch), label)


def _probabilities(classifier: Classifier, batch: Tensor) -> Tensor:
    logits = classifier(batch)
    check_logits(logits)
    return logits[0].float().softmax(0).cpu()  # type: ignore[no-any-return]


def _verdict(probabilities: Tensor, label: int) -> Verdict:
    values, numbers = probabilities.topk(min(5, len(probabilities)))
    top = tuple((int(n), float(v)) for n, v in zip(numbers, values, strict=True))
    return Verdict(label=top[0][0], confidence=top[0][1], top=top, true_confidence=float(probabilities[label]))


class _Recorder:
    """Keeps what a view needs of every step and a bounded number of pictures, and passes the step on."""

    def __init__(self, label: int, text: str, watch: Watch | None) -> None:
        self.label, self.text, self.watch = label, text, watch
        self.fooled = False
        self.stride = 1
        self.numbers: list[int] = []
        self.loss: list[float] = []
        self.confidence: list[float] = []
        self.strongest: list[float] = []
        self.predicted: list[int] = []
        self.frames: dict[int, Pixels] = {}
        self.last: tuple[int, Pixels] | None = None
        self.seen: Tensor | None = None

    def __call__(self, step: attacks.Step) -> bool | None:
        if step.logits is self.seen:  # no more than a sign of life: nothing new was looked at
            return self.watch(Progress(self.text, step.number, step.total, step)) if self.watch else None
        self.seen = step.logits
        probabilities = step.logits[0].detach().float().softmax(0).cpu()
        others = probabilities.clone()
        others[self.label] = -1
        strongest = int(step.targets[0]) if step.targets is not None else int(others.argmax())
        if self.numbers and self.numbers[-1] == step.number:  # an attack's last word on the same step: what it returns
            for series in (self.numbers, self.loss, self.confidence, self.strongest, self.predicted):
                series.pop()
        self.numbers.append(step.number)
        self.loss.append(float(step.loss[0]))
        self.confidence.append(float(probabilities[self.label]))
        self.strongest.append(float(probabilities[strongest]))
        self.predicted.append(int(probabilities.argmax()))
        self.fooled = bool(step.fooled[0])
        self.last = (step.number, images.to_pixels(step.images)[0])
        if step.number % self.stride == 0:
            self.frames[step.number] = self.last[1]
            if len(self.frames) > FRAMES:
                self.stride *= 2
                self.frames = {n: f for n, f in self.frames.items() if n % self.stride == 0}
        return self.watch(Progress(self.text, step.number, step.total, step)) if self.watch else None

    def trace(self) -> Trace:
        if self.last is not None:
            self.frames[self.last[0]] = self.last[1]
        return Trace(
            numbers=tuple(self.numbers),
            loss=tuple(self.loss),
            confidence=tuple(self.confidence),
            strongest=tuple(self.strongest),
            predicted=tuple(self.predicted),
            frame_numbers=tuple(sorted(self.frames)),
            frames=tuple(self.frames[n] for n in sorted(self.frames)),
        )
