"""Reading pictures safely: whatever was given becomes an upright RGB image, or a ValueError that says why not."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 89_000_000
"""Larger images are refused before they are decoded (a small file may unpack to gigabytes)."""
MIN_SIDE = 4
"""Some image processors take a side of 1 or 3 pixels for the colour channels."""
MAX_FRAMES = 512

# No EPS or PDF: Pillow hands those to an interpreter of PostScript.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO", "JPEG2000", "TGA")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"}
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)


def read_image(given: Any) -> Image.Image:
    """The picture as upright 8-bit RGB.

    Args:
        given: a PIL image, a path, the bytes of a file, an open file, or an array [height, width] or
            [height, width, 1, 3 or 4] (8-bit, 16-bit, or float between 0 and 1).

    Transparent pixels become white, 16-bit values are scaled, of an animated file the first frame is taken.
    """
    if isinstance(given, Image.Image):
        return _rgb(_loaded(given, "The image"))
    if isinstance(given, np.ndarray):
        return _from_array(given)
    return _rgb(_loaded(*_opened(given)))


def read_frames(given: Any) -> tuple[Image.Image, ...]:
    """The frames of a video: a list of images, an array [frames, height, width, 3], a folder, or an animated file."""
    if isinstance(given, np.ndarray) and given.ndim != 4:
        raise ValueError(f"A video array must be [frames, height, width, channels]. Got shape {given.shape}.")
    if isinstance(given, (list, tuple, np.ndarray)):
        frames = tuple(read_image(one) for one in _few(given))
    elif isinstance(given, (str, Path)) and Path(given).is_dir():
        files = sorted(path for path in Path(given).iterdir() if path.suffix.lower() in _SUFFIXES)
        frames = tuple(read_image(path) for path in _few(files))
    else:
        frames = _animation(given)
    if not frames:
        raise ValueError("A video needs at least one frame. None were found.")
    if len({frame.size for frame in frames}) > 1:
        raise ValueError(f"All frames of a video must have one size. Got {sorted({frame.size for frame in frames})}.")
    return frames


def _animation(given: Any) -> tuple[Image.Image, ...]:
    image, name = (given, "The image") if isinstance(given, Image.Image) else _opened(given)
    count = getattr(image, "n_frames", 1)
    if count > MAX_FRAMES:
        raise ValueError(f"{name} has {count} frames; at most {MAX_FRAMES} are read. Give those you want as a list.")
    frames = []
    for number in range(count):
        try:
            image.seek(number)
        except _BROKEN as error:
            raise ValueError(f"{name} is damaged at frame {number}: {error}.") from error
        frames.append(_rgb(_loaded(image, name)))
    return tuple(frames)


def _few(frames: Any) -> Any:
    if len(frames) > MAX_FRAMES:
        raise ValueError(f"{len(frames)} frames were given; at most {MAX_FRAMES} can be read. Give fewer.")
    return frames


def _opened(given: Any) -> tuple[Image.Image, str]:
    """Open a path, bytes or a file, reading no more than its header."""
    source, name = _source(given)
    try:
        image = Image.open(source, formats=_formats())
    except _BOMB as error:
        raise ValueError(f"{name} is too large: at most {MAX_PIXELS:,} pixels are read.") from error
    except _BROKEN as error:
        sentence = f"{name} is not an image that can be read. Use PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF."
        raise ValueError(sentence) from error
    return image, name


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _source(given: Any) -> tuple[io.BytesIO, str]:
    """The bytes of a file and what to call it."""
    name = str(given) if isinstance(given, (str, Path)) else "The image file"
    try:
        data = Path(given).read_bytes() if isinstance(given, (str, Path)) else given
    except FileNotFoundError as error:
        raise ValueError(f"{name} does not exist.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{name} is a folder. Give one image file.") from error
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}.") from error
    data = data.read() if hasattr(data, "read") else data
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError(f"An image must be a PIL image, a path, bytes or a NumPy array. Got {type(given).__name__}.")
    if not data:
        raise ValueError(f"{name} is empty (0 bytes).")
    return io.BytesIO(data), name


def _loaded(image: Image.Image, name: str) -> Image.Image:
    """Decode the pixels and turn them upright."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name} has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are read. Scale it down.")
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{name} has {width} x {height} pixels; each side needs at least {MIN_SIDE}.")
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except _BOMB as error:
        raise ValueError(f"{name} is too large: at most {MAX_PIXELS:,} pixels are read.") from error
    except _BROKEN as error:
        raise ValueError(f"{name} is damaged or cut off: {error}.") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(np.asarray(image))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    try:
        return image.convert("RGB").copy()
    except ValueError as error:
        raise ValueError(f"An image of mode {image.mode} cannot be turned into RGB. Save it as RGB first.") from error


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        hint = " Move the channels last." if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        shape = f"[height, width] or [height, width, 3 or 4]. Got shape {array.shape}.{hint}"
        raise ValueError(f"An image array must be {shape}")
    if not array.size:
        raise ValueError(f"The image array is empty: shape {array.shape}.")
    return _rgb(_loaded(Image.fromarray(_bytes(array)), "The image array"))


def _bytes(array: np.ndarray) -> np.ndarray:
    """Values as 0 to 255, scaled by the range of their type."""
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise ValueError(f"Pixel values must be finite and not negative. Got values from {low} to {high}.")
    if array.dtype == bool or (array.dtype.kind == "f" and high <= 1):
        scale = 255.0
    elif array.dtype.kind == "f" or (array.dtype.itemsize != 2 and high <= 255):
        scale = 1.0
    else:
        scale = 255 / 65535
    if high * scale > 255:
        raise ValueError(f"Pixel values must lie in 0 to 1, 0 to 255 or 0 to 65535. Got values up to {high}.")
    return np.round(array * scale).astype(np.uint8)
