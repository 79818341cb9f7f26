"""Where attention is parked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.lessons.tour import Step, Tour
from ui.results.lessons import Outcome, parked, sinks_at
from ui.results.token_names import patch_name

if TYPE_CHECKING:
    from ui.results.lessons import Here

_PLANTED = {"model": "bundled:vit-sinks", "image": "scene:3"}


def _stopped(here: Here) -> Outcome:
    at, found = str(here.values.get("at") or ""), sinks_at(here)
    if not at.isdigit():
        return Outcome(False, "The film stands where it began. Move its slider, or play it and stop it.")
    tokens = found.get(int(at), ())
    return Outcome(bool(tokens), f"Layer {at}: {len(tokens)} sink{'' if len(tokens) == 1 else 's'} by attention received.")


def _kept(here: Here) -> Outcome:
    tokens = {token for layer in sinks_at(here).values() for token in layer}
    if here.query is None:
        return Outcome(False, f"No patch is kept. {here.picture.title} has {len(tokens)} tokens that are sinks in some layer.")
    name = patch_name(here.rows, here.query)
    told = f"{name[0].upper()}{name[1:]} is {'' if here.query in tokens else 'not '}a sink on {here.picture.title}."
    return Outcome(here.query in tokens, told)


def _elsewhere(here: Here) -> Outcome:
    if here.picture.id == _PLANTED["image"]:
        return Outcome(False, f"This is still {here.picture.title}. Choose another picture in the sidebar.")
    return _kept(here)


def _parking(here: Here) -> Outcome:
    found = sinks_at(here)
    tokens = tuple(sorted({token for layer in found.values() for token in layer}))
    if not tokens:
        return Outcome(False, f"{here.model.name} has no sink on {here.picture.title}.")
    share = parked(here, tokens)
    return Outcome(share > 0.5, f"{here.name} gives {share:.0%} of its patches' attention to the sink.")


def _removed(here: Here) -> Outcome:
    count = sum(map(len, sinks_at(here).values()))
    mode = here.values.get("mode")
    if not count:
        return Outcome(False, f"{here.model.name} has no sink here, so nothing is removed.")
    return Outcome(mode == "sinks removed", "The picture shows the class attention without the sinks." if mode == "sinks removed"
                   else "The picture still shows something else.")  # fmt: skip


def _none(here: Here) -> Outcome:
    count = sum(map(len, sinks_at(here).values()))
    told = f"{here.model.name}: {'no sink in any layer' if not count else f'sinks in {count} places of its layers'}."
    return Outcome(not count and here.model.name != _PLANTED["model"], told)


TOUR = Tour(
    name="sinks",
    title="Sinks",
    question="Are some tokens only a place to park attention?",
    minutes=15,
    steps=(
        Step(
            title="A bright spot that means nothing",
            text="A row of attention always adds up to 1. A head with nothing to say still has to look somewhere. This model "
            "has learned to look at one and the same patch.",
            task="Stop the film at a layer in which a patch is a sink.",
            hint="Move the slider under the picture: the sink appears after some layers, outlined.",
            page="tokens/sinks",
            check=_stopped,
            settings=_PLANTED,
            reads=("at",),
        ),
        Step(
            title="Find it yourself",
            text="In the viewer a sink is the patch that everything looks at: press “mean” or watch which patch stays bright "
            "while the mouse moves.",
            task="Keep the sink: click its patch.",
            hint="It lies at the border. In the later layers it is the brightest patch for almost every query.",
            page="look/attention",
            check=_kept,
            settings=_PLANTED,
        ),
        Step(
            title="What does it have to do with the picture?",
            text="If the spot meant something, another picture would have it elsewhere.",
            task="Choose another picture in the sidebar and keep its sink.",
            hint="Look at the same place first.",
            page="look/attention",
            check=_elsewhere,
            settings={"model": "bundled:vit-sinks"},
        ),
        Step(
            title="Who parks there?",
            text="Not all heads park. Those that do have little to say on this picture.",
            task="Choose a head that gives more than half of its attention to the sink.",
            hint="Small maps with one bright dot and nothing else are such heads.",
            page="look/attention",
            check=_parking,
            settings={"model": "bundled:vit-sinks"},
        ),
        Step(
            title="Without it",
            text="A map is easier to read when the sink is taken out and the rest is brought back to 1. That is a way to look:"
            " the model still uses its sink.",
            task="Let the picture on Sinks show “Sinks removed”.",
            hint="It is one of the choices of “Picture shows”.",
            page="tokens/sinks",
            check=_removed,
            settings=_PLANTED,
            reads=("mode",),
        ),
        Step(
            title="A model without",
            text="Models that get extra tokens to park at (registers) need no patch for it, and some need none anyway.",
            task="Choose a model in which no patch is a sink in any layer.",
            hint="Bundled models: the sidebar lists them. The page says when it finds none.",
            page="tokens/sinks",
            check=_none,
            settings=_PLANTED,
        ),
    ),
)
