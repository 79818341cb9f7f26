"""What is gathered on one answer for the signals of made-up words: the same for every model, here and on the pages.

A distribution says something of a word only if both were measured alike, so the reference and the pages share this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

import model_adapters as ma
from analysis.signals import Evidence, SignalTable, gather, picture_views, signals
from analysis.words import Word
from model_adapters.contrast_looks import noised

NOISE = 700
"""Diffusion steps of the noised look: chosen on the scenes of the reference; the published 500 tell nothing there."""
PASSES = 9
"""What the evidence on one answer costs, in passes over prompt and answer: four views and five other looks."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Gathered:
    """The evidence on one answer."""

    evidence: Evidence
    missing: dict[str, str]
    """Looks that this model or prompt does not allow, and why."""

    def table(self, words: Sequence[Word] | None = None) -> SignalTable:
        """Every signal of these words; what is missing for want of a look says which and why."""
        found = signals(self.evidence, words)
        told = {name: self._why(reason) for name, reason in found.refused.items()}
        return replace(found, refused=told)

    def _why(self, reason: str) -> str:
        return next((why for look, why in self.missing.items() if f"`{look}`" in reason), reason)


def evidence_of(
    model: ma.Model,
    pictures: Sequence[np.ndarray],
    text: str,
    generation: ma.Generation,
    *,
    film: bool = False,
    lens: ma.Lens | None = None,
    check: Callable[[], None] = lambda: None,
) -> Gathered:
    """Read an answer again in every way that the signals ask for.

    Args:
        model: an LVLM.
        pictures: [height, width, 3] each, those that it was asked about.
        text: what it was asked.
        generation: what it answered, with its decoder's attention kept.
        film: the pictures are the frames of one video.
        lens: the decoder's lens, if it is known already.
        check: called between looks; may raise to stop.
    """
    inputs = _prepared(model, pictures, text, film)
    asked, looks = ma.asked(model, inputs), _Looks(check)
    tried = looks.tried
    blind = tried("blind", lambda: _without_image(model, text)) or "hide"
    looks.missing.pop("blind", None)  # hidden instead
    found = gather(
        generation,
        asked,
        partial(_reread, model, check),
        inputs,
        blind=blind,  # type: ignore[arg-type]
        noised=tried("noised", lambda: noised(model, inputs, ma.Noised(step=NOISE))),
        views=tried("views", lambda: _views(model, pictures, text, film)) or (),
        lens=lens or tried("lens", lambda: ma.lens(model, inputs)),
    )
    encoder = tried("encoder", lambda: _encoder(model, inputs, asked))
    return Gathered(replace(found, encoder=encoder), looks.missing)


@dataclass
class _Looks:
    """Looks at an answer that a model may not allow."""

    check: Callable[[], None]
    missing: dict[str, str] = field(default_factory=dict)

    def tried(self, look: str, make: Callable[[], _T]) -> _T | None:
        """What is made; None where it is refused, and the reason is kept."""
        self.check()
        try:
            return make()
        except (ma.AdapterError, ValueError) as error:
            self.missing[look] = str(error)
            return None


def _prepared(model: ma.Model, pictures: Sequence[np.ndarray], text: str, film: bool) -> ma.Inputs:
    if not pictures:
        raise ValueError("signals of made-up words compare what is said with a picture. Got a question without one.")
    if film:
        return model.prepare(video=[Image.fromarray(picture) for picture in pictures], text=text)
    return model.prepare(image=pictures[0] if len(pictures) == 1 else list(pictures), text=text)


def _reread(model: ma.Model, check: Callable[[], None], *given: Any, **options: Any) -> ma.Capture:
    check()
    return ma.reread(model, *given, **options)


def _without_image(model: ma.Model, text: str) -> tuple[ma.Inputs, ma.Asked]:
    inputs = model.prepare(text=text)
    return inputs, ma.asked(model, inputs)


def _views(model: ma.Model, pictures: Sequence[np.ndarray], text: str, film: bool) -> list[ma.Inputs]:
    """Every view of all pictures at once."""
    return [_prepared(model, shown, text, film) for shown in zip(*map(picture_views, pictures), strict=True)]


def _encoder(model: ma.Model, inputs: ma.Inputs, asked: ma.Asked) -> np.ndarray:
    from analysis.words.encoder_decoder import encoder_attention

    return encoder_attention(ma.capture_towers(model, inputs, keep=ma.Keep(heads="mean")), asked.rows)
