"""What a capture says of the visual tokens of one prompt: where they are, who attends to them, what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.token_rows import whole_attention_of
from model_adapters import Capture, Layout, Rows, Site

DECODER, VISION = "decoder", "vision"


def why_no_plan(capture: Capture) -> str | None:
    """The sentence that says why no visual token can be dropped here; None where some can."""
    try:
        Reading(capture)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, eq=False)
class Reading:
    """One capture of one prompt, read."""

    capture: Capture

    def __post_init__(self) -> None:
        if not len(self.image):
            raise ValueError(
                "visual tokens are needed in the decoder's own sequence. This prompt has the roles "
                f"{sorted(set(self.rows.roles.tolist()))}: either no image was given, or the model is one of those that read the "
                "image by cross-attention."
            )

    @cached_property
    def sites(self) -> dict[int, Site]:
        """The decoder's self-attention by layer."""
        found = {s.layer: s for s in self.capture.sites if s.tower == DECODER and self.capture.layouts[s].square}
        if not found or sorted(found) != list(range(len(found))):
            raise ValueError(
                f"attention of every decoder layer is needed. The capture has square attention of layers {sorted(found)}."
            )
        return found

    @property
    def depth(self) -> int:
        """How many layers the decoder has."""
        return len(self.sites)

    @cached_property
    def rows(self) -> Rows:
        """[T] the rows of the prompt."""
        return self.capture.layouts[self.sites[0]].keys

    @cached_property
    def image(self) -> np.ndarray:
        """[N] the rows that stand for the image: its patches, or what a connector's queries made of them."""
        patches = self.rows.where("image")
        return patches if len(patches) else self.rows.where("query")

    @cached_property
    def text(self) -> np.ndarray:
        """The rows of the question, which can see all visual tokens."""
        asked = self.rows.where("question")
        asked = asked[asked > self.image.max()]
        if not len(asked):
            raise ValueError("words after the image are needed. This prompt has none; put the image before the question.")
        return asked

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the original image."""
        return self.capture.size or (0, 0)

    @cached_property
    def places(self) -> np.ndarray:
        """[N, 4] the boxes of the visual tokens."""
        boxes = self.rows.boxes[self.image]
        if np.isnan(boxes).any():
            raise ValueError(
                f"visual tokens with places on the image are needed. Of {len(boxes)}, {int(np.isnan(boxes[:, 0]).sum())} have "
                "none; methods that read the decoder's attention work."
            )
        return boxes

    @cached_property
    def tile(self) -> np.ndarray:
        """[N] the number of each visual token's picture and tile, from 0."""
        rows = self.rows.take(self.image)
        return np.unique(np.stack([rows.image, rows.tile], 1), axis=0, return_inverse=True)[1].reshape(-1)

    @cached_property
    def features(self) -> np.ndarray:
        """[N, D] the visual tokens as the decoder gets them."""
        return self.hidden(0)[self.image]

    def attention(self, layer: int) -> np.ndarray:
        """[H, Q, K] attention of a decoder layer."""
        weights = whole_attention_of(self.capture, self.sites[layer])
        if len(weights) != 1:
            raise ValueError(f"a plan is made for one prompt at a time. Got a batch of {len(weights)}.")
        return weights[0].astype(np.float64)

    def hidden(self, layer: int) -> np.ndarray:
        """[T, D] the input of a decoder layer."""
        if (DECODER, layer) not in self.capture.hidden:
            raise ValueError(f"hidden states of decoder layer {layer} are needed; want={{'hidden'}} would keep them.")
        return np.asarray(self.capture.hidden[DECODER, layer], np.float64)

    def vision_site(self, layer: int) -> Site:
        """The vision tower's attention of this layer; negative numbers count from the last."""
        sites = [s for s in self.capture.sites if s.tower == VISION]
        layers = sorted({s.layer for s in sites})
        if not -len(layers) <= layer < len(layers):
            raise ValueError(f"vision layer {layer} was asked for. The capture has {len(layers)} of them.")
        return next(s for s in sites if s.layer == layers[layer])

    @cached_property
    def vision_layers(self) -> int:
        """How many layers the vision tower has."""
        return len({s.layer for s in self.capture.sites if s.tower == VISION})

    def from_class(self, layer: int) -> np.ndarray:
        """[N] the attention that a class token gives what each visual token stands for, mean over heads."""
        site = self.vision_site(layer)
        weights = whole_attention_of(self.capture, site)[0].astype(np.float64)
        return self._on_tokens(site, lambda row, keys: weights[:, row].mean(0))

    def class_products(self, layer: int) -> np.ndarray:
        """[N] the class token's query times each key, before the softmax, mean over heads."""
        site = self.vision_site(layer)
        if site not in self.capture.queries or site not in self.capture.keys:
            raise ValueError(f"queries and keys of {site.name} are needed; want={{'queries'}} would keep them.")
        queries, keys = (np.asarray(a[site], np.float64) for a in (self.capture.queries, self.capture.keys))
        return self._on_tokens(site, lambda row, which: np.einsum("hd,hkd->hk", queries[:, row], keys[:, which]).mean(0))

    def vision_keys(self, layer: int) -> np.ndarray:
        """[N, heads * width] the keys of what each visual token stands for, heads side by side."""
        site = self.vision_site(layer)
        if site not in self.capture.keys:
            raise ValueError(f"keys of {site.name} are needed; want={{'queries'}} would keep them.")
        keys = np.asarray(self.capture.keys[site], np.float64)
        return self._gathered(keys.transpose(1, 0, 2).reshape(keys.shape[1], -1), self.capture.layouts[site].keys)

    def _on_tokens(self, site: Site, scored: object) -> np.ndarray:
        """[N] scores of the vision tower's keys as those of the visual tokens whose boxes hold them."""
        layout: Layout = self.capture.layouts[site]
        classes = layout.queries.where("class")
        if not len(classes):
            raise ValueError("a class token in the vision tower is needed. This one has none; FastV reads the decoder instead.")
        per = len(layout.keys) // layout.windows
        values = np.full(len(layout.keys), np.nan)
        for row in classes:
            window = int(row) // (len(layout.queries) // layout.windows)
            keys = np.arange(window * per, (window + 1) * per)
            values[keys] = scored(int(row), keys)  # type: ignore[operator]
        return self._gathered(values, layout.keys)

    def _gathered(self, values: np.ndarray, keys: Rows) -> np.ndarray:
        """[N, ...] the mean over the keys whose centres lie in each visual token's box, on the same tile."""
        own, centres = self.rows.take(self.image), (keys.boxes[:, :2] + keys.boxes[:, 2:]) / 2
        boxes, found = self.places, np.full((len(self.image), *values.shape[1:]), np.nan)
        for tile in np.unique(self.tile):
            mine = np.flatnonzero(self.tile == tile)
            theirs = np.flatnonzero(keys.placed & (keys.tile == own.tile[mine[0]]) & (keys.image == own.image[mine[0]]))
            low, high = boxes[mine, None, :2] - 1e-3, boxes[mine, None, 2:] + 1e-3
            inside = ((centres[theirs] >= low) & (centres[theirs] <= high)).all(-1)
            count = np.where(inside.any(1), inside.sum(1), np.nan).reshape(-1, *[1] * (values.ndim - 1))
            found[mine] = inside @ values[theirs] / count
        missing = np.isnan(found).reshape(len(found), -1).any(1)
        if missing.any():
            raise ValueError(
                f"{int(missing.sum())} visual tokens hold no patch of the vision tower, so it cannot score them."
            )
        return found
