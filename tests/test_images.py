"""Whatever is given becomes the right upright RGB picture, or a ValueError with a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model_adapters.images import MAX_FRAMES, read_frames, read_image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("how", ["image", "array", "bytes", "path", "text", "file"])
def test_every_way_of_giving_a_picture_gives_the_same(how, picture, tmp_path):
    path = tmp_path / "p.png"
    picture.save(path)
    given = {
        "image": picture, "array": np.asarray(picture), "bytes": encoded(picture), "path": path, "text": str(path),
        "file": io.BytesIO(encoded(picture)),
    }[how]  # fmt: skip
    found = read_image(given)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(picture))


def test_the_given_image_is_neither_returned_nor_changed(picture):
    found = read_image(picture)
    found.putpixel((0, 0), (9, 9, 9))
    assert picture.getpixel((0, 0)) != (9, 9, 9)


@pytest.mark.parametrize(("orientation", "turn"), [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)])
def test_a_turned_photo_is_put_upright(orientation, turn, picture):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(encoded(picture, exif=exif))
    assert np.array_equal(np.asarray(found), np.asarray(picture.transpose(turn)))


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 8 * 8).astype(np.uint16).reshape(8, 8)
    expected = np.round(ramp / 257).astype(int)
    for given in (encoded(Image.fromarray(ramp)), Image.fromarray(ramp), ramp, ramp.astype(np.int32)):
        found = np.asarray(read_image(given)).astype(int)
        assert abs(found - expected[..., None]).max() <= 1
        assert len(np.unique(found)) == 64


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode):
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    found = np.asarray(read_image(encoded(image.convert(mode) if mode != "P" else image.quantize(4))))
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] != 255).any(axis=-1).all()


def test_half_transparent_pixels_are_mixed_with_white():
    found = read_image(Image.new("RGBA", (8, 8), (0, 0, 0, 128)))
    assert abs(found.getpixel((3, 3))[0] - 127) <= 1


def test_cmyk_keeps_its_colours():
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK")
    for given in (red, encoded(red, "JPEG", quality=95)):
        r, g, b = read_image(given).getpixel((8, 8))
        assert r > 200
        assert max(g, b) < 60


@pytest.mark.parametrize("mode", ["L", "1", "P", "HSV", "YCbCr"])
def test_other_modes_become_rgb(mode, picture):
    found = read_image(picture.convert(mode))
    assert np.array_equal(np.asarray(found), np.asarray(picture.convert(mode).convert("RGB")))


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data).getpixel((2, 2)) == (255, 0, 0)
    assert [frame.getpixel((2, 2)) for frame in read_frames(data)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_floats_and_truth_values_are_scaled():
    assert read_image(np.full((8, 8, 3), 0.5)).getpixel((0, 0)) == (128, 128, 128)
    assert read_image(np.ones((8, 8), bool)).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(np.full((8, 8, 3), 200.0)).getpixel((0, 0)) == (200, 200, 200)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (b"", "empty"),
        (b"no picture at all", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
        (bomb(30_000, 30_000), "too large"),
        (bomb(10_000, 9_500), "pixels"),
        (encoded(Image.new("RGB", (1, 1))), "each side"),
        (encoded(Image.new("RGB", (200, 1))), "each side"),
        (np.zeros((3, 8, 8), np.uint8), "channels last"),
        (np.zeros((8,), np.uint8), "shape"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
        (np.full((8, 8), np.nan), "finite"),
        (np.full((8, 8), -1), "finite"),
        (np.full((8, 8, 3), 1e6), "65535"),
        (42, "Got int"),
        ("/there/is/no/such.png", "does not exist"),
        ("/", "folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "given",
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_gets_its_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_image(given)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_that_was_cut_off_gets_its_sentence(kind, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    data = encoded(noise, kind)
    for share in (0.02, 0.3, 0.8):
        path = tmp_path / f"cut{share}"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match=r"damaged or cut off|not an image"):
            read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_bytes_never_raise_anything_but_a_sentence():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8))
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        data = encoded(noise, kind)
        for _ in range(60):
            hurt = bytearray(data)
            for place in rng.integers(0, len(data), 8):
                hurt[place] = rng.integers(0, 256)
            try:
                assert read_image(bytes(hurt)).mode == "RGB"
            except ValueError as error:
                assert len(str(error)) > 10


def test_an_empty_file_and_a_large_image_object(tmp_path):
    (tmp_path / "none.png").write_bytes(b"")
    with pytest.raises(ValueError, match="0 bytes"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="Scale it down"):
        read_image(Image.new("1", (10_000, 10_000)))


def test_frames_come_from_lists_arrays_and_folders(picture, tmp_path):
    for number, angle in enumerate((0, 180)):
        picture.rotate(angle).save(tmp_path / f"{number}.png")
    clip = np.stack([np.asarray(picture), np.asarray(picture.rotate(180))])
    for given in ([picture, picture.rotate(180)], clip, tmp_path):
        frames = read_frames(given)
        assert np.array_equal(np.stack([np.asarray(frame) for frame in frames]), clip)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "at least one frame"),
        (np.zeros((8, 8, 3), np.uint8), "frames, height"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "one size"),
        (np.zeros((MAX_FRAMES + 1, 8, 8, 3), np.uint8), "Give fewer"),
    ],
)
def test_what_is_no_video_gets_its_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_frames(given)
