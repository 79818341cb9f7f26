"""A view of an answer: its rows are the tokens of the answer, its columns the prompt and the answer before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.recording import Layer, Tokens, View
from ui.viewer.from_capture import picture_of

if TYPE_CHECKING:
    from PIL import Image

    from analysis.words import Answer
    from model_adapters import Rows


@dataclass(frozen=True, eq=False)
class Hop:
    """The second of two looks: what tokens without a place of their own gave to places."""

    weights: np.ndarray
    """[tokens, places]; a row adds up to 1."""
    tokens: np.ndarray
    """The columns of the prompt that looked."""
    places: Rows


def view_of_answer(
    answer: Answer,
    image: Image.Image,
    *,
    size: tuple[int, int],
    shown: np.ndarray,
    title: str,
    reason: str = "",
    hop: Hop | None = None,
    statistics: Mapping[str, Sequence[Sequence[float]]] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> View:
    """What the viewer shows of an answer on one picture.

    Args:
        answer: with at least one token.
        image: the picture, of any size: boxes are scaled to it.
        size: of the picture as the model was given it.
        shown: [T] bool, the tokens of the prompt (with a hop: its places) that lie on this picture; others have no place.
        title: stands above exported figures.
        reason: why nothing can be drawn, if so.
        hop: for image tokens that have no place: their own look at the picture, through which words are followed.
        statistics: name -> one number per head of each layer, for sorting.
        meta: what a reader needs to make it again.
    """
    if not len(answer):
        raise ValueError("the answer is empty: it has no rows to show.")
    picture, reduced = picture_of(image)
    later = _nowhere(("answer",) * len(answer))
    keys = _keys(answer, hop, shown, (reduced[0] / size[0], reduced[1] / size[1]), later)
    layers = tuple(
        Layer(
            site.name, site.tower, site.layer, answer.rows[0][n].shape[0], later, keys,
            quality="none" if reason else "tile", reason=reason,
        )
        for n, site in enumerate(answer.sites)
    )  # fmt: skip
    return View(
        title=title,
        picture=picture,
        layers=layers,
        load=lambda position: rows_of(answer, position, hop),
        statistics={name: tuple(tuple(map(float, row)) for row in rows) for name, rows in (statistics or {}).items()},
        meta=dict(meta or {}),
    )


def rows_of(answer: Answer, position: int, hop: Hop | None = None) -> np.ndarray:
    """[H, A, K] of one layer: row t holds what decided token t; 0 for what came after it."""
    length, count = len(answer.prompt), len(answer)
    heads = answer.rows[0][position].shape[0]
    found = np.zeros((heads, count, length + count), np.float32)
    for step, rows in enumerate(answer.rows):
        found[:, step, : length + step] = rows[position]
    if hop is None:
        return found
    led = found[:, :, hop.tokens] @ hop.weights.astype(np.float32)
    found[:, :, hop.tokens] = 0
    return np.concatenate([found, led], axis=-1)


def _keys(answer: Answer, hop: Hop | None, shown: np.ndarray, scale: tuple[float, float], later: Tokens) -> Tokens:
    """Prompt and answer; with a hop also the places behind them."""
    roles = tuple(str(role) for role in answer.prompt.roles)
    rows = answer.prompt if hop is None else hop.places
    boxes = rows.boxes.astype(np.float32) * np.array([*scale, *scale], np.float32)
    boxes[~shown] = np.nan
    if hop is None:
        return _joined(Tokens(roles, boxes), later)
    return _joined(_joined(_nowhere(roles), later), Tokens(("image",) * len(rows), boxes))


def _nowhere(roles: tuple[str, ...]) -> Tokens:
    return Tokens(roles, np.full((len(roles), 4), np.nan, np.float32))


def _joined(first: Tokens, second: Tokens) -> Tokens:
    return Tokens(first.roles + second.roles, np.concatenate([first.boxes, second.boxes]))
