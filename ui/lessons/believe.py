"""Can you believe a heat map?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui.lessons.tour import Step, Tour
from ui.results.lessons import Outcome, beaten, method_map

if TYPE_CHECKING:
    from ui.results.lessons import Here

_SURE = 0.95
_APART = 0.3
_START = {"model": "bundled:vit", "image": "scene:3", "class": "auto"}


def _only(here: Here) -> str | None:
    chosen = _maps(here)
    return chosen[0] if len(chosen) == 1 else None


def _maps(here: Here) -> list[str]:
    """What the page shows; before it was drawn, what the link says."""
    found = here.values.get("maps") or []
    return found.split(",") if isinstance(found, str) else list(found)


def _one(here: Here) -> str:
    return f"Leave exactly one method under “Maps for a class”; there are {len(_maps(here))}."


def _title(name: str) -> str:
    import analysis

    return analysis.find(name).title


def _good(here: Here) -> Outcome:
    name = _only(here)
    if name is None:
        return Outcome(False, _one(here))
    found = beaten(here, name)
    told = f"{_title(name)}: {found.sentence}; it beats {found.beaten:.0%} of the random orders."
    return Outcome(found.beaten > _SURE, told)


def _bad(here: Here) -> Outcome:
    found = _good(here)
    name = _only(here)
    return Outcome(name is not None and not found.passed, found.told)


def _same_for_all(here: Here) -> Outcome:
    name = _only(here)
    if name is None:
        return Outcome(False, _one(here))
    target = here.target()
    other = (target + 1) % here.subject.classes
    one, two = (method_map(here, name, aim) for aim in (target, other))
    same = np.allclose(one.values, two.values, atol=1e-6)
    told = f"{_title(name)}: the maps for two classes are {'the same, to the last digit' if same else 'different'}."
    return Outcome(bool(same), told)


def _absent(here: Here) -> Outcome:
    there = {name for name, _ in here.picture.objects}
    if here.class_name not in (here.model.labels or ()):
        return Outcome(False, "The class is still the model's first. Choose one by name in the sidebar.")
    told = f"“{here.class_name}” is {'' if here.class_name in there else 'not '}in {here.picture.title}."
    return Outcome(here.class_name not in there, told)


def _disagree(here: Here) -> Outcome:
    from analysis.map_agreement import similarity

    names = [here.values.get(side) for side in ("left-method", "right-method")]
    if here.page != "compare-compare" or here.values.get("differs") != "method" or not all(names):
        return Outcome(False, "On Compare, what differs should be the method.")
    one, two = (method_map(here, str(name)) for name in names)
    found = similarity(one, two)
    told = f"{_title(str(names[0]))} and {_title(str(names[1]))}: rank correlation {found:.2f} on {here.picture.title}."
    return Outcome(found < _APART, told)


TOUR = Tour(
    name="believe",
    title="Can you believe a heat map?",
    question="What would a map have to show to be believed?",
    minutes=20,
    steps=(
        Step(
            title="Take away what is hot",
            text="A good map knows which patches the answer needs. Take the hottest away first: the answer should fall sooner "
            "than in random order. The badge under each map tells.",
            task="Under “Maps for a class” leave one method that beats the random orders.",
            hint="Remove methods with their cross. Green badges beat 95 % of random orders.",
            page="look/attention",
            check=_good,
            settings=_START,
            reads=("maps",),
        ),
        Step(
            title="A nice picture that fails",
            text="A map can look convincing and know nothing.",
            task="Leave one method that does not beat the random orders on this picture.",
            hint="Try others from the list: some that use gradients alone, or Grad-CAM on tokens.",
            page="look/attention",
            check=_bad,
            settings=_START,
            reads=("maps",),
        ),
        Step(
            title="For which class?",
            text="A map “for the ball” should differ from a map “for the star”. Some methods do not know the class at all.",
            task="Leave one method whose map is the same for every class.",
            hint="Methods that only read attention never hear of the class. Change the class in the sidebar and watch.",
            page="look/attention",
            check=_same_for_all,
            settings=_START,
            reads=("maps",),
        ),
        Step(
            title="Asked for something that is not there",
            text="A map is drawn for any class, also for one that is not in the picture. It does not say so.",
            task="Choose a class in the sidebar that is not in the picture, and look at its maps.",
            hint="The line under the picture in the sidebar says what was drawn.",
            page="look/attention",
            check=_absent,
            settings=_START,
        ),
        Step(
            title="Who is right?",
            text="Methods disagree. When two maps tell different stories, at most one of them is right.",
            task=f"On Compare, find two methods whose maps have a rank correlation below {_APART}.",
            hint="Choose “Method”. One that passed and one that failed above are a good pair.",
            page="compare/compare",
            check=_disagree,
            settings={**_START, "differs": "method"},
            reads=("differs", "left-method", "right-method"),
        ),
    ),
)
