"""Reading and writing zips of JSON, arrays and pictures, trusting nothing that is read."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

import numpy as np

MAX_FILE = 64 * 2**20
"""Bytes of the whole zip."""
MAX_UNPACKED = 512 * 2**20
"""Bytes of all members together."""
MAX_MEMBERS = 1024
MAX_JSON = 8 * 2**20
MAX_SIDE = 16384
"""Pixels of a picture's longer side."""
_RATIO = 1030
"""What deflate can reach at most (1032): a member that claims more lies about its size."""
_DTYPES = {"|u1", "<f4", "<i4", "<f8", "<i8"}


class Archive:
    """A zip opened for reading: members are checked before they are unpacked."""

    def __init__(self, source: str | Path | io.BytesIO) -> None:
        size = len(source.getbuffer()) if isinstance(source, io.BytesIO) else Path(source).stat().st_size
        if size > MAX_FILE:
            raise ValueError(f"This file has {size / 2**20:.0f} MB; session files have at most {MAX_FILE // 2**20} MB.")
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise ValueError(f"This is not a session file, or it was cut off: {error}.") from error
        try:
            self._names = checked_members(self._zip)
        except ValueError:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def bytes(self, name: str) -> bytes:
        """A member's bytes."""
        if not isinstance(name, str) or name not in self._names:
            raise ValueError(f"This session file lacks {name!r}. It holds {len(self._names)} files.")
        return member_bytes(self._zip, name)

    def json(self, name: str) -> dict[str, Any]:
        """A member as a JSON object."""
        data = self.bytes(name)
        if len(data) > MAX_JSON:
            raise ValueError(f"{name} has {len(data) / 2**20:.0f} MB; at most {MAX_JSON // 2**20} MB are read.")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"This session file is damaged: {name} is not JSON.") from error
        if not isinstance(found, dict):
            raise ValueError(f"This session file is damaged: {name} holds no JSON object.")
        return found

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """A member NPZ as arrays, by name; plain numbers only."""
        data = self.bytes(name)
        try:
            inner = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise ValueError(f"This session file is damaged: {name} is no NPZ.") from error
        with inner:
            names = checked_members(inner)
            return {n.removesuffix(".npy"): array_of(member_bytes(inner, n), f"{name}/{n}") for n in names}


def checked_members(archive: zipfile.ZipFile) -> set[str]:
    """The names of a zip's members, if none of them is dangerous."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise ValueError(f"This zip has {len(infos)} files; session files have at most {MAX_MEMBERS}.")
    if sum(info.file_size for info in infos) > MAX_UNPACKED:
        raise ValueError(f"This zip would unpack to more than {MAX_UNPACKED // 2**20} MB and was not opened.")
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise ValueError("This zip holds two files of one name and was not opened.")
    for info in infos:
        _check_member(info)
    return set(names)


def _check_member(info: zipfile.ZipInfo) -> None:
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename or info.is_dir():
        raise ValueError(f"This zip names a path that no session file has: {info.filename!r}. It was not opened.")
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted; session files are not.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed in a way that session files do not use.")
    if info.file_size > _RATIO * max(info.compress_size, 1):
        raise ValueError(f"{info.filename} claims to unpack to {info.file_size} bytes, more than its packed size allows.")


def member_bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes; never more than its header says."""
    info = archive.getinfo(name)
    try:
        with archive.open(info) as member:
            data = member.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
        raise ValueError(f"This session file is damaged: {name} cannot be unpacked ({error}).") from error
    if len(data) != info.file_size:
        raise ValueError(f"This session file is damaged: {name} has not the size that the zip says.")
    return data


def array_of(data: bytes, name: str) -> np.ndarray:
    """An NPY's array: plain numbers only, and exactly as many as its header says."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise ValueError(f"This session file is damaged: {name} is no array of numbers.") from error
    if dtype.str not in _DTYPES or fortran or any(side < 0 for side in shape):
        raise ValueError(f"{name} holds {dtype}; session files hold uint8, int32, int64, float32 and float64.")
    rest = data[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"This session file is damaged: {name} claims shape {shape} and holds {len(rest)} bytes.")
    return np.frombuffer(rest, dtype).reshape(shape)


def pack_arrays(**arrays: np.ndarray) -> bytes:
    """An NPZ, not compressed (the zip around it is), the same bytes for the same arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), array_bytes(array))
    return stream.getvalue()


def array_bytes(array: np.ndarray) -> bytes:
    """The array as NPY, in C order."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the header of a PNG or JPEG."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        size = struct.unpack(">II", data[16:24])
    elif data.startswith(b"\xff\xd8"):
        size = _jpeg_size(data)
    else:
        raise ValueError("The picture is neither PNG nor JPEG.")
    if not all(0 < side <= MAX_SIDE for side in size):
        raise ValueError(f"The picture says it has {size[0]} x {size[1]} pixels; sides of 1 to {MAX_SIDE} are read.")
    return size[0], size[1]


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    raise ValueError("The picture is a damaged JPEG: it does not say its size.")


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """A header and arrays in one answer for the browser: magic, header length, JSON, then each array at a multiple of 8."""
    placed: dict[str, Any] = {}
    blobs, at = [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        placed[name] = {"dtype": array.dtype.name, "shape": array.shape, "at": at}
        blobs += [data, b"\0" * (-len(data) % 8)]
        at += len(data) + (-len(data) % 8)
    text = json.dumps({**header, "arrays": placed}, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([b"HLV1", struct.pack("<I", len(text)), text, *blobs])
