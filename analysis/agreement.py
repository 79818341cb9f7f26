"""Which cheap importance to trust: how its ranking agrees with exact ablation, and what is left when its best heads go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from scipy.stats import kendalltau, spearmanr

from analysis.answer_changes import Change, changes
from analysis.importance_results import JointAblation, Trust
from analysis.intervals import interval
from analysis.registry import Range, method
from analysis.results import Agreement, HeadMatrix
from analysis.runs import Run
from model_adapters import Site, Where
from model_adapters.edits import Edit, Gate

Heads = Sequence[tuple[Site, int]]


@method(
    title="Agreement with exact ablation",
    kind="trust",
    cites=("michel2019",),
    needs={"run"},
    range="-1 to 1 (rank correlations), 0 to 1 (overlap)",
    misleads="Exact ablation is itself measured on these images: where its own intervals are wide, no metric can agree with it.",
)
def agreement_with_exact(
    metrics: Mapping[str, HeadMatrix | np.ndarray],
    exact: np.ndarray,
    *,
    top: Annotated[int, Range(1, 1000)] = 10,
    confidence: Annotated[float, Range(0.5, 0.999)] = 0.95,
    rounds: Annotated[int, Range(10, 10000)] = 300,
) -> Trust:
    """How well the ranking of heads by each cheap metric predicts the ranking by exact ablation.

    Spearman, Kendall, and the share of the top heads that both name. Intervals come from drawing images anew: for the
    exact effects, and for a metric where it is given image by image [B, L, H]. A metric without a sign (a size, a square)
    is fairly compared with an effect without one, such as the Jensen-Shannon distance; a signed one with the loss change.

    Args:
        metrics: importances by name, as head matrices, or as numbers per image [B, L, H] of the same images.
        exact: [B, L, H] the exact effect on each image.
        top: how many heads the overlap looks at.
        confidence: of the intervals.
        rounds: draws of images.
    """
    if exact.ndim != 3:
        raise ValueError(f"exact effects must be [B, L, H], image by image. Got shape {exact.shape} instead.")
    there = np.isfinite(exact.mean(0)).ravel()
    top = min(top, int(there.sum()))

    def statistic(images: np.ndarray) -> np.ndarray:
        truth = exact[images].mean(0).ravel()[there]
        return np.array([_agreements(_flat(m, images, exact.shape)[there], truth, top) for m in metrics.values()])

    values = statistic(np.arange(len(exact)))
    low, high = interval(statistic, len(exact), confidence=confidence, rounds=rounds)
    chance = np.array([0.0, 0.0, top / int(there.sum())])
    return Trust(tuple(metrics), ("spearman", "kendall", f"top {top}"), values, low, high, chance)


def _flat(metric: HeadMatrix | np.ndarray, images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = metric.values if isinstance(metric, HeadMatrix) else metric[images].mean(0)
    if values.shape != shape[1:]:
        raise ValueError(f"an importance of shape {values.shape} was given for exact effects of {shape[1:]} layers and heads.")
    return values.ravel()


def _agreements(claimed: np.ndarray, truth: np.ndarray, top: int) -> list[float]:
    if np.ptp(claimed) == 0 or np.ptp(truth) == 0:
        return [0.0, 0.0, overlap(claimed, truth, top)]  # a metric that ranks nothing agrees with nothing
    return [float(spearmanr(claimed, truth)[0]), float(kendalltau(claimed, truth)[0]), overlap(claimed, truth, top)]


def overlap(one: np.ndarray, other: np.ndarray, top: int) -> float:
    """The share of the `top` highest entries that two lists have in common."""
    best = [set(np.argsort(-values, kind="stable")[:top].tolist()) for values in (one, other)]
    return len(best[0] & best[1]) / top


@method(
    title="Agreement between importances",
    kind="agreement",
    cites=("michel2019",),
    needs=(),
    range="-1 to 1",
    misleads="Metrics of one family agree with each other without being right: compare them with the exact one.",
)
def metric_agreement(metrics: Mapping[str, HeadMatrix]) -> Agreement:
    """How alike the rankings of heads by different importances are (Spearman)."""
    flat = [m.values.ravel() for m in metrics.values()]
    if len({f.shape for f in flat}) > 1:
        raise ValueError(f"importances must be of the same heads. Got shapes {[m.values.shape for m in metrics.values()]}.")
    there = np.isfinite(flat).all(0)
    table = np.array([[_agreements(a[there], b[there], 1)[0] for b in flat] for a in flat])
    return Agreement(tuple(metrics), table, "Spearman correlation of head rankings")


@method(
    title="Joint ablation",
    kind="curve",
    cites=("michel2019",),
    needs={"run"},
    range="that of the measure",
    misleads="Rankings judge heads alone; together they may replace each other, so the curve need not be smooth.",
)
def joint_ablation(
    run: Run,
    metrics: Mapping[str, HeadMatrix],
    labels: np.ndarray | None = None,
    *,
    steps: Sequence[int] | None = None,
    draws: Annotated[int, Range(1, 100)] = 5,
    seed: int = 0,
    measure: Change = "loss change",
    progress: Callable[[float], None] | None = None,
) -> JointAblation:
    """What happens to the answer when the most important heads by each metric are silenced together.

    Args:
        run: edits -> logits [B, C].
        metrics: importances by name.
        labels: [B] the right classes; the predicted ones by default.
        steps: how many heads are silenced; about eight counts up to half of them by default.
        draws: orders of random heads to compare with.
        seed: of the random orders.
        measure: how the change is stated.
        progress: told the share that is done.
    """
    orders: dict[str, Heads] = {name: matrix.ranking() for name, matrix in metrics.items()}
    heads = list(next(iter(orders.values())))
    if any(sorted(order) != sorted(heads) for order in orders.values()):
        raise ValueError("importances must be of the same heads; their sites or missing heads differ.")
    draw = np.random.default_rng(seed)
    chosen = _steps(len(heads)) if steps is None else np.asarray(sorted(set(steps)))
    if chosen.min() < 0 or chosen.max() > len(heads):
        raise ValueError(f"between 0 and {len(heads)} heads can be silenced. Got steps {chosen.tolist()}.")
    shuffled = [[heads[i] for i in draw.permutation(len(heads))] for _ in range(draws)]
    base, curves = run(()), []
    for order in [*orders.values(), *shuffled]:
        curves.append([changes(base, run(silence(order[:count])), labels, measure).mean() for count in chosen])
        if progress is not None:
            progress(len(curves) / (len(orders) + draws))
    values = np.array(curves)
    return JointAblation(tuple(orders), chosen, values[: len(orders)], values[len(orders) :], measure)


def _steps(heads: int) -> np.ndarray:
    return np.unique(np.rint(np.linspace(0, heads / 2, 9)).astype(int))


def silence(heads: Heads) -> tuple[Edit, ...]:
    """Edits that silence these heads: one per site."""
    by_site: dict[str, list[int]] = {}
    for site, head in heads:
        by_site.setdefault(site.name, []).append(head)
    return tuple(Gate(Where(sites=(name,), heads=tuple(sorted(chosen))), 0.0) for name, chosen in by_site.items())
