"""Measure a bundled model on fresh scenes and write its card: `python -m world.evaluation.cards vit lvlm`."""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open

from analysis.evaluation.figures import Figure
from world.bundled import MODELS, open_clip, open_lvlm, open_timm
from world.datasets import TEST_BIASED, TEST_UNBIASED
from world.evaluation.classifying import classifier_figures, head_costs
from world.evaluation.descriptions import DATA, NOTES, TITLES, TRIED
from world.evaluation.matching import retrieval_figures
from world.evaluation.sinks import lvlm_sinks, vit_sinks
from world.evaluation.speaking import answer_figures, captions, chair_changes, chair_figures, pope_figures

log = logging.getLogger(__name__)
_LOOKED_AT, _SILENCED_ON = 64, 200  # scenes for the reports on sinks and on heads


def _records(figures: dict[str, Figure], ending: str = "") -> dict[str, dict[str, float]]:
    return {name + ending: figure.as_record() for name, figure in figures.items()}


def measure_classifier(name: str, images: int, folder: Path = MODELS) -> dict[str, object]:
    """Accuracies; for plain ViTs also what each head is worth and whether there are sinks."""
    model = open_timm(name, folder)
    biased, unbiased = TEST_BIASED.take(images), TEST_UNBIASED.take(images)
    found: dict[str, object] = {"figures": _records(classifier_figures(model, biased, unbiased))}
    if name == "swin":
        return found
    costs = head_costs(model, unbiased[:_SILENCED_ON])
    found["head_costs"] = np.round(costs, 3).tolist()
    found["sinks"] = vit_sinks(model, unbiased[:_LOOKED_AT]).as_record()
    return found


def measure_matcher(name: str, images: int, folder: Path = MODELS) -> dict[str, object]:
    """Retrieval among 100, on unbiased and on biased scenes."""
    model = open_clip(name, folder)
    figures = _records(retrieval_figures(model, TEST_UNBIASED.take(images)), "_unbiased")
    return {"figures": figures | _records(retrieval_figures(model, TEST_BIASED.take(images)), "_biased")}


def measure_speaker(name: str, images: int, folder: Path = MODELS) -> dict[str, object]:
    """POPE, CHAIR, recall and the other questions, on biased and unbiased scenes."""
    model = open_lvlm(name, folder)
    figures: dict[str, dict[str, float]] = {}
    for ending, stream in (("_biased", TEST_BIASED), ("_unbiased", TEST_UNBIASED)):
        scenes = stream.take(images)
        figures |= _records(chair_figures(captions(model, scenes), scenes), ending)
        figures |= _records(pope_figures(model, scenes), ending)
        figures |= _records(answer_figures(model, scenes), ending)
    return {"figures": figures, "sinks": lvlm_sinks(model, TEST_UNBIASED.take(_LOOKED_AT // 4)).as_record()}


def measure_tuned(name: str, images: int, folder: Path = MODELS) -> dict[str, object]:
    """As any speaker; and what the tuning changed on the same unbiased scenes."""
    found = measure_speaker(name, images, folder)
    return found | {"figures": found["figures"] | tuning_changes(name, images, folder)}


def tuning_changes(name: str, images: int, folder: Path = MODELS) -> dict[str, dict[str, float]]:
    """CHAIR and recall after the tuning less those before it, on the same unbiased scenes."""
    scenes = TEST_UNBIASED.take(images)
    before, after = (captions(open_lvlm(each, folder), scenes) for each in ("lvlm", name))
    return _records(chair_changes(before, after, scenes), "_unbiased")


MEASURES: dict[str, Callable[..., dict[str, object]]] = {
    "vit": measure_classifier, "vit-registers": measure_classifier, "vit-sinks": measure_classifier,
    "swin": measure_classifier, "clip": measure_matcher, "lvlm": measure_speaker, "lvlm-tuned": measure_tuned,
}  # fmt: skip


def _parameters(folder: Path) -> int:
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, framework="pt") as file:
        return sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())


def write_card(name: str, images: int = 1000, folder: Path = MODELS) -> Path:
    """Measure `name` and write `card.json` into its folder."""
    here = folder / name
    config = json.loads((here / ("adapter_config.json" if name == "lvlm-tuned" else "config.json")).read_text())
    architecture = config.get("class") or (config.get("architectures") or ["LoRA adapter"])[0]
    card = {
        "title": TITLES[name],
        "library": config.get("library", "peft" if name == "lvlm-tuned" else "transformers"),
        "architecture": architecture,
        "parameters": _parameters(here),
        "licence": "MIT",
        "input": "96 x 96 pixels; the whole picture is resized, nothing is cropped",
        "data": DATA[name],
        "training": json.loads((here / "training.json").read_text()),
        "tried": TRIED.get(name, ""),
        "notes": list(NOTES[name]),
        "images": images,
    } | MEASURES[name](name, images, folder)
    path = here / "card.json"
    path.write_text(json.dumps({key: value for key, value in card.items() if value != ""}, indent=1) + "\n")
    return path


def main() -> None:
    """Write the cards of the models named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(MEASURES))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--models", type=Path, default=MODELS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in options.names:
        card = json.loads(write_card(name, options.images, options.models).read_text())
        for figure, found in card["figures"].items():
            log.info("%s %s %.3f (%.3f to %.3f)", name, figure, found["value"], found["low"], found["high"])


if __name__ == "__main__":
    main()
