"""One model looking at one picture: everything that an explanation may ask for, made when it is asked for and kept.

What a model cannot give is refused with the reason, and `refusals` knows it beforehand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from model_adapters.capture import capture, run
from model_adapters.capturing import Capture
from model_adapters.classes import NoScores, class_scores
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.lens import continued
from model_adapters.model import Model
from model_adapters.pictures import PreparedPicture, prepared_picture, scores_of_pixels
from model_adapters.readout import ReadoutParts, readout, why_no_readout
from model_adapters.relevance_rules import RelevanceRules
from model_adapters.shuffling import Layers, layers_of, shuffled

KEPT = 4
"""Captures that a subject keeps."""


@dataclass(eq=False)
class Subject:
    """A model, a picture, and a question where the model reads one. Safe to share between threads."""

    model: Model
    inputs: Inputs
    text: str | Sequence[str] | None = None
    said: tuple[int, ...] = ()
    """Token ids of an answer that stand behind the prompt: the next token is the one that follows them."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _kept: dict[tuple[frozenset[str], int | None], Capture] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Literal["vit", "dual", "lvlm"]:
        """What sort of model looks."""
        return self.model.kind

    @cached_property
    def image(self) -> np.ndarray:
        """[height, width, 3] uint8: the original picture."""
        return np.asarray(self.inputs.images[0][0].convert("RGB"))

    @cached_property
    def scores(self) -> np.ndarray:
        """[C] the model's scores; of an LVLM those of the next token."""
        if isinstance(self._scored, str):
            raise AdapterError(self._scored)
        return self._scored

    @property
    def predicted(self) -> int:
        """The class, caption or token with the highest score."""
        return int(self.scores.argmax())

    @cached_property
    def classes(self) -> int:
        """How many classes (captions of a dual encoder, tokens of an LVLM) are scored; 0 where there are none."""
        return 0 if isinstance(self._scored, str) else len(self._scored)

    @cached_property
    def _scored(self) -> np.ndarray | str:
        """The scores, or the sentence that says why there are none."""
        if not self.model.classes:
            return self.model.classes.why_not
        try:
            return self.run()(())[0]
        except NoScores as error:
            return str(error)

    @cached_property
    def refusals(self) -> dict[str, str]:
        """What this model cannot give beside captures, and why: of "logits", "gradients", "pixels", "module"."""
        if isinstance(self._scored, str):
            return dict.fromkeys(("logits", "gradients", "pixels", "module"), self._scored)
        found = {"module": why_no_readout(self.model.module)}
        try:
            self.pixels()
        except AdapterError as error:
            found["pixels"] = str(error)
        return {need: reason for need, reason in found.items() if reason}

    def capture(self, want: frozenset[str] = frozenset(), target: int | None = None) -> Capture:
        """All rows of all sites, and more, as `model_adapters.capture` gives them; kept for the next time."""
        want = frozenset(want)
        aim = self.aim(target) if "gradients" in want else None
        with self._lock:
            for (have, at), kept in self._kept.items():
                if want <= have and ("gradients" not in want or at == aim):
                    return kept
            found = capture(self.model, self.inputs, want=want, target=aim)
            self._kept[want, aim] = found
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
            return found

    def forward(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Prepared pictures [B, 3, h, w] to scores [B, C], differentiable."""
        return scores_of_pixels(self.model, self.inputs, self._read)

    def relevance(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The same scores as of `forward`, whose gradient times the picture is its relevance by the rules of AttnLRP."""
        forward = self.forward()

        def scores(pictures: torch.Tensor) -> torch.Tensor:
            with RelevanceRules():
                return forward(pictures)

        return scores

    def pixels(self) -> PreparedPicture:
        """The picture as the model receives it, and what it shows of the original."""
        with self._lock:
            return self._picture

    @cached_property
    def _picture(self) -> PreparedPicture:
        return prepared_picture(self.model, self.inputs)

    def readout(self, target: int | None = None) -> ReadoutParts:
        """The constants that lead from the heads to the score of a class."""
        aim = self.aim(target)
        shapes = self.capture().shapes
        return readout(self.model.module, aim, next(iter(shapes.values()))[1], float(self.scores[aim]))

    def score(self, target: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Pictures [B, height, width, 3] of 0..255 to the probability of a class [B]."""
        aim = self.aim(target)

        def probability(pictures: np.ndarray) -> np.ndarray:
            pictures = np.clip(np.rint(np.asarray(pictures)), 0, 255).astype(np.uint8)
            if pictures.ndim != 4 or pictures.shape[-1] != 3:
                raise ValueError(f"pictures must be [B, height, width, 3]. Got shape {pictures.shape} instead.")
            answers = [self._read(run(self.model, inputs)) for inputs in self._prompts(pictures)]
            return torch.cat(answers).float().softmax(-1)[:, aim].cpu().numpy()

        return probability

    def _prompts(self, pictures: np.ndarray) -> list[Inputs]:
        """The same question about other pictures: in one batch, or one by one where an answer has begun."""
        if self.said:
            prompts = [self.model.prepare(image=picture, text=self.text) for picture in pictures]
            return [continued(self.model, inputs, self.said) for inputs in prompts]
        text = [self.text or ""] * len(pictures) if self.kind == "lvlm" else self.text
        return [self.model.prepare(image=list(pictures), text=text)]

    def run(self) -> Callable[[tuple[Edit, ...]], np.ndarray]:
        """Edits to scores [1, C]."""

        def answer(edits: tuple[Edit, ...] = ()) -> np.ndarray:
            return self._read(run(self.model, self.inputs, edits)).detach().float().cpu().numpy()

        return answer

    @cached_property
    def layers(self) -> Layers:
        """The layers that can be shuffled, in the order in which they run."""
        return layers_of(self.model, self.inputs, "vision" if self.kind == "dual" else None)

    def shuffled(self, layers: int, seed: int = 0) -> Subject:
        """The same picture before a copy of the model whose last `layers` layers have shuffled weights."""
        return Subject(shuffled(self.model, self.layers, layers, seed), self.inputs, self.text, self.said)

    def before(self, image: Any) -> Subject:
        """The same model before another picture."""
        return subject(self.model, image, self.text).after(self.said)

    def after(self, said: Sequence[int]) -> Subject:
        """The same model with the beginning of an answer behind its prompt: its next token is the one that follows.

        Every method that explains the next token explains a word of an answer this way.

        Args:
            said: token ids, such as those of `generate` in front of a word.
        """
        ids = tuple(int(each) for each in said)
        return Subject(self.model, continued(self.model, self.inputs, ids), self.text, self.said + ids) if ids else self

    def aim(self, target: int | None) -> int:
        """The class that is meant: the given one, or the predicted one."""
        if isinstance(self._scored, str):
            raise AdapterError(self._scored)
        if target is None:
            return self.predicted
        if not 0 <= target < self.classes:
            raise ValueError(f"class {target} was asked for, but {self.model.name} scores {self.classes} classes.")
        return int(target)

    def _read(self, answer: torch.Tensor) -> torch.Tensor:
        """[B, C]: of a sequence the scores of the next token."""
        return class_scores(self.model, answer)


def subject(model: Model, image: Any, text: str | Sequence[str] | None = None) -> Subject:
    """A model looking at one picture.

    Args:
        model: from `load` or `wrap`.
        image: a PIL image, an array, a path or bytes.
        text: the question of an LVLM, or the captions of a dual encoder.
    """
    inputs = model.prepare(image=image) if text is None else model.prepare(image=image, text=text)
    if inputs.batch != 1 or len(inputs.images) != 1 or len(inputs.images[0]) != 1:
        raise ValueError(f"a subject looks at one picture. Got {sum(len(i) for i in inputs.images)} pictures.")
    return Subject(model, replace(inputs, many=False), text)
