"""What the page Trust computes for one picture: a map's faithfulness, the same map of shuffled models, agreement of maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ui import pictures
from ui.jobs import Progress
from ui.results.looking import cells, mask_of

if TYPE_CHECKING:
    from analysis.faithfulness import Faithfulness
    from analysis.results import Agreement, Curve, TokenMap

STEPS, ORDERS, SAMPLES = 12, 8, 20
MOST_STAGES = 7
CHEAP = (
    "raw_attention", "rollout", "value_weighted_attention", "gradient_attention", "gradient_attention_relevance",
    "gradient_rollout", "token_grad_cam", "patch_contributions", "input_x_gradient", "attn_lrp", "integrated_gradients",
    "patch_ablation",
)  # fmt: skip
"""Maps that are compared with each other: those that take seconds at most."""


def passes() -> int:
    """How many pictures the model is shown to judge one map."""
    from analysis.faithfulness import faithfulness_cost

    return faithfulness_cost(steps=STEPS, orders=ORDERS, samples=SAMPLES).passes


def judged(subject: Any, method: str, target: int, tower: str, mask: np.ndarray | None, progress: Progress) -> Faithfulness:
    """All that can be measured about one map on one picture."""
    import analysis

    progress.step(0.05, "making the map")
    shown = analysis.explain(subject, method, target=target, tower=tower)
    progress.step(0.1, "taking patches away")
    options: dict[str, Any] = {"steps": STEPS, "orders": ORDERS, "samples": SAMPLES, "grid": cells(shown)}
    return analysis.faithful(subject, shown, target=target, mask=mask, **options)


@dataclass(frozen=True, eq=False)
class Film:
    """A map while the model is shuffled layer by layer, from the last."""

    maps: tuple[TokenMap, ...]
    shuffled: tuple[int, ...]
    """How many layers are shuffled in each map."""
    curve: Curve
    """Similarity to the first map."""


def film(subject: Any, method: str, target: int, tower: str, progress: Progress) -> Film:
    """The randomisation check, and the maps that it compares."""
    import analysis
    from analysis.map_agreement import similarity
    from analysis.results import Curve

    count = len(subject.layers)
    stages = sorted({round(stage) for stage in np.linspace(0, count, min(count + 1, MOST_STAGES))})
    maps = []
    for number, stage in enumerate(stages):
        progress.step(number / len(stages), f"{stage} of {count} layers shuffled")
        seen = subject.shuffled(stage) if stage else subject
        maps.append(analysis.explain(seen, method, target=target, tower=tower))
    values = np.array([similarity(maps[0], shown) for shown in maps])
    curve = Curve(np.array(stages), values, label="similarity to the map of the trained model", step_label="shuffled layers")
    return Film(tuple(maps), tuple(stages), curve)


def agreement(subject: Any, names: Sequence[str], target: int, tower: str, progress: Progress) -> Agreement:
    """How alike the maps of several methods are."""
    import analysis

    maps = {}
    for number, name in enumerate(names):
        method = analysis.find(name)
        progress.step(number / len(names), method.title)
        maps[method.title] = analysis.explain(subject, name, target=target, tower=tower)
    return analysis.map_agreement.map_agreement(maps)


@dataclass(frozen=True)
class Example:
    """How much of a map lies on the object, in one scene."""

    picture: str
    share: float
    chance: float
    label: str


def examples(subject: Any, method: str, tower: str, scenes: Sequence[str], progress: Progress) -> tuple[Example, ...]:
    """Scenes where a map lies on the object that the model names, from the best to the worst."""
    import analysis

    found = []
    for number, id in enumerate(scenes):
        picture = pictures.picture(id)
        progress.step(number / len(scenes), picture.title)
        before = subject.before(picture.array)
        target = before.predicted
        mask = mask_of(before, picture, target)
        if mask is None:
            continue
        shown = analysis.explain(before, method, target=target, tower=tower)
        rated = analysis.localisation.energy_in_mask(shown, mask)
        found.append(Example(id, rated.value, rated.chance, before.model.labels[target]))
    return tuple(sorted(found, key=lambda each: -each.share))
