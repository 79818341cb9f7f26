"""The forms in which towers take images: which axes of the tensor are height and width, or which entries make one patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PATCH = 48
"""A list of images no larger than this is a list of patches."""
_MANY = 16


@dataclass(frozen=True)
class Form:
    """How the entries of a tensor are arranged."""

    packed: bool
    """A list of patches rather than images."""
    y: int
    x: int
    """Axes (negative) of height and width, inside a patch where packed."""
    channel: int
    item: int = 0
    """Axis (negative) along which patches are listed."""
    strip: int = 0
    """Patches lie side by side in one image of this height."""


def form_of(shape: tuple[int, ...]) -> Form | None:
    """Read the form from a shape; None where it is neither images nor patches."""
    if len(shape) in (2, 3):
        return Form(True, 0, 0, 0, item=-2)
    if len(shape) < 4:
        return None
    if shape[-3] in (1, 3):
        form = Form(False, -2, -1, -3)
    elif shape[-1] in (1, 3):
        form = Form(False, -3, -2, -1)
    elif len(shape) == 5 and shape[1] in (1, 3):
        return Form(False, -2, -1, -4)
    else:
        return None
    height, width = shape[form.y], shape[form.x]
    if height <= _PATCH and width >= _MANY * height and width % height == 0:
        return Form(True, form.y, form.x, form.channel, strip=height)
    if int(np.prod(shape[: min(form.y, form.channel)])) >= _MANY and max(height, width) <= _PATCH:
        return Form(True, form.y, form.x, form.channel, item=-4)
    return form


def numbers(form: Form, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The number of the image or patch that each entry belongs to, broadcastable to the shape, and its leading sizes."""
    if form.strip:
        per_row = shape[form.x] // form.strip
        lead = [n if axis - len(shape) not in (form.y, form.x, form.channel) else 1 for axis, n in enumerate(shape)]
        along = np.ones(len(shape), int)
        along[form.x] = shape[form.x]
        index = (np.arange(shape[form.x]) // form.strip).reshape(along)
        return np.arange(int(np.prod(lead))).reshape(lead) * per_row + index, (int(np.prod(lead)), per_row)
    if not form.packed:
        lead = [n if axis - len(shape) not in (form.y, form.x, form.channel) else 1 for axis, n in enumerate(shape)]
        return np.arange(int(np.prod(lead))).reshape(lead), (int(np.prod(lead)),)
    kept = len(shape) + form.item + 1
    lead = list(shape[:kept]) + [1] * (len(shape) - kept)
    return np.arange(int(np.prod(lead))).reshape(lead), tuple(shape[:kept])
