"""The figures of heads_that_look.md; `--keep` writes its picture and session file too."""

from __future__ import annotations

import kept  # first: it says where the library is
import numpy as np

import analysis
import model_adapters as ma
from analysis.maps import raw_attention
from model_adapters.edits import Gate
from ui import pictures
from ui.jobs import Progress
from ui.results import heads, importance, looking
from ui.session_file_made import Chosen
from ui.session_file_parts import About
from ui.take_away.seen import Seen

MODEL, SHOWN = "bundled:vit", "scene:200"
IDS, FRESH = heads.scene_ids(16), heads.scene_ids(96, first=600)


def on_object(model: ma.Model) -> tuple[np.ndarray, float]:
    """[B, L, H]: the share of the class token's attention on the largest object, and its share by chance."""
    shares, chances = [], []
    for picture, subject in heads.each_subject(model, IDS, None, Progress()):
        capture = ma.capture(model, subject.inputs, keep=ma.Keep(queries="all"))
        mask = picture.mask(str(heads.largest_object(picture)))
        assert mask is not None
        rated = [
            [
                analysis.localisation.energy_in_mask(raw_attention(capture, site=site, head=head), mask)
                for head in range(site.heads)
            ]
            for site in heads.sites_of(model, "vision")
        ]
        shares.append([[each.value for each in row] for row in rated])
        chances.append(rated[0][0].chance)
    return np.array(shares), float(np.mean(chances))


def accuracy(model: ma.Model, head: tuple[int, int] | None) -> float:
    """On fresh scenes, with one head silenced or none."""
    shown = [pictures.picture(id) for id in FRESH]
    labels = [heads.true_label(model, picture, None) for picture in shown]
    inputs = model.prepare(image=[picture.image for picture in shown])
    edits = () if head is None else (Gate(ma.Where(layers=(head[0],), heads=(head[1],)), 0.0),)
    logits = np.asarray(ma.run(model, inputs, edits))
    return float((logits.reshape(len(shown), -1).argmax(-1) == np.array(labels)).mean())


def place_of(values: np.ndarray) -> tuple[int, int]:
    """Layer and head of the highest."""
    layer, head = np.unravel_index(values.argmax(), values.shape)
    return int(layer), int(head)


def main() -> None:
    """Measure, print, and keep."""
    model = ma.load(MODEL)
    shares, chance = on_object(model)
    found = importance.over_scenes(model, IDS, None, "vision", Progress())
    loss = heads.averaged(found.each["loss change"], found.sites, signed=True)
    assert loss.low is not None and loss.high is not None
    looks, object_share = shares.mean(0), chance
    carrier = place_of(loss.values)
    idle = np.where(np.abs(loss.values) < 0.1, looks, -1)
    looker = place_of(idle)
    kept.say(f"{len(IDS)} scenes, {looks.size} heads; the object covers {object_share:.2f} of the picture")
    for name, (layer, head) in (("carrier", carrier), ("looker", looker)):
        kept.say(
            f"{name}: layer {layer} head {head}: attention on the object {looks[layer, head]:.2f}, "
            f"rise of the loss {loss.values[layer, head]:.2f} ({loss.low[layer, head]:.2f} to {loss.high[layer, head]:.2f}), "
            f"answers changed {found.each['flip'].mean(0)[layer, head]:.2f}"
        )
    ranks = [values.ravel().argsort().argsort() for values in (looks, loss.values)]
    kept.say(f"place by looking of the carrier: {int((looks > looks[carrier]).sum()) + 1}")
    kept.say(f"rank correlation of looking and loss over heads: {np.corrcoef(np.stack(ranks))[0, 1]:.2f}")
    states = {"whole": None, "without the carrier": carrier, "without the looker": looker}
    for name, silent in states.items():
        kept.say(f"accuracy on {len(FRESH)} other scenes, {name}: {accuracy(model, silent):.2f}")
    if kept.WANTED:
        keep(model, {"the head that carries": carrier, "the head that looks": looker})


def keep(model: ma.Model, chosen: dict[str, tuple[int, int]]) -> None:
    """The picture, and the session file."""
    picture = pictures.picture(SHOWN)
    subject = heads.subject_for(model, picture)
    capture, sites = ma.capture(model, subject.inputs, keep=ma.Keep(queries="all")), heads.sites_of(model, "vision")
    maps = {name: raw_attention(capture, site=sites[layer], head=head) for name, (layer, head) in chosen.items()}
    kept.drawing("heads_that_look", picture.array, [(picture.title, None), *maps.items()])
    link = f"look-attention?model={MODEL}&image={SHOWN}"
    results = [Seen(About(name.capitalize(), link=link, model=MODEL, picture=SHOWN), shown) for name, shown in maps.items()]
    view = looking.view_of_subject(subject, picture, Progress())
    kept.session("heads_that_look", "Case: the head that looks and the head that matters", Chosen(results, [view]), link, [model])


if __name__ == "__main__":
    main()
