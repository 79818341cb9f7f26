"""A batch of records on a model, and the passes that measures share: each is run once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

import model_adapters as ma
from model_adapters.edits import AddTokens, Edit
from studies.data import Record
from studies.errors import StudyError
from studies.measures.places import SitePlaces, places_of, strength_reduction

_PLAIN = ma.Keep(sites="none")
ANY_CAPTION = "a picture"
"""What a dual encoder is given beside each picture: its vision tower does not read it."""


@dataclass(eq=False)
class Looks:
    """What is the same for all batches of a study on one model: where its tokens lie, measured once."""

    model: ma.Model
    edits: tuple[Edit, ...]
    needs: frozenset[str]
    rings: tuple[int, ...] = (1,)
    seed: int = 0
    captions: tuple[str, ...] = ()
    """Of the first records of the data set, where a measure compares with them."""

    def __post_init__(self) -> None:
        self._known: dict[tuple, dict[str, SitePlaces]] = {}

    @cached_property
    def usual(self) -> ma.Inputs:
        """A grey square through the model's processor: records of the same shape share its geometry."""
        words = {"text": [ANY_CAPTION]} if self.model.kind == "dual" else {}
        first = self.model.prepare(image=[Image.new("RGB", (224, 224), (128, 128, 128))], **words)
        sides = [t.shape[-2:] for t in first.tensors.values() if isinstance(t, torch.Tensor) and t.dim() == 4]
        side = int(max(sides[0])) if sides else 224
        return self.model.prepare(image=[Image.new("RGB", (side, side), (128, 128, 128))], **words)

    def places(self, inputs: ma.Inputs) -> dict[str, SitePlaces]:
        """The places of every site, for inputs of this shape."""
        single = inputs if inputs.batch == 1 else first_of(inputs)
        if single.signature == self.usual.signature:
            single = self.usual
        if single.signature not in self._known:
            if len(self._known) > 8:
                self._known.pop(next(iter(self._known)))
            self._known[single.signature] = self._measured(single)
        return self._known[single.signature]

    def _measured(self, inputs: ma.Inputs) -> dict[str, SitePlaces]:
        made = tuple(e for e in self.edits if isinstance(e, AddTokens))
        capture = ma.capture(self.model, replace(inputs, many=False), keep=ma.Keep(reduce="highest"), edits=made)
        sites = [s for s in capture.sites if s.tower == "vision" and s.kind != "factorised" and s.call == 0]
        if not sites:
            raise StudyError(f"{self.model.name} has no attention from token to token in its vision tower.")
        return {site.name: places_of(capture, site, self.rings) for site in sites}


def first_of(inputs: ma.Inputs, number: int = 0) -> ma.Inputs:
    """One item of a batch."""
    tensors = {name: value[number : number + 1] for name, value in inputs.tensors.items()}
    return ma.Inputs(tensors, 1, True, inputs.images[number : number + 1], inputs.texts[number : number + 1])


def together(items: Sequence[ma.Inputs]) -> ma.Inputs:
    """Inputs of one picture each as one batch."""
    if len(items) == 1:
        return items[0]
    tensors: dict[str, Any] = {name: torch.cat([i.tensors[name] for i in items]) for name in items[0].tensors}
    return ma.Inputs(tensors, len(items), True, tuple(i.images[0] for i in items if i.images))


@dataclass(eq=False)
class Batch:
    """Records, their tensors, and what was seen of them."""

    looks: Looks
    inputs: ma.Inputs
    records: tuple[Record, ...]
    numbers: tuple[int, ...]
    """Of the records in the data set."""

    @property
    def model(self) -> ma.Model:
        """The model that is looked at."""
        return self.looks.model

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits that it runs under."""
        return self.looks.edits

    def part(self, start: int, stop: int) -> Batch:
        """Some of the records, with nothing seen yet."""
        chosen = [first_of(self.inputs, n) for n in range(start, stop)] if len(self.records) > 1 else [self.inputs]
        return Batch(self.looks, together(chosen), self.records[start:stop], self.numbers[start:stop])

    @cached_property
    def places(self) -> dict[str, SitePlaces]:
        """Where the tokens of every site lie."""
        return self.looks.places(self.inputs)

    @cached_property
    def seen(self) -> ma.Capture:
        """One pass with the statistics and norms of hidden states that any measure of the study needs."""
        keep = _PLAIN
        if "statistics" in self.looks.needs:
            keep = ma.Keep(sites=tuple(self.places), reduce=strength_reduction(self.places))
        want = ("norms",) if "norms" in self.looks.needs else ()
        return ma.capture(self.model, replace(self.inputs, many=True), keep=keep, want=want, edits=self.edits)

    @cached_property
    def logits(self) -> np.ndarray:
        """[B, C] scores of classes (of captions, for a dual encoder)."""
        found = np.asarray(self.seen.logits, np.float64)
        if reason := ma.why_not_scores(self.model, found.shape):
            raise ValueError(reason)
        if not np.isfinite(found).all():
            raise ValueError("the model's answer holds numbers that are not finite")
        return found

    @cached_property
    def summed(self) -> dict[ma.Site, np.ndarray]:
        """[B, H, S] per site: what `strength_reduction` made."""
        return {site: np.asarray(self.seen.weights[site], np.float64) for site in self.seen.sites}
