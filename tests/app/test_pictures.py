"""Pictures: drawn, bundled, uploaded; hostile files are refused with a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ui import pictures


def png(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def test_everything_offered_can_be_shown_and_says_its_licence():
    for id in pictures.offered():
        shown = pictures.picture(id)
        assert shown.array.dtype == np.uint8 and shown.array.shape[2] == 3
        assert shown.licence and shown.title != id


def test_a_scene_knows_where_its_objects_are():
    shown = pictures.picture("scene:3")
    categories = {name for name, _ in shown.objects}
    assert categories == shown.scene.categories
    union = shown.mask(shown.objects[0][0])
    assert union.shape == shown.array.shape[:2] and union.any()
    assert shown.mask("no such thing") is None


def test_equal_pixels_have_one_key_and_others_another():
    data = png(20, 10)
    first, second = pictures.opened(data, "a.png", "upload:1"), pictures.opened(data, "b.png", "upload:2")
    assert first.key == second.key != pictures.opened(png(10, 20), "c.png", "upload:3").key


def test_a_turned_photograph_is_put_upright_and_a_large_one_reduced():
    image = Image.new("RGB", (30, 10), "red")
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert pictures.opened(buffer.getvalue(), "a.jpg", "upload:1").array.shape[:2] == (30, 10)
    assert max(pictures.opened(png(3000, 100), "a.png", "upload:1").array.shape) == pictures.LARGEST


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a picture"),
        (b"GIF89a" + b"\0" * 40, "not a picture|At least"),
        (b"<svg onload='alert(1)'/>", "not a picture"),
        (png(64, 64)[:200], "not a picture"),
        (png(4, 4), "At least 8 x 8"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(data, says):
    with pytest.raises(ValueError, match=says):
        pictures.opened(data, "file.png", "upload:1")


def test_a_bomb_is_refused_before_it_is_unpacked():
    small = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(small, "PNG")
    assert len(small.getvalue()) < 100_000
    with pytest.raises(ValueError, match="At most 50,000,000"):
        pictures.opened(small.getvalue(), "bomb.png", "upload:1")


def as_file(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_sixteen_bits_and_fractions_are_scaled():
    ramp = np.linspace(0, 65535, 400).reshape(20, 20)
    for image, kind in ((ramp.astype(np.uint16), "PNG"), (ramp.astype(np.float32) / 65535, "TIFF")):
        shown = pictures.opened(as_file(Image.fromarray(image), kind), "a", "upload:1").array
        assert np.abs(shown.astype(float) - (ramp / 257)[..., None]).max() <= 1


def test_what_can_be_seen_through_lies_on_white_and_a_film_shows_its_first_frame():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert (pictures.opened(as_file(clear), "a.png", "upload:1").array == 255).all()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    film = as_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pictures.opened(film, "a.gif", "upload:1").array[5, 5].tolist() == [255, 0, 0]
    ink = as_file(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "TIFF")
    assert pictures.opened(ink, "a.tif", "upload:1").array[5, 5].tolist() == [255, 0, 0]


def test_a_strip_and_a_bomb_within_the_notes_of_a_file_are_refused():
    with pytest.raises(ValueError, match="too long for its width"):
        pictures.opened(as_file(Image.new("RGB", (5000, 9))), "strip.png", "upload:1")
    whole = png(20, 20)
    note = b"zTXt" + b"k\0\0" + zlib.compress(b"a" * 50_000_000, 9)
    chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
    with pytest.raises(ValueError, match="not a picture that can be opened"):
        pictures.opened(whole[:33] + chunk + whole[33:], "note.png", "upload:1")


@pytest.mark.parametrize("id", ["scene:-1", "scene:x", "scene:", "photo:../icon", "photo:dog", "", "http://x/y.png", "scene:٣"])
def test_an_unknown_name_is_refused_with_those_that_exist(id):
    with pytest.raises(ValueError, match="photo:cat"):
        pictures.picture(id)
