"""Write scenes as a COCO-style folder, so that they are a data set like anybody's."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from world.captions import caption
from world.hallucination import POPE_KINDS, pope_questions
from world.rendering import Rendering, render
from world.scenes import Scene
from world.vocabulary import BACKGROUND_CATEGORIES, CATEGORIES, background_of


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths: columns first, starting with the zeros.

    >>> run_lengths(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': [2, 2]}
    """
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + lengths}


def from_run_lengths(rle: dict[str, list[int]]) -> np.ndarray:
    """The mask that `run_lengths` wrote."""
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(rle["size"], order="F")


def _instances(scene: Scene, drawn: Rendering, image_id: int, first_id: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for index, item in enumerate(scene.objects):
        box = drawn.box(index)
        if box is None:
            continue
        left, top, right, bottom = box
        mask = drawn.mask(index)
        found.append(
            {
                "id": first_id + len(found),
                "image_id": image_id,
                "category_id": CATEGORIES.index(item.category) + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": run_lengths(mask),
                "colour": item.colour,
                "texture": item.texture,
            }  # fmt: skip
        )
    return found


def _pope_lines(scene: Scene, name: str, kind: str, seed: list[int]) -> list[str]:
    asked = pope_questions(scene, kind, np.random.default_rng(seed))
    return [json.dumps({"image": name, "text": q.text, "label": q.answer}) for q in asked]


def export_coco(scenes: Iterable[Scene], folder: Path, size: int = 384, seed: int = 0) -> Path:
    """Write `images/`, `annotations.json` (instances and captions) and `pope_<kind>.jsonl`.

    Args:
        scenes: what to draw.
        folder: where to; it is made if it is not there.
        size: pixels along the side of each picture.
        seed: for the choice of the questions.

    Returns:
        The path of `annotations.json`.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, instances, captions = [], [], []
    pope: dict[str, list[str]] = {kind: [] for kind in POPE_KINDS}
    for number, scene in enumerate(scenes, 1):
        drawn, name = render(scene, size), f"{number:06d}.png"
        Image.fromarray(drawn.image).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": size, "height": size, "background": scene.background})
        instances += _instances(scene, drawn, number, len(instances) + 1)
        captions.append({"id": number, "image_id": number, "caption": caption(scene)})
        for kind, lines in pope.items():
            lines += _pope_lines(scene, name, kind, [seed, number, POPE_KINDS.index(kind)])
    for kind, lines in pope.items():
        (folder / f"pope_{kind}.jsonl").write_text("".join(line + "\n" for line in lines))
    path = folder / "annotations.json"
    path.write_text(json.dumps(_document(images, instances, captions)))
    return path


def _document(images: list, instances: list, captions: list) -> dict[str, object]:
    categories = [{"id": number, "name": name, "supercategory": background_of(name)} for number, name in enumerate(CATEGORIES, 1)]
    info = {"description": "Scenes of the small world", "backgrounds": list(BACKGROUND_CATEGORIES)}
    return {"info": info, "images": images, "annotations": instances, "captions": captions, "categories": categories}
