"""How attention flows between system prompt, image, question and answer, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.attention_rows import weights_of
from analysis.registry import method
from analysis.words.answer import GROUPS, Answer, groups_of


@dataclass(frozen=True, eq=False)
class GroupFlow:
    """Attention between groups of tokens."""

    values: np.ndarray
    """[L, G, G]: what a token of the reading group (rows) gives to the group that is read (columns), mean over its tokens
    and heads. Rows sum to 1; NaN for a group without tokens."""
    counts: np.ndarray
    """[G] how many tokens each group has."""
    layers: tuple[int, ...]
    groups: tuple[str, ...] = GROUPS

    @property
    def early_fusion(self) -> np.ndarray:
        """[L]: what the question takes from the image."""
        return self.values[:, GROUPS.index("question"), GROUPS.index("image")]

    @property
    def within_image(self) -> np.ndarray:
        """[L]: what the image keeps to itself."""
        return self.values[:, GROUPS.index("image"), GROUPS.index("image")]

    @property
    def within_text(self) -> np.ndarray:
        """[L]: what question and answer keep to text, system prompt included."""
        return self._of_text(("system", "question", "answer"))

    @property
    def reasoning(self) -> np.ndarray:
        """[L]: what the answer takes from image and question."""
        row = self.values[:, GROUPS.index("answer")]
        return row[:, GROUPS.index("image")] + row[:, GROUPS.index("question")]

    def _of_text(self, read: tuple[str, ...]) -> np.ndarray:
        rows = [GROUPS.index(group) for group in ("question", "answer")]
        columns = [GROUPS.index(group) for group in read]
        shares = np.nan_to_num(self.values[:, rows][:, :, columns].sum(-1))
        return (shares * self.counts[rows]).sum(-1) / max(self.counts[rows].sum(), 1)


@method(
    title="Flow between groups of tokens",
    kind="word flow",
    cites=("wu2024",),
    needs={"generation", "text", "weights"},
    range="0 to 1; what a group gives adds up to 1",
    misleads="Attention is not information: most of it goes to the first tokens, which carry hardly any.",
)
def group_flow(answer: Answer) -> GroupFlow:
    """How much system prompt, image, question and answer attend to each other in every layer.

    After the three stages of DyVTE (early fusion, modelling within a modality, multimodal reasoning), whose code does not hold
    the statistic that they were read off; this one is mass, the mean over the tokens of a group and over heads.

    Args:
        answer: read again, with all rows kept.
    """
    if answer.capture is None:
        raise ValueError("all rows of prompt and answer are needed: read the answer again with `reread`, keeping all rows.")
    groups = np.concatenate([groups_of(answer.prompt), np.full(len(answer), "answer", dtype=object)])
    members = [groups == group for group in GROUPS]
    values = np.full((len(answer.sites), len(GROUPS), len(GROUPS)), np.nan)
    for layer, site in enumerate(answer.sites):
        weights = weights_of(answer.capture, site).mean(0)
        for reading, rows in enumerate(members):
            if rows.any():
                values[layer, reading] = [weights[rows][:, columns].sum(-1).mean() for columns in members]
    return GroupFlow(values, np.array([m.sum() for m in members]), tuple(site.layer for site in answer.sites))
