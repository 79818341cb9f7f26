"""The Python of the lower half of the page Sinks: where sinks lie over scenes, and what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui import again, pickers, picture_picker
from ui.results import sinks, sinks_set
from ui.results.heads import FIRST_SCENE
from ui.results.sinks_set import DRAWS, Asked

if TYPE_CHECKING:
    from model_adapters import Capture
    from ui.results.sinks_set import OverScenes

_USUAL = "set them to their mean"
"""The change that stands on what a sink usually is, over scenes."""
_IMPORTS = ("import numpy as np", "from analysis.token_rows import some_patches_of")
_LOOK = 'ma.capture(model, subject.inputs, keep=ma.Keep(heads="mean"), want=("hidden",))'
_CAPTURES = f"captures = [{_LOOK} for subject in subjects]"


def places(asked: Asked, shown: str) -> str:
    """One number per patch over scenes: how often it is a sink, or how long what belongs to its position is."""
    lines = [*_finding(asked), _CAPTURES, "patches = patches_of(captures[0])"]
    if shown == "share of scenes":
        lines += ["sinks = [sinks_of(capture) for capture in captures]"]
        lines += ["shown = np.mean([np.isin(patches, tokens) for tokens in sinks], axis=0)"]
    else:
        found = again.called("analysis.position_artefact.position_artefact", "captures", tower=asked.tower, layer=asked.layer)
        lines += [f"found = {found}", "shown = np.linalg.norm(found.mean[patches], axis=-1)"]
    return again.of_pictures(_chosen(), _scenes(asked), asked.text, lines, _IMPORTS)


def over_scenes(capture: Capture, asked: Asked, over: OverScenes) -> str:
    """All what-ifs over scenes."""
    options = {
        "dims": sinks_set.massive_dims(capture, asked), "tower": asked.tower, "layer": asked.layer,
        "blocked": sinks_set.blocked_layers(capture, asked), "draws": DRAWS, "added": not over.no_added,
    }  # fmt: skip
    call = again.called("sink_whatifs", "runs", "sinks", "patches_of(captures[0])", "means=means", **options)
    lines = [*_finding(asked), _CAPTURES, *_means(asked), "runs = [subject.run() for subject in subjects]", f"shown = {call}"]
    imports = (*_IMPORTS, "from analysis.sink_whatifs import sink_whatifs, usual_sink")
    return again.of_pictures(_chosen(), _scenes(asked), asked.text, lines, imports)


def on_picture(capture: Capture, asked: Asked, name: str, over: OverScenes, draws: int) -> str:
    """One what-if on the chosen picture, against random patches."""
    options = {
        "tower": asked.tower, "layer": asked.layer, "blocked": sinks_set.blocked_layers(capture, asked),
        "added": not over.no_added,
    }  # fmt: skip
    dims = again.called("analysis.massive.massive_dimensions", "capture", tower=asked.tower, layer=asked.layer)
    changes = again.called("interventions", "tokens", "dims", "means=means", **options)
    lines = [
        *_finding(asked),
        f"capture = {_LOOK}", "run, tokens = subject.run(), sinks_of(capture)", f"dims = {dims}",
        *(_from_scenes(asked) if name == _USUAL else ["means = None"]),
        "pool, rng = np.setdiff1d(patches_of(capture), tokens), np.random.default_rng(0)",
        "", "",
        "def answer(tokens):",
        f"    return softmax(run({changes}[{name!r}])[0].astype(float))",
        "", "",
        f"draws = [rng.choice(pool, len(tokens), replace=False).tolist() for _ in range({draws})]",
        "before, after, random = softmax(run(())[0].astype(float)), answer(tokens), np.stack([answer(draw) for draw in draws])",
        'top = list(dict.fromkeys([*np.argsort(-before, kind="stable")[:5], after.argmax()]))',
        'shown = {"class": top, "before": before[top], "after": after[top], "random": random.mean(0)[top]}',
        'shown["random_deviation"] = random.std(0)[top]',
    ]  # fmt: skip
    needed = "interventions, usual_sink" if name == _USUAL else "interventions"
    imports = [*_IMPORTS, f"from analysis.sink_whatifs import {needed}", "from scipy.special import softmax"]
    if name == _USUAL:
        imports += again.pictures_of(_scenes(asked))[0]
    return again.of_picture(_chosen(), picture_picker.chosen_id(), asked.text, lines, imports)


def _finding(asked: Asked) -> list[str]:
    """Functions: the patches of a capture, and which of them are sinks."""
    method = f"analysis.sinks.{sinks.METHODS[asked.sign]}"
    options = {"tower": asked.tower, "layer": asked.layer, "deviations": asked.deviations}
    base = "1.0" if asked.sign == "attention" else "np.median(found.score[0][patches_of(capture)])"
    least = f"max(found.threshold.value, {sinks.LEAST[asked.sign]} * base)"
    threshold = least if asked.multiple is None else f"{asked.multiple} * base"
    return [
        "", "",
        "def patches_of(capture):",
        f"    found = {again.called(method, 'capture', **options)}",
        "    return np.flatnonzero(some_patches_of(found.rows, found.score.shape[1]))",
        "", "",
        "def sinks_of(capture):",
        f"    found = {again.called(method, 'capture', **options)}",
        f"    base = {base}",
        f"    threshold = float({threshold})",
        f"    return {again.called(method, 'capture', 'threshold=threshold', **options)}.of_image()",
        "", "",
    ]  # fmt: skip


def _means(asked: Asked) -> list[str]:
    """What a sink usually is: its mean hidden state over scenes."""
    usual = again.called("usual_sink", "captures", "sinks", tower=asked.tower, layer=asked.layer)
    return ["sinks = [sinks_of(capture) for capture in captures]", f"means = {usual}"]


def _from_scenes(asked: Asked) -> list[str]:
    """The same where the script is about one picture."""
    each = f"ma.subject(model, image{again.beside(asked.text)})"
    images = again.pictures_of(_scenes(asked))[1]
    return [*images, f"captures = [{_LOOK.replace('subject', each, 1)} for image in images]", *_means(asked)]


def _chosen() -> tuple[str, str]:
    return pickers.model_name(), pickers.weights()


def _scenes(asked: Asked) -> list[str]:
    return [f"scene:{FIRST_SCENE + number}" for number in range(asked.scenes)]


__all__ = ["on_picture", "over_scenes", "places"]
