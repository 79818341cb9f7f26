"""Pictures written into a text, as web pages hold them: nothing has to be fetched to show one."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

_START = "data:image/jpeg;base64,"
_WHOLE = re.compile(re.escape(_START) + r"[A-Za-z0-9+/]+=*")


def shrunk(image: Image.Image, longest: int) -> Image.Image:
    """A copy in red, green and blue, at most this long."""
    small = image.convert("RGB")
    small.thumbnail((longest, longest))
    return small


def inlined(image: Image.Image, longest: int) -> str:
    """The picture, at most this long, as an address that holds it."""
    buffer = io.BytesIO()
    shrunk(image, longest).save(buffer, "JPEG", quality=92, subsampling=0)
    return _START + base64.b64encode(buffer.getvalue()).decode()


def is_inline(address: object) -> bool:
    """Whether an address is a picture in itself, and nothing besides."""
    return isinstance(address, str) and _WHOLE.fullmatch(address) is not None


def read(address: str) -> np.ndarray:
    """[height, width, 3] uint8.

    Raises:
        ValueError: if the address is not the picture itself.
    """
    if not is_inline(address):
        raise ValueError("the picture of this figure lies somewhere else, and is not fetched.")
    with Image.open(io.BytesIO(base64.b64decode(address.removeprefix(_START))), formats=("JPEG",)) as picture:
        return np.asarray(picture.convert("RGB"))
