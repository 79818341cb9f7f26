"""The benchmark's result: a table to read and a Parquet file for the app."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from world.trust.registry import KINDS, Score

INTRODUCTION = """# The trust benchmark

How far methods can be believed, measured in the small world where the truth is known: fresh unbiased scenes, models
trained on biased ones. Intervals are 95 %, by bootstrap over images. Chance is what a method reaches that knows nothing;
methods in italics are there to be beaten. What holds in the small world need not hold elsewhere; what fails here has no
claim to be believed elsewhere.

Made by `make {command}` ({images} images).
"""
HEADINGS = {
    "map": (
        "Maps",
        "Pointing game: the hottest cell lies on the object. Energy: share of the map on the object. Deletion and "
        "insertion: the hottest cells give way to the empty background (or come back) first; the figure says by how much "
        "the area under the model's confidence beats a random order on the same picture. Last line: AUROC of the "
        "map's change, target removed against another object recoloured.",
    ),
    "importance": ("Importances of heads", "Rank correlation with the rise of the loss when each head is silenced."),
    "signal": (
        "Signals of made-up words",
        "AUROC over first mentions of categories in captions. Later mentions are made up more often, so a signal that "
        "only knows the position looks good: within positions it does not.",
    ),
    "fix": ("Fixes", "What captions make up and find, mentions counted once each, and adversarial POPE."),
    "pruner": ("Pruners", "Accuracy when only some patches go on."),
}


def to_markdown(scores: Sequence[Score], command: str, images: int) -> str:
    """The report as text."""
    parts = [INTRODUCTION.format(command=command, images=images)]
    for kind in KINDS:
        own = [score for score in scores if score.kind == kind]
        if own:
            title, words = HEADINGS[kind]
            parts.append(f"## {title}\n\n{words}\n")
            parts += [_table(model, [s for s in own if s.model == model]) for model in dict.fromkeys(s.model for s in own)]
    return "\n".join(parts)


def _table(model: str, scores: Sequence[Score]) -> str:
    names = list(dict.fromkeys(score.score for score in scores))
    by_method: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_method.setdefault(score.method, {})[score.score] = score
    lines = [f"| bundled:{model} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, cells in by_method.items():
        shown = f"*{method}*" if next(iter(cells.values())).baseline else method
        lines.append(f"| {shown} | " + " | ".join(_cell(cells.get(name)) for name in names) + " |")
    chances = [next(s.chance for s in scores if s.score == name) for name in names]
    if any(chance == chance for chance in chances):
        lines.append("| chance | " + " | ".join(f"{c:.2f}" if c == c else "" for c in chances) + " |")
    return "\n".join(lines) + "\n"


def _cell(score: Score | None) -> str:
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" if score else ""


def write(scores: Sequence[Score], root: Path, command: str, images: int) -> None:
    """Write `docs/trust.md` and `assets/trust.parquet` below `root`."""
    (root / "docs").mkdir(exist_ok=True)
    (root / "assets").mkdir(exist_ok=True)
    (root / "docs" / "trust.md").write_text(to_markdown(scores, command, images))
    pq.write_table(pa.Table.from_pylist([asdict(score) for score in scores]), root / "assets" / "trust.parquet")
