"""What a tour is made of: data, and one check per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.results.lessons import Here, Outcome


@dataclass(frozen=True)
class Step:
    """One thing to see and one to do."""

    title: str
    text: str
    """What to look at."""
    task: str
    """What to do, in one sentence."""
    hint: str
    page: str
    """Where, such as "look/attention"."""
    check: Callable[[Here], Outcome]
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the link of the page holds at the beginning of the step."""
    reads: tuple[str, ...] = ()
    """Controls of the page that the check looks at, by their name in the link."""


@dataclass(frozen=True)
class Tour:
    """Steps in their order."""

    name: str
    """In the link."""
    title: str
    question: str
    minutes: int
    """About how long a class takes."""
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not 5 <= len(self.steps) <= 8:
            raise ValueError(f"a tour has 5 to 8 steps. {self.name} has {len(self.steps)}.")
