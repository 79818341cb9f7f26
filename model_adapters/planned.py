"""Edits that are decided by looking at the prompt first: which tokens are sinks, which heads answer to the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from model_adapters.capture import capture
from model_adapters.capturing import Capture
from model_adapters.edits import Edit, check_edits
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.layout import Rows
from model_adapters.model import Model
from model_adapters.roles import decoder_roles
from model_adapters.side_by_side import Decide, Pair, settled_by_a_pass
from model_adapters.site import Keep
from model_adapters.target import Target
from model_adapters.towers import capture_towers

if TYPE_CHECKING:
    from model_adapters.subject import Subject


@dataclass(eq=False)
class Glance:
    """One prompt before its answer, for plans to look at."""

    model: Model
    inputs: Inputs

    @cached_property
    def roles(self) -> np.ndarray:
        """[T] the roles of the prompt's tokens."""
        return decoder_roles(self.model, self.inputs)[0]

    @cached_property
    def rows(self) -> Rows:
        """[T] the prompt's tokens and where they lie on the image."""
        from model_adapters.geometry import decoder_rows

        return decoder_rows(self.model, self.inputs)

    @property
    def depth(self) -> int:
        """How many layers the decoder has."""
        return decoder_depth(self.model)

    @cached_property
    def image(self) -> np.ndarray:
        """[height, width, 3] uint8: the picture of the prompt."""
        return np.asarray(picture_of(self.model, self.inputs).convert("RGB"))

    def capture(
        self, *, edits: Iterable[Edit] = (), keep: Keep | None = None, want: Iterable[str] = (), target: Target = None
    ) -> Capture:
        """What one pass over the prompt shows, with the scores of its last token (all where a target names one)."""
        scores = 1 if target is None else None
        return capture(self.model, self.inputs, edits=edits, keep=keep, want=want, target=target, scores=scores)

    def towers(self, *, want: Iterable[str] = ()) -> Capture:
        """What the towers in front of the decoder do with the picture."""
        return capture_towers(self.model, self.inputs, want=want)

    def blind(
        self,
        how: Literal["left out", "hidden"],
        *,
        edits: Iterable[Edit] = (),
        keep: Keep | None = None,
        want: Iterable[str] = (),
    ) -> Capture:
        """The same without the image."""
        inputs, hiding = without_image(self.model, self.inputs, how)
        return capture(self.model, inputs, edits=(*hiding, *edits), keep=keep, want=want, scores=1)

    def judged(self, name: str, picture: np.ndarray, text: str) -> Subject:
        """A picture and a text before another model, a dual encoder, that is loaded by its name and kept."""
        from model_adapters.subject import subject

        return subject(_other(name), picture, [text])

    def beside_blind(self, how: Literal["left out", "hidden"], layers: Sequence[int], decide: Decide) -> Edit:
        """Decides layer by layer from what heads say with the image and without; decisions hold in deeper layers."""
        return Pair(self.model, without_image(self.model, self.inputs, how), layers, decide).edit


@cache
def _other(name: str) -> Model:
    from model_adapters.load import load

    return load(name)


@runtime_checkable
class Plan(Protocol):
    """Edits to be decided."""

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """The edits for one prompt, from a `Glance` at it."""
        ...


def decided(model: Model, inputs: Inputs, edits: Iterable[Edit | Plan] | Edit | Plan) -> tuple[Edit, ...]:
    """Edits with every plan replaced by what it decides for this prompt."""
    return settled_by_a_pass(model, inputs, planned(model, inputs, edits))


def planned(model: Model, inputs: Inputs, edits: Iterable[Edit | Plan] | Edit | Plan) -> tuple[Edit, ...]:
    """Edits with every plan replaced by its edits, of which some may decide only while the prompt is read."""
    given: tuple[Edit | Plan, ...] = (edits,) if isinstance(edits, Edit | Plan) else tuple(edits)
    glance = Glance(model, inputs)
    found: list[Edit] = []
    for edit in given:
        found += edit.plan(glance) if isinstance(edit, Plan) else [edit]
    return check_edits(found)


def decoder_depth(model: Model) -> int:
    """How many numbered layers with attention an LVLM's decoder has."""
    layers = {model.tap_labels[block].layer for block in model.tap_labels.blocks if model.tap_labels.tower(block) == "decoder"}
    if not layers:
        raise AdapterError(f"{model.name} has no decoder whose layers are numbered.")
    return max(layers) + 1


def without_image(model: Model, inputs: Inputs, how: Literal["left out", "hidden"]) -> tuple[Inputs, tuple[Edit, ...]]:
    """A prompt whose image is left out, or the edit that hides its tokens from all others."""
    from model_adapters.edits import Block
    from model_adapters.where import Where

    if how == "hidden":
        if "image" not in decoder_roles(model, inputs):
            raise AdapterError(f"{model.name} has no image among the tokens of its prompt, so it cannot be hidden there.")
        return inputs, (Block(Where(tower="decoder", keys="image")),)
    if not inputs.texts:
        raise AdapterError(
            "The prompt was not made by `model.prepare`, so it cannot be made again without its image; 'hidden' works."
        )
    try:
        return model.prepare(text=inputs.texts[0]), ()
    except (AdapterError, ValueError) as error:
        raise AdapterError(
            f"{model.name} cannot be asked without an image ({error}) The image can be 'hidden' instead."
        ) from error


def picture_of(model: Model, inputs: Inputs) -> Any:
    """The one picture of a prompt."""
    if len(inputs.images) != 1 or len(inputs.images[0]) != 1 or not inputs.texts:
        count = sum(len(images) for images in inputs.images)
        raise AdapterError(
            f"One picture and its text, from `model.prepare`, are needed to change the picture. Got {count} pictures."
        )
    return inputs.images[0][0]
