"""Measures that run the model more than once, or backwards: what each head is worth, and what sort it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import model_adapters as ma
from analysis.answer_changes import Change
from analysis.head_measures import head_measures
from analysis.importance_exact import effects
from analysis.importance_gradient import gate_gradients, gradient_sites, token_products
from studies.measures.batch import Batch, first_of
from studies.measures.registry import Found, PerHead, measure


@measure(title="Exact head importance", tables=("heads",), kinds=("vit",), edited=False, scores="classes")
def importance_exact(batch: Batch, *, change: Change = "loss change") -> Iterator[Found]:
    """What becomes of the answer when each head is silenced in turn; the class is the record's own, or the predicted one.

    Args:
        batch: the records.
        change: how the change is stated.
    """
    found = ma.ablate(batch.model, replace(batch.inputs, many=True), moved=False)
    labels = np.array([_class_of(batch, n, found.base[n]) for n in range(len(batch.records))])
    yield PerHead(found.sites, {"importance": effects(found, labels, measure=change)})


@measure(title="Head importance from one backward pass", tables=("heads",), kinds=("vit",), scores="classes")
def importance_gradient(batch: Batch) -> Iterator[Found]:
    """By how much the predicted class's score would fall without the head, in a straight line; and the slope per token."""
    capture = ma.capture(
        batch.model, replace(batch.inputs, many=True), keep=ma.Keep(queries=(0,)), want=("heads", "gradients"), edits=batch.edits
    )
    sites = gradient_sites(capture, "vision")
    slopes = np.full((len(batch.records), len(sites), max(s.heads for s in sites)), np.nan)
    for layer, site in enumerate(sites):
        slopes[:, layer, : site.heads] = np.abs(token_products(capture, site)).mean(-1)
    yield PerHead(sites, {"gate_times_gradient": gate_gradients(capture), "token_slope": slopes})


@measure(title="Head types", tables=("heads",), kinds=("vit",))
def head_types(batch: Batch) -> Iterator[Found]:
    """How much of its attention each head gives to the class token, itself, its row, its neighbours, a sink, everywhere.

    Picture by picture, each corrected for chance; `analysis.head_types` names the types from the means. What changes with
    the content is not among them, as it takes several pictures at once.
    """
    parts = []
    for number in range(len(batch.records)):
        single = replace(first_of(batch.inputs, number), many=False)
        found = head_measures([ma.capture(batch.model, single, edits=batch.edits)])
        parts.append(found.values)
    names = [name for name in found.names if name != "content"]
    columns = {f"type_{name}": np.stack([p[..., found.names.index(name)] for p in parts]) for name in names}
    yield PerHead(found.sites, columns)


def _class_of(batch: Batch, number: int, scores: np.ndarray) -> int:
    labels, label = batch.model.labels, batch.records[number].label
    return labels.index(label) if labels and label in labels else int(scores.argmax())
