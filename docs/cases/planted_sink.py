"""The figures of planted_sink.md; `--keep` writes its picture and session file too."""

from __future__ import annotations

import kept  # first: it says where the library is
import numpy as np

import analysis
import model_adapters as ma
from analysis.results import TokenMap
from model_adapters.edits import Block
from ui import pictures
from ui.jobs import Progress
from ui.results import heads
from ui.session_file_made import Chosen
from ui.session_file_parts import About
from ui.take_away.seen import Seen

PLAIN, PLANTED, SHOWN = "bundled:vit", "bundled:vit-sinks", "scene:200"
IDS = heads.scene_ids(32)
SINK = 1
"""The row of the first patch; row 0 is the class token."""
BLOCK = (Block(ma.Where(tower="vision", keys=(SINK,))),)


def rolled(model: ma.Model, inputs: ma.Inputs, edits: tuple[Block, ...]) -> TokenMap:
    """Rollout of a run."""
    capture = ma.capture(model, inputs, keep=ma.Keep(queries="all"), edits=edits)
    found: TokenMap = analysis.find("rollout").function(capture)
    return found


def measured(model: ma.Model, edits: tuple[Block, ...]) -> tuple[np.ndarray, float]:
    """[B, 3]: rollout's share on the first patch and on the object, and whether the answer is right; then chance."""
    rows, chances = [], []
    for picture, subject in heads.each_subject(model, IDS, None, Progress()):
        shown = rolled(model, subject.inputs, edits)
        mask = picture.mask(str(heads.largest_object(picture)))
        assert mask is not None
        rated = analysis.localisation.energy_in_mask(shown, mask)
        placed = shown.values[shown.rows.placed]
        logits = np.asarray(ma.run(model, subject.inputs, edits)).ravel()
        rows.append((placed[0] / placed.sum(), rated.value, logits.argmax() == heads.true_label(model, picture, None)))
        chances.append(rated.chance)
    return np.array(rows, float), float(np.mean(chances))


def main() -> None:
    """Measure, print, and keep."""
    models = {name: ma.load(name) for name in (PLAIN, PLANTED)}
    for name, model in models.items():
        for state, edits in (("as it is", ()), ("first patch blocked", BLOCK)):
            rows, chance = measured(model, edits)
            corner, thing, right = rows.mean(0)
            kept.say(
                f"{name}, {state}: rollout on the first patch {corner:.3f}, on the object {thing:.2f} (chance {chance:.2f}), "
                f"right answers {int(rows[:, 2].sum())} of {len(IDS)} ({right:.2f})"
            )
    capture = ma.capture(models[PLANTED], heads.subject_for(models[PLANTED], pictures.picture(SHOWN)).inputs)
    for site in capture.sites:
        kept.say(f"{SHOWN}, layer {site.layer}: mean attention to the first patch {capture.weights[site][:, :, SINK].mean():.2f}")
    if kept.WANTED:
        keep(models)


def keep(models: dict[str, ma.Model]) -> None:
    """The picture, and the session file."""
    picture = pictures.picture(SHOWN)
    subject = heads.subject_for(models[PLANTED], picture)
    plain = heads.subject_for(models[PLAIN], picture)
    maps = {
        "rollout, no sink": (PLAIN, rolled(models[PLAIN], plain.inputs, ())),
        "rollout, planted sink": (PLANTED, rolled(models[PLANTED], subject.inputs, ())),
        "the sink blocked": (PLANTED, rolled(models[PLANTED], subject.inputs, BLOCK)),
    }
    drawn = [(name, shown) for name, (_, shown) in maps.items()]
    kept.drawing("planted_sink", picture.array, [(picture.title, None), *drawn])
    link = f"tokens-sinks?model={PLANTED}&image={SHOWN}"
    results = [Seen(About(n.capitalize(), link=link, model=m, picture=SHOWN), shown) for n, (m, shown) in maps.items()]
    kept.session("planted_sink", "Case: the planted sink", Chosen(results), link, list(models.values()))


if __name__ == "__main__":
    main()
