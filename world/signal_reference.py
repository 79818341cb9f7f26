"""Signals of words whose truth is known: what a number of one word is held against.

`python -m world.signal_reference` lets the bundled LVLMs describe scenes of their own, measures every signal at every first
mention of a thing, and writes `assets/signals.parquet` with a combined score per model beside it. Reading it needs no torch.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from analysis.signals import CombinedScore
    from model_adapters import Model

ASSETS = Path(__file__).resolve().parents[1] / "assets"
MODELS = ("bundled:lvlm", "bundled:lvlm-tuned")
SCENES = 300
PROMPT, LONGEST, SIDE = "describe the picture.", 40, 384
_OWN = ("model", "scene", "position", "word", "made_up")
_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class Reference:
    """Signals of labelled words of one model; each is higher the more a word is to be doubted."""

    model: str
    names: tuple[str, ...]
    """[S] registered names of the signals."""
    values: np.ndarray
    """[W, S]; NaN where a signal says nothing of a word."""
    made_up: np.ndarray
    """[W] bool."""
    answers: np.ndarray
    """[W] the number of the picture that each word is about."""
    words: tuple[str, ...]
    about: str
    """What it was measured on, for people."""

    def __post_init__(self) -> None:
        shape = (len(self.words), len(self.names))
        if self.values.shape != shape or self.made_up.shape != shape[:1] or self.answers.shape != shape[:1]:
            raise ValueError(
                f"{shape[0]} words with {shape[1]} signals are needed. Got signals {self.values.shape}, labels "
                f"{self.made_up.shape} and pictures {self.answers.shape}."
            )

    def of(self, name: str, made_up: bool) -> np.ndarray:
        """One signal of the true words or of those made up, without gaps."""
        values = self.values[self.made_up == made_up, self.names.index(name)]
        return values[np.isfinite(values)]

    def shares(self, name: str, value: float, made_up: bool) -> tuple[float, float]:
        """The shares of the true words (or of those made up) that the signal doubts less and more than this value."""
        others = self.of(name, made_up)
        if not len(others) or not np.isfinite(value):
            return float("nan"), float("nan")
        return float((others < value).mean()), float((others > value).mean())

    @cached_property
    def separation(self) -> dict[str, tuple[float, float, float]]:
        """Per signal the AUROC for words made up, with its 95 % interval over pictures; NaN where only one kind is there."""
        rng = np.random.default_rng(0)
        pictures, place = np.unique(self.answers, return_inverse=True)
        draws = [rng.integers(0, len(pictures), len(pictures)) for _ in range(_ROUNDS)]
        times = [np.bincount(draw, minlength=len(pictures))[place] for draw in draws]
        found = {}
        for column, name in enumerate(self.names):
            there = np.isfinite(self.values[:, column])
            values, made_up = self.values[there, column], self.made_up[there]
            rounds = [auroc(np.repeat(made_up, n[there]), np.repeat(values, n[there])) for n in times]
            known = [each for each in rounds if np.isfinite(each)]
            low, high = np.quantile(known, [0.025, 0.975]) if known else (np.nan, np.nan)
            found[name] = (auroc(made_up, values), float(low), float(high))
        return found


def auroc(made_up: np.ndarray, values: np.ndarray) -> float:
    """The chance that a word made up has the higher value; half for ties; NaN where all words are alike."""
    from scipy.stats import rankdata

    bad, good = int(made_up.sum()), int((~made_up).sum())
    if not bad or not good:
        return float("nan")
    return float((rankdata(values)[made_up].sum() - bad * (bad + 1) / 2) / (bad * good))


def references(assets: Path = ASSETS) -> tuple[str, ...]:
    """The models that a reference was measured for."""
    return tuple(dict.fromkeys(_table(assets / "signals.parquet", _time(assets))["model"].to_pylist())) if _time(assets) else ()


def reference(model: str, assets: Path = ASSETS) -> Reference | None:
    """The reference of a model as it lies in `assets`; None where there is none."""
    return _reference(model, assets, _time(assets)) if model in references(assets) else None


def world_score(model: str, assets: Path = ASSETS) -> CombinedScore | None:
    """The combined score that was fitted on the reference of a model."""
    from analysis.signals import CombinedScore

    path = _score_path(model, assets)
    return CombinedScore.load(path) if path.is_file() else None


def _score_path(model: str, assets: Path) -> Path:
    return assets / f"signals-{model.partition(':')[2] or model}.json"


def _time(assets: Path) -> int:
    path = assets / "signals.parquet"
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=2)
def _table(path: Path, _changed: int) -> pa.Table:
    return pq.read_table(path)


@lru_cache(maxsize=8)
def _reference(model: str, assets: Path, changed: int) -> Reference:
    table = _table(assets / "signals.parquet", changed)
    told = json.loads(table.schema.metadata[b"headlight"])
    own = table.filter(pa.compute.equal(table["model"], model))
    names = tuple(name for name in table.column_names if name not in _OWN)
    values = np.stack([own[name].to_numpy().astype(float) for name in names], 1)
    return Reference(
        model, names, values, own["made_up"].to_numpy(zero_copy_only=False).astype(bool), own["scene"].to_numpy(),
        tuple(own["word"].to_pylist()), told["about"],
    )  # fmt: skip


def measured(model: Model, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Every first mention of a thing in the model's captions of these scenes: who, where, whether made up, and its signals."""
    import model_adapters as ma
    from analysis.evaluation.names import names_of
    from analysis.words import mentions
    from world.rendering import render
    from world.signal_evidence import evidence_of
    from world.vocabulary import CATEGORIES

    stream, lens, rows = scenes(), None, []
    forms = names_of(CATEGORIES)
    for number in numbers:
        scene = stream[number]
        picture = render(scene, SIDE).image
        inputs = model.prepare(image=picture, text=PROMPT)
        generation = ma.generate(model, inputs, max_new_tokens=LONGEST)
        assert isinstance(generation, ma.Generation)
        lens = lens or ma.lens(model, inputs)
        gathered = evidence_of(model, [picture], PROMPT, generation, lens=lens)
        first = [word for word in mentions(gathered.evidence.answer.words, forms) if word.occurrence == 0]
        table = gathered.table(first)
        if table.refused:
            raise ValueError(f"signals are missing: {table.refused}")
        for place, word in enumerate(first):
            own = {"scene": number, "position": place, "word": word.name, "made_up": word.name not in scene.categories}
            rows.append({"model": model.name, **own, **dict(zip(table.names, table.values[place], strict=True))})
    return rows


def scenes() -> Any:
    """Where the scenes come from: those that the benchmark's combined score is fitted on; it is tested on others."""
    from world.datasets import TRUST_SEED, SceneStream
    from world.scenes import UNBIASED

    return SceneStream(TRUST_SEED + 600, UNBIASED)


def fitted(found: Reference) -> CombinedScore:
    """The combined score of labelled words."""
    from analysis.signals import combined_score

    return combined_score(found.values, found.made_up, found.answers, found.names, model=found.model)


def write(rows: Sequence[dict[str, Any]], count: int, assets: Path = ASSETS) -> None:
    """Keep what was measured, with where it comes from, and a score per model."""
    from world.signal_evidence import NOISE

    about = (
        f"{count} drawn scenes without bias that no model was trained on, “{PROMPT}”, the likeliest token each time, "
        f"at most {LONGEST} tokens; every first mention of a thing"
    )
    told = {
        "about": about, "command": f"python -m world.signal_reference --scenes {count}", "seed": scenes().seed,
        "noise step": NOISE, "picture side": SIDE,
    }  # fmt: skip
    table = pa.Table.from_pylist(list(rows)).replace_schema_metadata({b"headlight": json.dumps(told).encode()})
    pq.write_table(table, assets / "signals.parquet", compression="zstd")
    for model in references(assets):
        found = reference(model, assets)
        if found is not None:
            fitted(found).save(_score_path(model, assets))


def main() -> None:
    """Measure all bundled LVLMs."""
    import torch

    import model_adapters as ma

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--to", type=Path, default=ASSETS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    rows = [row for name in MODELS for row in measured(ma.load(name), range(options.scenes))]
    write(rows, options.scenes, options.to)
    for name in MODELS:
        found, score = reference(name, options.to), world_score(name, options.to)
        if found is None or score is None:
            raise ValueError(f"nothing was measured for {name}.")
        logging.info("%s: %d words, %d made up; combined score %.3f", name, score.words, score.made_up, score.auroc)
        for signal, (value, low, high) in sorted(found.separation.items(), key=lambda pair: -pair[1][0]):
            logging.info("  %.3f (%.3f to %.3f)  %s", value, low, high, signal)


if __name__ == "__main__":
    main()
