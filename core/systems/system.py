"""What judges an image, described without loading a weight: members and their vote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.defenses.base import Defense
from core.models.classifier import Classifier
from core.systems.ensemble import Ensemble, check_same_images
from core.systems.guarded import Backward, Guarded

Loader = Callable[[str], Classifier]  # the classifier of a name, loaded; '' is the recipe's own


@dataclass(frozen=True)
class Member:
    """One classifier behind a defense.

    Attributes:
        classifier: its name in the domain; '' for the recipe's own.
        title: of that classifier; '' for the recipe's own.
        defense: what an image passes first; None for nothing.
    """

    classifier: str = ""
    title: str = ""
    defense: Defense | None = None

    def describe(self, *, votes: bool = False) -> str:
        """The member in words, with the defense's parameters that differ from the defaults; one that votes names its classifier."""
        return self._words(None if self.defense is None else self.defense.describe(), votes)

    def short_title(self, *, votes: bool = False) -> str:
        """The member in few words."""
        return self._words(None if self.defense is None else self.defense.title, votes)

    def _words(self, defense: str | None, votes: bool) -> str:
        if defense is None:
            return self.title or "the bare classifier"
        classifier = self.title or ("the classifier" if votes else "")
        return f"{classifier} behind {defense}" if classifier else defense


@dataclass(frozen=True)
class System:
    """Members (a classifier behind a defense each) and their vote; a single member is the usual case.

    A system holds names, not weights: `classifier` makes a `Classifier` of it. The vote is that of `Ensemble`.
    """

    members: tuple[Member, ...]

    @staticmethod
    def of(defense: Defense | None) -> System:
        """The recipe's own classifier behind one defense, or behind none."""
        return System((Member(defense=defense),))

    @property
    def defense(self) -> Defense | None:
        """The defense of a system that is the recipe's own classifier behind one; None of any other system."""
        only = self.members[0]
        return only.defense if len(self.members) == 1 and not only.classifier else None

    @property
    def votes(self) -> bool:
        """Whether it has several members."""
        return len(self.members) > 1

    @property
    def title(self) -> str:
        """The system in few words."""
        return self._joined([member.short_title(votes=self.votes) for member in self.members])

    def describe(self) -> str:
        """The system in words, with the parameters that differ from the defaults."""
        return self._joined([member.describe(votes=self.votes) for member in self.members])

    def _joined(self, words: list[str]) -> str:
        return words[0] if len(words) == 1 else f"vote of {', '.join(words)}"

    def defenses(self) -> tuple[Defense, ...]:
        """The members' defenses."""
        return tuple(member.defense for member in self.members if member.defense is not None)

    def classifier_names(self) -> tuple[str, ...]:
        """The classifiers that the system names, each once; the recipe's own is not among them."""
        return tuple(dict.fromkeys(member.classifier for member in self.members if member.classifier))

    def is_randomized(self) -> bool:
        """Whether two answers to the same image may differ in their draws."""
        return any(defense.is_randomized() for defense in self.defenses())

    def nondifferentiable_parts(self) -> tuple[str, ...]:
        """The titles of those parts that have no useful gradient."""
        return tuple(title for defense in self.defenses() for title in defense.nondifferentiable_parts())

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of the defenses' weights by the names of their artifacts."""
        return {name: sha256 for defense in self.defenses() for name, sha256 in defense.checksums().items()}

    def classifier(self, load: Loader, backward: Backward = "average", *, seed: int = 0) -> Classifier:
        """The system as a classifier: what an adaptive attacker attacks, and what judges.

        Args:
            load: gives the classifier of a name, '' for the recipe's own.
            backward: how the attacker differentiates the defenses, as in `Guarded`.
            seed: of the defenses' own randomness.

        Raises:
            InvalidInput: a classifier is missing, or the members do not fit each other or the recipe's own classifier.
        """
        members = [
            loaded if defense is None else Guarded(loaded, defense, backward, seed=seed)
            for loaded, defense in self.loaded(load)
        ]
        return members[0] if len(members) == 1 else Ensemble(members, title=self.title)

    def loaded(self, load: Loader) -> list[tuple[Classifier, Defense | None]]:
        """Each member's classifier and defense.

        Raises:
            InvalidInput: a classifier is missing, or takes other images or names other classes than the recipe's own.
        """
        own = load("")
        members = []
        for member in self.members:
            classifier = load(member.classifier) if member.classifier else own
            check_same_images(own, classifier)
            members.append((classifier, member.defense))
        return members
