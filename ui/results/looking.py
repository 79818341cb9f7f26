"""What the page Attention shows: the view of all heads, maps of methods, and how faithful each is to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.pictures import Picture
from ui.recording import View
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.explain import Subject
    from analysis.perturbation import Fill
    from analysis.results import TokenMap

LARGEST = 400_000_000
"""Bytes of attention that are kept at once; larger models are captured layer by layer, when a layer is looked at."""
STEPS, ORDERS = 10, 6
FILL: Fill = "mean"


@dataclass(frozen=True, eq=False)
class Draft:
    """All heads on the plain patch grid, and what puts the measured places in its stead."""

    view: View
    measured: Callable[[Progress], View]


def view_of_subject(subject: Any, picture: Picture, progress: Progress) -> View:
    """All heads of one model on one picture."""
    return _measured(*_run(subject, picture, progress), progress)


def first_view(subject: Any, picture: Picture, progress: Progress) -> View | Draft:
    """The same; a draft where measuring is still to be done and the plain grid is certain meanwhile."""
    from model_adapters.capturing import BySite, LazyLayouts
    from model_adapters.geometry import plain_layouts, remembered

    capture, drawn = _run(subject, picture, progress)
    model, inputs = subject.model, subject.inputs
    if isinstance(capture.layouts, LazyLayouts) and not (capture.layouts.measured or remembered(model, inputs)):
        plain = plain_layouts(model, inputs, capture.shapes)
        if plain is not None:
            layouts = BySite({site: plain[site.name, site.call] for site in capture.sites})
            return Draft(drawn(replace(capture, layouts=layouts)), partial(_measured, capture, drawn))
    return _measured(capture, drawn, progress)


def _measured(capture: Any, drawn: Callable[[Any], View], progress: Progress) -> View:
    progress.step(0.3, "measuring where its tokens lie on the picture")
    next(iter(capture.layouts.values()), None)
    progress.step(0.7, "summing up every head")
    return drawn(capture)


def _run(subject: Any, picture: Picture, progress: Progress) -> tuple[Any, Callable[[Any], View]]:
    """A capture of one run, and what draws it once its layouts are known."""
    import model_adapters as ma

    progress.step(0.1, "running the model")
    title = f"{subject.model.name} · {picture.title}"
    if ma.estimate(subject.model, subject.inputs, ma.Keep()).bytes > LARGEST:
        return _layer_by_layer(subject, picture, title, progress)
    return _seen(subject, progress), partial(_drawn, image=picture.image, title=title, meta=_meta(subject))


def _drawn(capture: Any, **options: Any) -> View:
    from ui.viewer.from_capture import view_of
    from ui.viewer.statistics import statistics_of

    capture = joined_windows(capture)
    return view_of(capture, statistics=statistics_of(capture), **options)


def _seen(subject: Any, progress: Progress, keep: Any = None) -> Any:
    """The rows of every site, or those to be kept, from where the models run."""
    import model_adapters as ma
    from studies.serving import elsewhere

    if (there := elsewhere(subject.model)) is not None:
        return there.capture(subject.inputs, progress, keep)
    return subject.capture() if keep is None else ma.capture(subject.model, subject.inputs, keep=keep)


def _layer_by_layer(
    subject: Any, picture: Picture, title: str, progress: Progress
) -> tuple[Any, Callable[[Any], View]]:
    """The same for a view whose layers are captured when they are asked for."""
    import model_adapters as ma
    from ui.viewer.from_capture import view_of

    thin = _seen(subject, progress, ma.Keep(queries=(0,)))
    later = Progress()
    later.visit = progress.visit
    nothing = {s: np.broadcast_to(np.float32(0), thin.shapes[s]) for s in thin.sites}
    rows = {s: np.arange(thin.shapes[s][1]) for s in thin.sites}
    whole = replace(thin, weights=ma.BySite(nothing), rows=ma.BySite(rows))

    def load(position: int) -> np.ndarray:
        site = thin.sites[position]
        found = _seen(subject, later, ma.Keep(sites=(site,), dtype="float16"))
        return found.weights[site].astype(np.float32)

    return whole, lambda capture: replace(view_of(capture, picture.image, title=title, meta=_meta(subject)), load=load)


def of_tower(view: View, tower: str) -> View:
    """The layers of one tower only."""
    places = [n for n, layer in enumerate(view.layers) if layer.tower == tower]
    if len(places) == len(view.layers) or not places:
        return view
    return replace(
        view,
        layers=tuple(view.layers[n] for n in places),
        load=lambda position: view.load(places[position]),
        statistics={name: tuple(rows[n] for n in places) for name, rows in view.statistics.items()},
        sinks={places.index(n): keys for n, keys in view.sinks.items() if n in places},
    )


def _meta(subject: Any) -> dict[str, Any]:
    return {"model": subject.model.name, "weights": subject.model.card.weights}


@dataclass(frozen=True)
class Verdict:
    """How a map's order of patches compares with random orders, on this very picture."""

    deletion: float
    insertion: float
    random_deletion: tuple[float, float]
    """Mean and standard deviation over random orders."""
    random_insertion: tuple[float, float]
    beaten: float
    """Share of random orders that deletion by this map beats."""
    pointing: bool | None
    energy: float | None
    energy_chance: float | None

    @property
    def sentence(self) -> str:
        """For under the picture."""
        mean, spread = self.random_deletion
        return f"deletion {self.deletion:.2f}, random {mean:.2f} ± {spread:.2f}"

    @property
    def numbers(self) -> dict[str, float]:
        """All of it by name, without what is not known."""
        told = {
            "deletion": self.deletion, "insertion": self.insertion, "random deletion": self.random_deletion[0],
            "random deletion, standard deviation": self.random_deletion[1], "random insertion": self.random_insertion[0],
            "random insertion, standard deviation": self.random_insertion[1], "random orders beaten": self.beaten,
            "share on the object": self.energy, "share on the object by chance": self.energy_chance,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}


def verdict(subject: Subject, shown: TokenMap, target: int | None, mask: np.ndarray | None, progress: Progress) -> Verdict:
    """Deletion and insertion against random orders; with a mask also whether the map lies on the object."""
    import analysis

    progress.step(0.05, "taking patches away")
    options: dict[str, Any] = {"fills": (FILL,), "steps": STEPS, "orders": ORDERS, "samples": 0, "grid": cells(shown)}
    found = analysis.faithful(subject, shown, target=target, mask=mask, **options)
    deletion, insertion = found.deletion[FILL], found.insertion[FILL]
    energy = found.energy
    return Verdict(
        deletion.area,
        insertion.area,
        (float(deletion.random_areas.mean()), float(deletion.random_areas.std())),
        (float(insertion.random_areas.mean()), float(insertion.random_areas.std())),
        deletion.better_than_random,
        None if found.pointing is None else bool(found.pointing.value),
        None if energy is None else energy.value,
        None if energy is None else energy.chance,
    )


def cells(shown: TokenMap) -> int:
    """Cells along a side, so that one is about one token."""
    placed = shown.rows.boxes[shown.rows.placed]
    sides = np.median(placed[:, 2] - placed[:, 0]), np.median(placed[:, 3] - placed[:, 1])
    return int(np.clip(round(max(shown.size) / max(min(sides), 1)), 4, 32))


def mask_of(subject: Any, picture: Picture, target: int) -> np.ndarray | None:
    """Where the explained class can be seen, where the picture's truth is known; captions are searched for a category."""
    import model_adapters as ma

    names = ma.class_names(subject.model, subject.text)
    words = names[target].split() if target < len(names) else []
    found = [mask for mask in map(picture.mask, words) if mask is not None]
    return found[0] if found else None


def verdict_passes() -> int:
    """How many pictures the model is shown for one verdict."""
    from analysis.faithfulness import faithfulness_cost

    return faithfulness_cost(fills=(FILL,), steps=STEPS, orders=ORDERS, samples=0).passes


def map_names(subject: Subject, tower: str) -> tuple[dict[str, str], dict[str, str]]:
    """Methods that can be offered for a subject (name -> title), and why the others cannot (title -> sentence)."""
    import analysis

    offered = analysis.offered(subject, tower)
    able: dict[str, str] = {}
    unable: dict[str, str] = {}
    for each in analysis.methods("map"):
        if each.name in NOT_HERE:
            continue
        reason = each.why_not(offered) and (analysis.model_lacks(subject, each) or each.why_not(offered))
        if reason is None:
            able[each.name] = each.title
        else:
            unable[each.title] = reason
    return able, unable


NOT_HERE = ("cleaned_attention", "patch_colours")
"""Maps that belong to other pages: sinks, and projections."""
START: Mapping[str, tuple[str, ...]] = {
    "global": ("raw_attention", "gradient_attention_relevance", "integrated_gradients", "patch_ablation"),
    "windows": ("raw_attention", "gradient_attention", "integrated_gradients", "patch_ablation"),
}
"""What is shown before anything is chosen."""
