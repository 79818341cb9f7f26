"""The figures of invented_object.md; `--keep` writes its picture and session file too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import kept  # first: it says where the library is
import numpy as np

import analysis
import model_adapters as ma
from model_adapters.decoding import Greedy
from ui import pictures
from ui.results import fix, heads, truth
from ui.results.answering import Answered, answered
from ui.session_file_doubts import Doubts, doubts_of
from ui.session_file_made import Chosen
from ui.session_file_parts import About
from world.hallucination import mentioned
from world.rendering import render
from world.signal_reference import reference, world_score
from world.vocabulary import BACKGROUNDS, background_of

BASE, TUNED, SHOWN, THING = "bundled:lvlm", "bundled:lvlm-tuned", "scene:5", "boat"
QUESTION, LONGEST = "describe the picture .", 32
IDS = heads.scene_ids(32)
FIXES = {"greedy": None, "VCD": "visual_contrastive_decoding", "PAI": "pay_attention_to_image"}


def said(model: ma.Model, image: Any, options: Mapping[str, Any] | None = None) -> str:
    """The description of one image."""
    return ma.generate(model, model.prepare(image=image, text=QUESTION), max_new_tokens=LONGEST, **(options or {})).text


def counted(model: ma.Model, method: str | None) -> str:
    """What descriptions make up, and find, over the set."""
    options = analysis.find(method).function() if method else None
    false, at_home, named, found, there = 0, 0, 0, 0, 0
    for id in IDS:
        scene = pictures.picture(id).scene
        assert scene is not None
        things = mentioned(said(model, pictures.picture(id).image, options))
        wrong = [thing for thing in things if thing not in scene.categories]
        false, named = false + len(wrong), named + len(things)
        at_home += sum(background_of(thing) == scene.background for thing in wrong)
        present = set(scene.categories)
        found, there = found + len(present & set(things)), there + len(present)
    return (
        f"made up {false} of {named} ({false / named:.2f}), {at_home} of them at home on the background; "
        f"named {found} of {there} that are there ({found / there:.2f})"
    )


def signals(asked: Answered) -> None:
    """Where the invented word stands among the things of its answer, signal by signal."""
    table = truth.signals_of(asked).table
    known = truth.known_of(asked.pictures[0])
    numbers = truth.word_numbers(asked.answer.words, known)
    rows = [row for row, word in enumerate(table.words) if word.index in numbers]
    names = [table.words[row].text for row in rows]
    kept.say(f"things named on {SHOWN}: {', '.join(names)}")
    place = names.index(THING)
    for column, name in enumerate(table.names):
        values = table.values[rows, column]
        if np.isfinite(values).all():
            higher = int((values > values[place]).sum())
            highest = int(values.argmax())
            kept.say(
                f"signal {name}: {THING} {values[place]:.3f}, place {higher + 1} of {len(rows)}; "
                f"highest {names[highest]} (thing {highest + 1})"
            )


def doubted(asked: Answered) -> Doubts:
    """The signals of every word, as the page Truth shows them."""
    name = asked.model.name
    found, held = truth.signals_of(asked), reference(name)
    known = truth.known_of(asked.pictures[0])
    verdicts = {number: str(each) for number, each in truth.truth_of(asked.answer, asked.text, known).items()}
    doubt = truth.doubts(found, truth.COMBINED, world_score(name), held)
    return doubts_of(found.table, truth.titles(), doubt, "Combined score", held, verdicts)


def main() -> None:
    """Measure, print, and keep."""
    models = {name: ma.load(name) for name in (BASE, TUNED)}
    picture = pictures.picture(SHOWN)
    assert picture.scene is not None
    kept.say(f"{SHOWN}, {picture.scene.background}, holds {', '.join(sorted(picture.scene.categories))}")
    asked = {
        name: answered(model, [picture], QUESTION, longest=LONGEST, decoding=Greedy()) for name, model in models.items()
    }
    for name, each in asked.items():
        kept.say(f"{name}: {each.answer.text}")
    for ground in BACKGROUNDS:
        image = render(replace(picture.scene, background=ground), pictures.SIDE).image
        kept.say(f"the same objects on {ground}: {said(models[BASE], image)}")
    signals(asked[BASE])
    for name, method in FIXES.items():
        kept.say(f"{SHOWN}, {name}: {said(models[BASE], picture.image, analysis.find(method).function() if method else None)}")
    for name, model in models.items():
        for title, method in FIXES.items():
            kept.say(f"{len(IDS)} scenes, {name}, {title}: {counted(model, method)}")
    if kept.WANTED:
        keep(models, asked)


def keep(models: dict[str, ma.Model], asked: dict[str, Answered]) -> None:
    """The picture, and the session file."""
    base = asked[BASE].answer
    word = next(word.index for word in base.words if word.text == THING)
    image = asked[BASE].pictures[0].array
    kept.drawing("invented_object", image, [("Scene 5", None), (f"where it looked for “{THING}”", fix.map_of_word(base, word))])
    link = f"words-truth?model={BASE}&image={SHOWN}&ask={QUESTION.replace(' ', '+')}"
    told = [(About(f"Answer of {name}", link=link, model=name, picture=SHOWN), each, ()) for name, each in asked.items()]
    doubts = {n: doubted(each) for n, each in enumerate(asked.values()) if reference(each.model.name) is not None}
    chosen = Chosen(answers=told, doubts=doubts)
    kept.session("invented_object", "Case: the invented boat", chosen, link, list(models.values()))


if __name__ == "__main__":
    main()
