"""The family of visual token pruning as data: at what stage each member works, what it reads, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["before the decoder", "inside the decoder", "both", "every layer", "in the cache"]


@dataclass(frozen=True)
class Member:
    """One method among its relatives."""

    name: str
    """Of the registered method; of one that is not here, as it is called."""
    stage: Stage
    score: str
    """What ranks the tokens."""
    rows: str
    """Whose attention is read; empty where none is."""
    action: str
    """What happens to the others."""
    reads_text: bool
    here: bool = True


FAMILY: tuple[Member, ...] = (
    Member("faster_vlm", "before the decoder", "attention of one vision layer", "class token", "dropped", False),
    Member("vtc_cls", "before the decoder", "attention of many vision layers", "class token", "dropped", False),
    Member("hired", "before the decoder", "attention of two vision layers", "class token", "dropped tile by tile", False),
    Member("global_com", "before the decoder", "products before the softmax", "class token", "dropped tile by tile", False),
    Member(
        "repetitiveness", "before the decoder", "cosine of keys, then attention of one vision layer", "class token",
        "dropped tile by tile", False,
    ),
    Member("pooled_visual", "before the decoder", "places", "", "merged", False),
    Member("uniform_visual", "before the decoder", "places", "", "dropped", False),
    Member("random_visual", "before the decoder", "chance", "", "dropped", False),
    Member("fastv", "inside the decoder", "attention of one layer", "last row", "dropped", True),
    Member("sparse_vlm", "inside the decoder", "attention of three layers", "words like the image", "dropped, some merged", True),
    Member(
        "must_drop", "both", "cosine, then two thresholds on attention", "class token, then words", "merged, then dropped", True
    ),
    Member("instance_threshold", "inside the decoder", "attention of three layers", "visual tokens and words", "dropped", True),
    Member("progressive", "every layer", "attention of each layer", "last row", "sent round the layer", True),
    Member("ranking_similarity", "every layer", "attention of each layer", "last row", "compared, not dropped", True),
    Member("search_budgets", "every layer", "attention of the layer before", "last row", "dropped while little is lost", True),
    Member("visual_window", "every layer", "places", "", "pairs masked", False),
    Member("visual_heads", "every layer", "activity of heads", "all", "all stay, heads are blind", False),
    Member("tome_visual", "before the decoder", "cosine of features", "", "merged", False),
    Member("aim", "both", "cosine, then page rank of attention", "all", "merged, then dropped along a line", True),
    Member("visual_exit", "inside the decoder", "nothing: the layer is given", "", "all dropped at once", False),
    Member("DyVTE's trained gate", "inside the decoder", "states of the words", "", "all dropped at once", True, here=False),
    Member("look_m", "in the cache", "attention added up", "all", "merged in the cache, words last", True),
)
"""Every registered method of the kind "visual tokens" and its relatives that are not here."""
