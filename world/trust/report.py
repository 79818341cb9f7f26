"""The benchmark's result: a table to read and a Parquet file for the app."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import rankdata

from world.trust.findings import RULE, direction, groups, ordered, sentences
from world.trust.registry import KINDS
from world.trust.table import Score

INTRODUCTION = """# The trust benchmark

How far methods can be believed, measured in the small world where the truth is known: fresh unbiased scenes, models
trained on biased ones. Intervals are 95 %, by bootstrap over images. Chance is what a method reaches that knows nothing;
methods in italics are there to be beaten. The best stand first, by their mean place over the columns. What holds in the
small world need not hold elsewhere; what fails here has no claim to be believed elsewhere.

Made by `make {command}`.
"""
HEADINGS = {
    "map": (
        "Maps",
        "Pointing game: the hottest cell lies on the object. Energy: share of the map on the object. Deletion and "
        "insertion: the hottest cells give way to the empty background (or come back) first; the figure says by how much "
        "the area under the model's confidence beats random orders on the same picture. Changes: AUROC of the "
        "map's change, target removed against another object recoloured. Moves: how often another object gets more of the "
        "map when the map is asked for that object's class; a map that knows no class gets one half. bundled:vit-sinks has "
        "a planted sink in its first patch; bundled:clip chooses among twelve captions.",
    ),
    "importance": (
        "Importances of heads",
        "Each importance is held to what it claims to predict when heads are silenced one by one. Signed ones: the rise of "
        "the loss, or the fall of the class's score. Ones without a sign: how far the answer moves at all (Jensen-Shannon "
        "distance). Numbers that only describe attention claim nothing; they are held to the latter, because people read "
        "them so. Late layers matter more here, so an importance has to beat that rule, or be right within layers. "
        "Exact ablation on other images shows how far any importance can get. Where an interval does not hold its own "
        "value, the importance nearly cancels over the images, so that drawing them anew gives another ranking.",
    ),
    "types": (
        "Types of heads",
        "Halves: the share of heads that get the same type from two halves of the images (20 random halvings; the interval "
        "holds 95 % of them). Seeds: heads of models trained from two seeds have no identity, so types are counted layer by "
        "layer, and heads are matched within layers by their position-aligned maps. Chance: types dealt at random, heads "
        "paired at random.",
    ),
    "signal": (
        "Signals of made-up words",
        "AUROC over first mentions of categories in captions. Later mentions are made up more often, so a signal that "
        "only knows the position looks good: within positions it does not.",
    ),
    "fix": ("Fixes", "What captions make up and find, mentions counted once each, and adversarial POPE."),
    "pruner": (
        "Token reduction",
        "Accuracy when patches are really dropped or merged after the attention of layers 1, 3 and 4, by the number of "
        "patches that are left of 144. ATS lets the picture decide how many stay, EViT adds a token in each step: the "
        "second table says what was left. On bundled:lvlm the decoder's visual tokens are dropped, before it or inside it, and "
        "two yes/no questions are asked of each picture; tokens left are those that a decoder layer reads on average.",
    ),
}


def to_markdown(scores: Sequence[Score], command: str, said: Sequence[str] = ()) -> str:
    """The report as text."""
    parts = [INTRODUCTION.format(command=command), "## What holds here and what does not\n", RULE + "\n"]
    parts += ["\n".join([*sentences(scores), *(f"- {sentence}" for sentence in said)]) + "\n"]
    for kind in KINDS:
        own = [score for score in scores if score.kind == kind]
        if own:
            title, words = HEADINGS[kind]
            parts.append(f"## {title}\n\n{words}\n")
            parts += [_table(group[1], group[2], found) for group, found in groups(own).items()]
    return "\n".join(parts)


def best_first(scores: Sequence[Score]) -> list[str]:
    """Titles by their mean place over the columns; those without an order stay as they came."""
    titles = list(dict.fromkeys(score.title for score in scores))
    places: dict[str, list[float]] = {title: [] for title in titles}
    for name in dict.fromkeys(score.score for score in scores if ordered(score)):
        column = [score for score in scores if score.score == name]
        ranks = rankdata([-direction(score) * score.value for score in column]) / len(column)
        for score, rank in zip(column, ranks, strict=True):
            places[score.title].append(float(rank))
    return sorted(titles, key=lambda title: np.mean(places[title]) if places[title] else 0.0)


def _table(model: str, against: str, scores: Sequence[Score]) -> str:
    names = list(dict.fromkeys(score.score for score in scores))
    cells = {(score.title, score.score): score for score in scores}
    head = ", ".join(filter(None, (f"bundled:{model}" if model else "", against)))
    lines = [f"| {head} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for title in best_first(scores):
        row = [cells.get((title, name)) for name in names]
        shown = f"*{title}*" if next(cell for cell in row if cell).baseline else title
        lines.append(f"| {shown} | " + " | ".join(_cell(cell, with_chance=not model) for cell in row) + " |")
    columns = [[score for score in scores if score.score == name] for name in names]
    chances = [column[0].chance for column in columns]
    if model and any(chance == chance for chance in chances):
        lines.append("| chance | " + " | ".join(f"{c:.2f}" if c == c else "" for c in chances) + " |")
    lines.append("| cases | " + " | ".join(map(_counts, columns)) + " |")
    return "\n".join(lines) + "\n"


def _cell(score: Score | None, *, with_chance: bool) -> str:
    if score is None:
        return ""
    chance = f"; chance {score.chance:.2f}" if with_chance else ""
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f}{chance})"


def _counts(column: Sequence[Score]) -> str:
    counts = sorted({score.count for score in column})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def beside(scores: Sequence[Score], kinds: Sequence[str], known: Sequence[Score]) -> list[Score]:
    """New figures of these kinds among the known ones of the others, in the order of the report."""
    whole = [*scores, *(score for score in known if score.kind not in kinds)]
    return sorted(whole, key=lambda score: KINDS.index(score.kind))


def write(scores: Sequence[Score], said: Sequence[str], root: Path, name: str) -> None:
    """Write the report and the table, such as `docs/trust.md` and `assets/trust.parquet`, below `root`."""
    for folder in ("docs", "assets"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "docs" / f"{name}.md").write_text(to_markdown(scores, name, said))
    pq.write_table(pa.Table.from_pylist([asdict(score) for score in scores]), root / "assets" / f"{name}.parquet")
