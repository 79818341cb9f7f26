"""The places of all attention rows of a tower, measured by dyeing pixels: no block, grid or token layout is known.

One pass with everything dyed lists the sites; stripes of dye along each axis then give every row a code, and the code an
interval. Where boxes come out overlapping or gappy, exact thresholds are used instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import nn

from model_adapters.errors import AdapterError
from model_adapters.geometry.canvas import EVERYTHING, NOTHING, PADDING, Canvas, Stain, image_canvas
from model_adapters.geometry.codes import stripes, thresholds
from model_adapters.geometry.dye import Dye
from model_adapters.geometry.likeness import Form, repeated
from model_adapters.geometry.marks import enliven
from model_adapters.geometry.places import SitePlaces, judged, merges, said_merged
from model_adapters.geometry.reader import Reader, element_wise
from model_adapters.geometry.records import Key, Seen, joined

Run = Callable[[torch.Tensor], object]
_PIXELS_PER_PASS = 24 * 224 * 224
_CELLS = 128
"""Cells per axis, at most."""
_BROKEN = (ValueError, RuntimeError, TypeError, LookupError, AttributeError, AssertionError)
"""What a model raises that cannot deal with its input."""


def pixel_places(
    root: nn.Module, run: Run, size: tuple[int, int], *, channels: int = 3, frames: int | None = None,
) -> dict[Key, SitePlaces]:  # fmt: skip
    """Where the queries, keys and values of every attention site lie on the processed image.

    Args:
        root: the module whose dotted names tell the sites.
        run: runs the tower on pixels [N, C, H, W] ([N, T, C, H, W] with `frames`), for any N.
        size: (height, width) of the processed image.
        channels: colour channels.
        frames: how many frames a video tower takes.

    Returns:
        Per site (module name, call number in one forward pass) the places of its rows, in pixels of the processed image.
    """
    parameter = next((p for p in root.parameters() if p.is_floating_point()), torch.empty(0))
    canvas = image_canvas(size, channels=channels, frames=frames, device=parameter.device, dtype=parameter.dtype)
    return canvas_places(root, run, canvas)


def canvas_places(root: nn.Module, run: Run, canvas: Canvas) -> dict[Key, SitePlaces]:
    """The same for any canvas: packed patches, several tiles, frames."""
    with evaluating(root):
        try:
            return Sweep(root, run, canvas).places()
        except AdapterError:
            if not canvas.stacks:
                raise
            return Sweep(root, run, replace(canvas, stacks=False)).places()


@contextmanager
def evaluating(root: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and every module's own mode again afterwards."""
    training = [module for module in root.modules() if module.training]
    root.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@dataclass
class Sweep:
    """One measurement of a tower."""

    root: nn.Module
    run: Run
    canvas: Canvas
    inherit: bool = False
    padded: bool = False
    until: Key | None = None
    floor: int = 0
    """The smallest unit, where tokens are smaller than any."""
    mixed: frozenset[Key] = frozenset()
    """Sites whose rows are channels."""

    def places(self) -> dict[Key, SitePlaces]:
        """Scout, choose the unit of the dye, dye in stripes, and again with thresholds where boxes are irregular."""
        sites = self._scout()
        if not any(seen.reached for seen in sites.values()):
            raise AdapterError(f"No attention of {type(self.root).__name__} depends on the image it was given.")
        self.until = list(sites)[-1]
        self.mixed = frozenset(key for key, seen in sites.items() if seen.mixed)
        unit = self._unit(sites)
        padding = self._padding()
        found = self._measured(unit, padding, stripes)
        while unit > self._lowest and any(merges(place) for key, place in found.items() if self.inside(key)):
            unit = max(self._lowest, unit // 2)
            found = self._measured(unit, padding, stripes)
        found = self._joined_calls(found)
        irregular = [] if self.canvas.packed else [key for key, place in found.items() if self.inside(key) and _irregular(place)]
        if irregular:
            finest = max(self._lowest, math.ceil(max(self.canvas.size("y"), self.canvas.size("x")) / 64))
            self.until = irregular[-1]
            exact = self._joined_calls(self._measured(min(unit, finest), padding, thresholds))
            found |= {key: exact[key] for key in irregular if key in exact}
        # Behind a tower padding is dropped: rows need not cover the image there.
        extent = self.canvas.extent
        found = {k: p if self.inside(k) else judged(p, extent, drop_whole=True) for k, p in found.items()}
        return {key: said_merged(place) if merges(place) else place for key, place in found.items()}

    def _joined_calls(self, found: dict[Key, SitePlaces]) -> dict[Key, SitePlaces]:
        """A module that loops over its windows covers the image in several calls: each may leave gaps."""
        several = {name for name, call in found if call > 0}
        extent = self.canvas.extent
        return {key: judged(place, extent) if key[0] in several else place for key, place in found.items()}

    @cached_property
    def alike(self) -> dict[str, Form]:
        """The modules that have others alike."""
        return repeated(self.root)

    def inside(self, key: Key) -> bool:
        """Whether the dye is made finer where this site's boxes are irregular."""
        return True

    # ---- passes

    def run_on(self, pixels: torch.Tensor) -> None:
        """Run the model; what it makes of dye is its own affair, and where it breaks there are no places."""
        try:
            self.run(pixels)
        except (AdapterError, torch.OutOfMemoryError):
            raise
        except _BROKEN as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise AdapterError(
                f"Places are measured by dyed pictures, and {type(self.root).__name__} does not run on them ({said})."
            ) from error

    def look(self, stains: Sequence[Stain], *, pad: bool = False, look: bool = False) -> dict[Key, Seen]:
        """What the rows of every site show of these dyes."""
        area = self.canvas.size("y") * self.canvas.size("x") * self.canvas.size("z")
        many = max(2, min(24, _PIXELS_PER_PASS // area)) if self.canvas.stacks else 1
        parts = []
        for start in range(0, len(stains), many):
            some = stains[start : start + many]
            with Dye(self.root, len(some), inherit=self.inherit, pad=pad, look=look, until=self.until, alike=self.alike) as dye:
                self.run_on(enliven(self.canvas.painted(some)))
            self.padded |= bool(dye.padders)
            parts.append(dye.seen.sites)
        return joined(parts)

    def _scout(self) -> dict[Key, Seen]:
        """All dyed, nothing dyed, half dyed; decides whether muted attention must hand its dye on."""
        half = Stain("y", np.arange(self.canvas.size("y")) < self.canvas.size("y") // 2)
        plain = self.look([EVERYTHING, NOTHING, half], look=True)
        for (name, _), seen in plain.items():
            if seen.take(np.array([1])).reached:
                raise AdapterError(
                    f"At {name} a clean image shows dye: its rows mix the images of a batch, or it makes NaN by itself."
                )
        self.inherit = True
        heir = self.look([EVERYTHING])
        only = np.array([0])
        self.inherit = any(seen.reached > plain[key].take(only).reached for key, seen in heir.items() if key in plain)
        if not self.inherit:
            return plain
        again = self.look([EVERYTHING, NOTHING, half], look=True)
        return again

    def _padding(self) -> dict[Key, Seen]:
        if not self.padded and not self.canvas.padded:
            return {}
        return self.look([PADDING], pad=True)

    # ---- units

    @property
    def _lowest(self) -> int:
        longest = max(self.canvas.size("y"), self.canvas.size("x"))
        if self.canvas.packed:
            return 1
        return max(4 if longest >= 128 else 1, math.ceil(longest / _CELLS), self.floor)

    def _unit(self, sites: dict[Key, Seen]) -> int:
        height, width = self.canvas.size("y"), self.canvas.size("x")
        finest = 1
        towers = {key: seen for key, seen in sites.items() if self.inside(key)} or sites
        for seen in towers.values():
            if not seen.mixed:
                sides = (seen.queries, seen.keys, seen.values, seen.elements if element_wise(seen) else None)
                finest = max([finest, *(int(side[0].sum()) for side in sides if side is not None)])
        share = math.sqrt(height * width * self.canvas.size("z") / finest) + 1e-6
        fitting = [d for d in range(1, int(share) + 1) if math.gcd(height, width) % d == 0]
        best = max(fitting, default=1)
        unit = best if best > share * 0.6 else max(int(share), 1)
        if unit < self._lowest:  # a cell of several tokens: their edges must be among its edges
            whole = (m for m in range(unit, 2 * self._lowest + 1, unit) if math.gcd(height, width) % m == 0)
            self.floor = next((m for m in whole if m >= self._lowest), 0)
        return max(self._lowest, unit)

    # ---- dyes and decoding

    def _measured(
        self, unit: int, padding: dict[Key, Seen], dyes: Callable[[int], np.ndarray]
    ) -> dict[Key, SitePlaces]:
        axes = {name: self.canvas.size(name) for name in "yxz" if self.canvas.axis(name)}
        units = {name: 1 if name == "z" else unit for name in axes}
        tables = {n: (stripes if n == "z" else dyes)(math.ceil(size / units[n])) for n, size in axes.items()}
        stains = [Stain(name, cells, units[name]) for name, table in tables.items() for cells in table]
        sites = self.look(stains)
        reader = Reader(tables, units, self.canvas.extent)
        return {key: reader.site(seen, padding.get(key), channels=key in self.mixed) for key, seen in sites.items()}


def _irregular(place: SitePlaces) -> bool:
    return any(side.quality == "box" for side in place.sides)
