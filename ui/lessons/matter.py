"""Which heads matter?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui.lessons.tour import Step, Tour
from ui.results.heads import row_of
from ui.results.lessons import Outcome, guesses, losses, place_of, silenced

if TYPE_CHECKING:
    from ui.results.lessons import Here

_TOP = 3
_SMALL = 0.01
_OFF = 6
"""So many places between two rankings are a lot."""
_START = {"model": "bundled:vit", "image": "scene:3", "class": "auto"}


def _costly(here: Here) -> Outcome:
    place = place_of(here, losses(here))
    assert place is not None
    told = f"Without {here.name.lower()} the loss rises by {place[2]:.3f} nats: place {place[0]} of {place[1]} on this picture."
    return Outcome(place[0] <= _TOP, told)


def _idle(here: Here) -> Outcome:
    place = place_of(here, losses(here))
    assert place is not None
    told = f"Without {here.name.lower()} the loss changes by {place[2]:+.4f} nats on this picture."
    return Outcome(abs(place[2]) < _SMALL, told)


def _misjudged(here: Here) -> Outcome:
    exact, cheap = place_of(here, losses(here)), place_of(here, guesses(here))
    assert exact is not None and cheap is not None
    told = f"{here.name}: place {exact[0]} by the exact effect, place {cheap[0]} by gate × gradient, of {exact[1]} heads."
    return Outcome(abs(exact[0] - cheap[0]) >= _OFF, told)


def _compared(here: Here) -> Outcome:
    values = here.values
    if here.page != "compare-compare" or values.get("differs") != "edit" or values.get("edit") != "head":
        return Outcome(False, "On Compare nothing is silenced yet: choose “Edit”, then “One head is silent”.")
    row, head = int(values.get("edit-layer") or 0), int(values.get("edit-head") or 0)
    found = silenced(here, ((row, head),))
    ranked = losses(here)
    at = row_of(ranked.sites, here.sites[row])
    place = int((ranked.values > ranked.values[at, head]).sum()) + 1
    told = (
        f"Without layer {row}, head {head}, “{found.before}” falls from {found.probability:.2f} to {found.left:.2f}: "
        f"place {place} of {int(np.isfinite(ranked.values).sum())}."
    )
    return Outcome(place <= _TOP, told)


def _spared(here: Here) -> Outcome:
    heads = here.chosen.heads
    if len(heads) < _OFF:
        return Outcome(False, f"{len(heads)} heads are off; {_OFF} are asked for.")
    found = silenced(here, heads)
    told = f"Without {len(heads)} heads: “{found.before}” at {found.left:.2f}, before {found.probability:.2f}."
    return Outcome(found.before == found.after and found.probability - found.left < 0.05, told)


def _broken(here: Here) -> Outcome:
    heads = here.chosen.heads
    if not heads:
        return Outcome(False, "No head is off.")
    found = silenced(here, heads)
    told = f"Without {len(heads)} heads the answer is “{found.after}”, before “{found.before}”."
    return Outcome(found.before != found.after, told)


TOUR = Tour(
    name="matter",
    title="Which heads matter?",
    question="What happens to the answer when a head is silent?",
    minutes=20,
    steps=(
        Step(
            title="Silence one",
            text="The surest way to know what a head is worth is to silence it and to look at the answer. The matrix “rise of "
            "the loss” has done so for every head.",
            task=f"Choose one of the {_TOP} heads whose silence costs this picture's answer most.",
            hint="Rows are layers, columns are heads; bright is costly. A click chooses.",
            page="heads/importance",
            check=_costly,
            settings=_START,
        ),
        Step(
            title="Most do little",
            text="Many heads can go without any harm, on one picture at least.",
            task=f"Choose a head whose silence changes the loss by less than {_SMALL} nats.",
            hint="Look for the palest cells of “rise of the loss”. A loss may also fall: then the head was in the way.",
            page="heads/importance",
            check=_idle,
            settings=_START,
        ),
        Step(
            title="A cheap guess",
            text="Silencing every head takes a pass each. Gate × gradient guesses all of them in one pass, and is wrong now "
            "and then.",
            task=f"Choose a head that lies at least {_OFF} places apart in the two rankings.",
            hint="The inspector lists the place of the chosen head by every metric. In the scatter it lies off the line.",
            page="heads/importance",
            check=_misjudged,
            settings=_START,
        ),
        Step(
            title="Before and after",
            text="Compare shows the same model twice: as it is, and under an edit.",
            task=f"Silence one of the {_TOP} costliest heads on Compare, and read its price off the bars.",
            hint="Choose “Edit”, “One head is silent”, then the layer and the head that you found in the first step.",
            page="compare/compare",
            check=_compared,
            settings={**_START, "differs": "edit", "edit": "head"},
            reads=("differs", "edit", "edit-layer", "edit-head"),
        ),
        Step(
            title="Six fewer",
            text="If most heads do little, several can go together. Together is not the same as one by one.",
            task=f"Switch off {_OFF} heads or more so that this picture's answer stays and loses less than 0.05.",
            hint="On Prune a click switches a head off. The page Importance sends the least important ones there.",
            page="change/prune",
            check=_spared,
            settings=_START,
        ),
        Step(
            title="And where it breaks",
            text="A model that answers something else has lost what it needed.",
            task="Switch off heads until this picture gets another answer.",
            hint="The costliest heads of the first step are a good start. Several of them together do it.",
            page="change/prune",
            check=_broken,
            settings=_START,
        ),
    ),
)
