"""Sinks over many pictures: are they always in one place, how much of the features is position, and what are they for?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.pictures import picture
from ui.results.heads import FIRST_SCENE, Text, subject_for
from ui.results.sinks import Sign, layer_by, look

if TYPE_CHECKING:
    from analysis.sink_whatifs import SinkWhatIf
    from model_adapters import Capture, Model, Subject
    from model_adapters.edits import Edit

SCENES = 16
DRAWS = 5


@dataclass(frozen=True)
class Asked:
    """Which tokens are meant: everything that results over scenes depend on."""

    sign: Sign
    layer: int
    tower: str = "vision"
    deviations: float = 6.0
    multiple: float | None = None
    scenes: int = SCENES
    text: Text = None
    """What the model reads beside the pictures."""

    def subject(self, model: Model, number: int) -> Subject:
        """The model looking at one of the scenes."""
        return subject_for(model, picture(f"scene:{FIRST_SCENE + number}"), self.text)


@dataclass(frozen=True, eq=False)
class OverScenes:
    """The sinks of several scenes."""

    scenes: int
    sinks: tuple[tuple[int, ...], ...]
    """The sink tokens of each scene."""
    share: np.ndarray
    """[P] in what share of the scenes each patch is one."""
    boxes: np.ndarray
    """[P, 4] of the patches, in pixels of a scene."""
    patches: np.ndarray
    """[P] their rows."""
    explained: float
    """Share of the variance of the features that the position alone explains."""
    artefact: np.ndarray
    """[P] length of what belongs to each position."""
    usual: np.ndarray | None
    """[D] the mean hidden state of a sink; None without any."""
    no_added: str = ""
    """Why no tokens can be added at test time; empty where they can."""


def over_scenes(model: Model, asked: Asked, progress: Progress) -> OverScenes:
    """Look at the first scenes and note which tokens are sinks in each."""
    from analysis.position_artefact import position_artefact
    from analysis.sink_whatifs import usual_sink

    captures, found = [], []
    for number in range(asked.scenes):
        progress.step(number / asked.scenes, f"scene {number + 1} of {asked.scenes}")
        captures.append(look(asked.subject(model, number)))
        options: dict[str, Any] = {"deviations": asked.deviations, "multiple": asked.multiple}
        found.append(layer_by(captures[-1], asked.sign, asked.layer, tower=asked.tower, **options))
    sinks = tuple(layer.sinks for layer in found)
    first = found[0]
    rows = first.found.rows
    artefact = position_artefact(captures, tower=asked.tower, layer=asked.layer)
    share = np.mean([[row in set(s) for row in first.patches] for s in sinks], axis=0)
    boxes = rows.boxes[first.patches] if rows is not None else np.full((len(first.patches), 4), np.nan)
    usual = usual_sink(captures, sinks, tower=asked.tower, layer=asked.layer) if any(sinks) else None
    lengths = np.linalg.norm(artefact.mean[first.patches], axis=-1)
    refused = _no_added(model, captures[0], asked)
    return OverScenes(asked.scenes, sinks, share, boxes, first.patches, artefact.explained, lengths, usual, refused)


def _no_added(model: Model, capture: Capture, asked: Asked) -> str:
    """Why tokens cannot be added at the entry of this layer; tried once."""
    from model_adapters import AdapterError, Where
    from model_adapters.edits import AddTokens

    if not blocked_layers(capture, asked):
        return "No layer comes after this one."
    try:
        asked.subject(model, 0).run()((AddTokens(Where(tower=asked.tower, layers=(asked.layer,)), count=1),))
    except (AdapterError, ValueError) as error:
        return str(error)
    return ""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The answer to one picture as it is, without its sinks, and without as many random tokens."""

    before: np.ndarray
    """[C] probabilities."""
    after: np.ndarray
    """[C]."""
    random: np.ndarray
    """[R, C]."""

    @property
    def top(self) -> np.ndarray:
        """The classes to be shown: the first five before and the first after."""
        order = [*np.argsort(-self.before, kind="stable")[:5], int(self.after.argmax())]
        return np.array(list(dict.fromkeys(int(i) for i in order)))


def blocked_layers(capture: Capture, asked: Asked) -> tuple[int, ...]:
    """The layers in which the columns are blocked: the one where the sinks were found, and all later ones."""
    return tuple(sorted({s.layer for s in capture.sites if s.tower == asked.tower and s.layer >= asked.layer}))


def before_after(
    subject: Subject,
    capture: Capture,
    asked: Asked,
    name: str,
    tokens: Sequence[int],
    over: OverScenes,
    draws: int = 20,
    seed: int = 0,
) -> Outcome:
    """What one intervention does to the answer to this picture.

    Args:
        subject: the model looking at the picture.
        capture: from `look`.
        asked: which tokens are meant.
        name: of the intervention, as `analysis.sink_whatifs.interventions` names them.
        tokens: the sinks of this picture.
        over: the scenes, for what a sink usually is.
        draws: how many sets of random patches.
        seed: of the draws.
    """
    from scipy.special import softmax

    patches = layer_by(capture, asked.sign, asked.layer, tower=asked.tower).patches
    pool = np.setdiff1d(patches, tokens)
    if len(pool) < len(tokens):
        raise ValueError(f"{len(tokens)} random patches are needed beside the sinks, but only {len(pool)} are left.")
    rng = np.random.default_rng(seed)
    run = subject.run()

    def answer(chosen: Sequence[int]) -> np.ndarray:
        return softmax(run(_interventions(capture, asked, over, chosen)[name])[0].astype(np.float64))

    random = [answer(rng.choice(pool, len(tokens), replace=False).tolist()) for _ in range(draws)]
    return Outcome(softmax(run(())[0].astype(np.float64)), answer(tokens), np.stack(random))


def massive_dims(capture: Capture, asked: Asked) -> tuple[int, ...]:
    """The massive dimensions of the layer on this picture."""
    from analysis.massive import massive_dimensions

    return massive_dimensions(capture, tower=asked.tower, layer=asked.layer)


def offered(capture: Capture, asked: Asked, over: OverScenes) -> tuple[str, ...]:
    """The interventions that can be tried in this layer."""
    return tuple(_interventions(capture, asked, over, (0,))) if blocked_layers(capture, asked) else ()


def _interventions(capture: Capture, asked: Asked, over: OverScenes, tokens: Sequence[int]) -> dict[str, tuple[Edit, ...]]:
    from analysis.sink_whatifs import interventions

    return interventions(
        tokens, massive_dims(capture, asked), tower=asked.tower, layer=asked.layer, means=over.usual,
        blocked=blocked_layers(capture, asked), added=not over.no_added,
    )  # fmt: skip


def whatifs(
    model: Model, capture: Capture, asked: Asked, over: OverScenes, progress: Progress, draws: int = DRAWS
) -> tuple[SinkWhatIf, ...]:
    """What the sinks are for, over the scenes that have some, against random patches."""
    from analysis.sink_whatifs import sink_whatifs

    total = passes(capture, asked, over, draws)
    done = 0

    def counted(run: Callable[..., Any]) -> Callable[..., Any]:
        def counting(edits: tuple) -> Any:
            nonlocal done
            done += 1
            progress.step(min(1.0, done / total), f"run {done} of {total}")
            return run(edits)

        return counting

    runs = [counted(asked.subject(model, n).run()) for n in range(over.scenes)]
    return sink_whatifs(
        runs, over.sinks, over.patches.tolist(), dims=massive_dims(capture, asked), means=over.usual, tower=asked.tower,
        layer=asked.layer, blocked=blocked_layers(capture, asked), draws=draws, added=not over.no_added,
    )  # fmt: skip


def passes(capture: Capture, asked: Asked, over: OverScenes, draws: int = DRAWS) -> int:
    """How many runs of the model `whatifs` takes."""
    with_sinks = sum(bool(s) for s in over.sinks)
    return with_sinks * (1 + len(offered(capture, asked, over)) * (1 + draws))
