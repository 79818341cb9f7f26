"""OPERA: beam search that marks down answers leaning on one of their own words."""

from __future__ import annotations

from typing import Annotated

from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters.decoding import OverTrust


@method(
    title="Over-trust penalty",
    kind="fix",
    cites=("huang2024",),
    needs={"generation", "run"},
    range="keywords for `generate`; beams times candidates passes for a token, each over prompt and answer, and one more",
    misleads="It is also a beam search: compare it with one of as many beams before the penalty is thanked.",
)
def over_trust_penalty(
    *,
    beams: Annotated[int, Range(1, 20)] = 5,
    candidates: Annotated[int, Range(1, 20)] = 5,
    weight: Annotated[float, Range(0, 10)] = 1.0,
    scale: Annotated[float, Range(1, 200)] = 50.0,
    threshold: Annotated[int, Range(1, 100)] = 15,
) -> FixOptions:
    """Beam search with a penalty on columns of attention that run through the whole answer, and steps back behind them.

    Scores and steps back are those of the release: the candidates of a beam share its probability by their penalised scores,
    and behind a step back the likeliest token that was not refused follows, unpenalised. Defaults are the release's too. Its
    columns have half precision, and in a beam that loses about 1,000 it prefers any other token to its candidates; neither is so
    here. It counts the prompt's ids in the length of an answer; here answers are compared as where there is one such id.

    Args:
        beams: answers kept side by side.
        candidates: tokens read for each of them.
        weight: of the penalty.
        scale: of attention inside the product over a column.
        threshold: how often a column may be the largest before the search steps back behind it (15 in the release).
    """
    return options(decoding=OverTrust(beams, candidates, weight, scale, threshold))
