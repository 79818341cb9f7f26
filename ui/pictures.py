"""Where pictures come from: drawn scenes, bundled photographs, uploads. Knows neither Streamlit nor torch.

A picture is named by a short id that may stand in a link: "scene:17", "biased:4", "photo:cat", "upload:1".
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from world.scenes import Scene

PHOTOS = Path(__file__).resolve().parents[1] / "assets" / "images"
SIDE = 384
"""Pixels of a drawn scene; models get it reduced, people see it crisp."""
OFFERED = 24
LARGEST = 2048
"""Longer side of an upload; larger ones are reduced."""
LEAST = 8
MOST_PIXELS = 50_000_000
KINDS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and what is known about it."""

    id: str
    title: str
    array: np.ndarray
    """[height, width, 3] uint8."""
    licence: str = ""
    scene: Scene | None = None
    """What was drawn, where that is known."""
    objects: tuple[tuple[str, np.ndarray], ...] = ()
    """(category, [height, width] bool) of every drawn object that can be seen."""

    @property
    def key(self) -> str:
        """Names the pixels, so that equal pictures share results and different ones never do."""
        return hashlib.sha256(self.array.tobytes() + str(self.array.shape).encode()).hexdigest()[:24]

    @property
    def image(self) -> Image.Image:
        """As a PIL image."""
        return Image.fromarray(self.array)

    def mask(self, category: str) -> np.ndarray | None:
        """Where objects of this category can be seen; None where that is unknown or there are none."""
        masks = [mask for name, mask in self.objects if name == category]
        return np.any(masks, axis=0) if masks else None


def offered() -> list[str]:
    """The ids that are shown without being asked for."""
    return [*(f"scene:{n}" for n in range(OFFERED)), *(f"biased:{n}" for n in range(6)), *(f"photo:{n}" for n in _licences())]


def title(id: str) -> str:
    """What people call it."""
    source, _, rest = id.partition(":")
    if source == "photo" and rest in _licences():
        return _licences()[rest]["title"]
    return {"scene": f"Scene {rest}", "biased": f"Biased scene {rest}", "upload": f"Upload {rest}"}.get(source, id)


def picture(id: str, uploads: Mapping[str, Picture] | None = None) -> Picture:
    """The picture of this id.

    Raises:
        ValueError: if there is none, with the ids that exist.
    """
    source, _, rest = id.partition(":")
    if source in ("scene", "biased") and rest.isascii() and rest.isdigit() and len(rest) < 9:
        return _scene(source, int(rest))
    if source == "photo" and rest in _licences():
        return _photo(rest)
    if source == "upload":
        if uploads and id in uploads:
            return uploads[id]
        raise ValueError("This picture was uploaded in another window and is not part of the link. Upload it here to see it.")
    known = ", ".join(f"photo:{name}" for name in _licences())
    raise ValueError(f"A picture is named scene:NUMBER, biased:NUMBER, {known}, or comes from an upload. Got {id!r}.")


def opened(data: bytes, name: str, id: str) -> Picture:
    """A picture from an uploaded file.

    Raises:
        ValueError: if it is none, or too large.
    """
    with _clearly(name), Image.open(io.BytesIO(data), formats=KINDS) as file:
        width, height = file.size
        if width * height > MOST_PIXELS:
            raise _Refused(f"{name} has {width:,} x {height:,} pixels. At most {MOST_PIXELS:,} pixels are opened.")
        if min(width, height) < LEAST:
            raise _Refused(f"{name} has {width} x {height} pixels. At least {LEAST} x {LEAST} are needed.")
        upright = _rgb(ImageOps.exif_transpose(file))
    upright.thumbnail((LARGEST, LARGEST))
    if min(upright.size) < LEAST:
        raise ValueError(f"{name} has {width} x {height} pixels: too long for its width. At most 1 to {LARGEST // LEAST} works.")
    return Picture(id, title(id), np.asarray(upright), licence=f"uploaded as {name}")


def _rgb(file: Image.Image) -> Image.Image:
    """Eight bits per colour: numbers beyond them are scaled, and what can be seen through lies on white."""
    if file.mode.startswith(("I", "F")):
        numbers = np.asarray(file, np.float64)
        most = 65535.0 if file.mode.startswith("I;16") else float(np.nanmax(numbers, initial=0.0)) or 1.0
        return Image.fromarray(np.clip(np.nan_to_num(numbers) / most * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if not file.has_transparency_data:
        return file.convert("RGB")
    seen = file.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


class _Refused(ValueError):
    """A sentence of ours, set apart from what Pillow says."""


@contextmanager
def _clearly(name: str) -> Iterator[None]:
    """Whatever Pillow says of a file becomes one sentence."""
    try:
        yield
    except _Refused:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has too many pixels. At most {MOST_PIXELS:,} are opened.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        # Pillow also refuses notes within a file that unpack to far more than the file.
        raise ValueError(f"{name} is not a picture that can be opened. {', '.join(KINDS)} work.") from error


def thumbnail(shown: Picture, side: int = 48) -> Image.Image:
    """A small copy."""
    small = shown.image.copy()
    small.thumbnail((side, side))
    return small


@lru_cache(maxsize=1)
def _licences() -> dict[str, dict[str, str]]:
    return json.loads((PHOTOS / "licences.json").read_text())


@lru_cache(maxsize=32)
def _scene(source: str, number: int) -> Picture:
    from world.captions import caption
    from world.datasets import TEST_BIASED, TEST_UNBIASED
    from world.rendering import render

    scene = (TEST_UNBIASED if source == "scene" else TEST_BIASED)[number]
    drawn = render(scene, SIDE)
    seen = tuple((item.category, drawn.mask(n)) for n, item in enumerate(scene.objects) if drawn.mask(n).any())
    id = f"{source}:{number}"
    drawing = f"Drawn by the small world: {caption(scene)}"
    return Picture(id, title(id), drawn.image, drawing, scene, seen)


@lru_cache(maxsize=8)
def _photo(name: str) -> Picture:
    with Image.open(PHOTOS / f"{name}.jpg") as file:
        found = _licences()[name]
        return Picture(f"photo:{name}", found["title"], np.asarray(file.convert("RGB")), found["licence"])
