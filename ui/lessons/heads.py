"""What is an attention head?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.lessons.tour import Step, Tour
from ui.results.lessons import Outcome, kinds, on_object, place_of
from ui.results.token_names import token_name

if TYPE_CHECKING:
    from ui.results.lessons import Here

_FEW = 3
"""The first so many heads of an order count."""
_START = {"model": "bundled:vit", "image": "scene:3", "class": "auto"}


def _patch(here: Here) -> Outcome:
    found = on_object(here)
    if found is None:
        return Outcome(False, "No patch is kept yet. A click on the picture keeps the patch under the mouse.")
    row, share = found
    return Outcome(share >= 0.5, f"Objects cover {share:.0%} of the patch that you keep ({token_name(here.rows, row)}).")


def _near(here: Here) -> Outcome:
    from analysis.strength import attention_distance

    place = place_of(here, attention_distance(here.capture, tower=here.tower))
    if place is None:
        return Outcome(False, f"{here.name} has no patches to measure a distance from.")
    number = place[1] - place[0] + 1
    told = f"{here.name} looks {place[2]:.0f} pixels away on average: number {number} of {place[1]}, nearest first."
    return Outcome(number <= _FEW, told)


def _even(here: Here) -> Outcome:
    from analysis.strength import attention_entropy

    place = place_of(here, attention_entropy(here.capture, tower=here.tower))
    if place is None:
        return Outcome(False, f"{here.name} has no rows to measure.")
    told = f"{here.name} has entropy {place[2]:.2f} (1 is perfectly even): number {place[0]} of {place[1]}, most even first."
    return Outcome(place[0] <= _FEW, told)


def _class_token(here: Here) -> Outcome:
    row, last = here.query, len(here.sites) - 1
    role = "nothing" if row is None else str(here.rows.roles[row])
    told = f"You look from: {role}, in layer {here.row} of 0 to {last}."
    return Outcome(role == "class" and here.row == last, told)


def _along_row(here: Here) -> Outcome:
    found = kinds(here)
    return Outcome("row" in found, f"{here.name} of {here.model.name} is of the type: {' + '.join(found) or 'none'}.")


def _still(here: Here) -> Outcome:
    if here.picture.id == _START["image"]:
        return Outcome(False, f"This is still {here.picture.title}, where you found the head. Choose another picture.")
    passed = _along_row(here)
    return Outcome(passed.passed, f"On {here.picture.title}: {passed.told}")


TOUR = Tour(
    name="heads",
    title="What is an attention head?",
    question="What does a head do, and do all do the same?",
    minutes=15,
    steps=(
        Step(
            title="A patch asks",
            text="The picture is cut into patches. Each patch asks the others for what it needs. Move the mouse: the colours "
            "say how much the patch under it takes from each other one.",
            task="Keep a patch that lies on an object: click it.",
            hint="Objects are the drawn shapes; a patch counts if they cover half of it. Its middle is surest.",
            page="look/attention",
            check=_patch,
            settings=_START,
        ),
        Step(
            title="Near",
            text="A layer has several heads. Each asks in its own way. The small maps on the right are all heads of all "
            "layers; a click chooses one.",
            task=f"Choose one of the {_FEW} heads that look least far.",
            hint="The list above the small maps sorts them, by distance for example.",
            page="look/attention",
            check=_near,
            settings=_START,
        ),
        Step(
            title="Everywhere",
            text="Other heads spread their attention over the whole picture. Entropy says how even that is.",
            task=f"Choose one of the {_FEW} heads that look most evenly.",
            hint="Sort the small maps by entropy. Early layers are good places to look.",
            page="look/attention",
            check=_even,
            settings=_START,
        ),
        Step(
            title="The token that answers",
            text="One token lies on no patch: the class token. The answer is read off it after the last layer.",
            task="Show where the class token looks in the last layer: choose a head there and press the chip “class”.",
            hint="The chips stand above the small maps. The last layer is the last row of them.",
            page="look/attention",
            check=_class_token,
            settings=_START,
        ),
        Step(
            title="Heads with a habit",
            text="Some heads do the same whatever the picture shows: look at neighbours, along a row, down a column. This step"
            " uses another model, a Swin, whose windows bring such heads about: the button below opens it.",
            task="Find a head that looks along its row and choose it.",
            hint="On Patterns each tile is a head, and a bright line from left to right is a row. The fold “Find heads that …”"
            " knows the word row. Layers 3 and 5 are worth a look.",
            page="heads/patterns",
            check=_along_row,
            settings={"model": "bundled:swin", "image": "scene:3"},
        ),
        Step(
            title="Habit or chance?",
            text="One picture proves little. A habit has to show on other pictures too.",
            task="Keep your head, choose another picture in the sidebar, and see whether it still looks along its row.",
            hint="The check looks at the type on the picture that is chosen now. If the habit is gone, go back and take "
            "another head.",
            page="look/attention",
            check=_still,
            settings={"model": "bundled:swin"},
        ),
    ),
)
