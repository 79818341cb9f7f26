"""A folder of images with annotations in COCO's format: what is in each image, and what people said of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LISTED = 200
"""How many faults are told one by one; the others are counted."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One image that is there, with its things."""

    file: Path
    name: str
    """As the annotations call it."""
    things: tuple[str, ...]
    """Names of the categories that are annotated, each once, in their order."""
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CocoSet:
    """Images with annotations. What could not be used is told, not hidden."""

    name: str
    images: tuple[AnnotatedImage, ...]
    categories: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Images that are annotated but not in the folder."""
    broken: tuple[str, ...] = ()
    """Records that could not be read, and why."""

    @cached_property
    def counts(self) -> dict[str, int]:
        """In how many images each category is, the most frequent first; equal ones in the order of the categories."""
        found = Counter(thing for image in self.images for thing in image.things)
        return {name: found[name] for name in sorted(self.categories, key=lambda name: -found[name]) if found[name]}

    @cached_property
    def together(self) -> dict[str, tuple[str, ...]]:
        """Per category the others that it shares images with, those that it shares most with first."""
        pairs: dict[str, Counter[str]] = {name: Counter() for name in self.categories}
        for image in self.images:
            for thing in image.things:
                pairs[thing].update(other for other in image.things if other != thing)
        return {name: tuple(sorted(seen, key=lambda other: -seen[other])) for name, seen in pairs.items()}


def read_coco(annotations: Path | str, images: Path | str | None = None, *, captions: Path | str | None = None) -> CocoSet:
    """Read a file of instances and say which of its images are there.

    Args:
        annotations: `instances*.json`, with "images", "annotations" and "categories".
        images: the folder of the images; `images` beside the annotations, or else their own folder, by default.
        captions: `captions*.json`, whose sentences count as annotations for CHAIR; captions inside `annotations` are read too.
    """
    path = Path(annotations)
    document = _document(path)
    folder = _folder(path, images)
    said = _document(Path(captions)).get("annotations") if captions else None
    entries, broken = annotated(document, path.name, captions=said)
    found, missing = [], []
    for name, things, sentences in entries:
        file = folder / name
        if not file.is_file():
            missing.append(name)
            continue
        found.append(AnnotatedImage(file, name, things, sentences))
    if not found:
        count = len(missing)
        raise ValueError(f"none of the {count} images of {path.name} is in {folder}: the first would be {missing[:1] or 'none'}.")
    names = _categories(document, path.name)
    return CocoSet(path.stem, tuple(found), tuple(dict.fromkeys(names.values())), tuple(missing), tuple(_cut(broken)))


def annotated(
    document: dict[str, Any], called: str, captions: Any = None
) -> tuple[list[tuple[str, tuple[str, ...], tuple[str, ...]]], list[str]]:
    """The images of a document: name, things and captions of each, there or not; and the records that are broken.

    Args:
        document: what an annotations file holds.
        called: what to call the document in complaints.
        captions: more sentences, as an annotations file lists them.
    """
    if not isinstance(document, dict):
        raise ValueError(f"{called} holds a {type(document).__name__}, where COCO's format has 'images' and 'annotations'.")
    names = _categories(document, called)
    broken: list[str] = []
    things = _things(document, names, broken)
    said = _captions([document.get("captions"), captions], broken)
    found = _images(document, broken)
    return [(name, tuple(things.get(number, ())), tuple(said.get(number, ()))) for number, name in found], broken


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} is not there: give the path of a file of annotations, such as instances_val2014.json.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} holds no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__}, where COCO's format has 'images' and 'annotations'.")
    return found


def _folder(path: Path, images: Path | str | None) -> Path:
    if images is None:
        beside = path.parent / "images"
        return beside if beside.is_dir() else path.parent
    if not Path(images).is_dir():
        raise ValueError(f"{images} is no folder: give the folder that the images of {path.name} lie in.")
    return Path(images)


def _categories(document: dict[str, Any], called: str) -> dict[Any, str]:
    for part in ("images", "annotations", "categories"):
        if not isinstance(document.get(part), list) or not document[part]:
            there = ", ".join(str(name) for name in document) or "nothing"
            raise ValueError(f"{called} has no {part}: COCO's format lists them under {part!r}. It has {there}.")
    found = {
        entry["id"]: str(entry["name"]).lower().replace("_", " ")
        for entry in document["categories"]
        if isinstance(entry, dict) and {"id", "name"} <= set(entry)
    }
    if not found:
        raise ValueError(f"no category of {called} has both an 'id' and a 'name'.")
    return found


def _things(document: dict[str, Any], names: dict[Any, str], broken: list[str]) -> dict[Any, dict[str, None]]:
    known = {entry.get("id") for entry in document["images"] if isinstance(entry, dict)}
    found: dict[Any, dict[str, None]] = {}
    for place, entry in enumerate(document["annotations"]):
        if not isinstance(entry, dict) or "category_id" not in entry:
            broken.append(f"annotation {place} names no category")
        elif entry["category_id"] not in names:
            broken.append(f"annotation {place} is of category {entry['category_id']!r}, which is not listed")
        elif entry.get("image_id") not in known:
            broken.append(f"annotation {place} is of image {entry.get('image_id')!r}, which is not listed")
        else:
            found.setdefault(entry["image_id"], {})[names[entry["category_id"]]] = None
    return found


def _captions(lists: Iterable[Any], broken: list[str]) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for entries in lists:
        for place, entry in enumerate(entries or ()):
            if not isinstance(entry, dict) or not isinstance(entry.get("caption"), str):
                broken.append(f"caption {place} holds no text")
            else:
                found.setdefault(entry.get("image_id"), []).append(entry["caption"])
    return found


def _images(document: dict[str, Any], broken: list[str]) -> Iterable[tuple[Any, str]]:
    for place, entry in enumerate(document["images"]):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or "id" not in entry:
            broken.append(f"image {place} has no 'id' or no 'file_name'")
        elif Path(name).is_absolute() or ".." in Path(name).parts:
            broken.append(f"image {place} lies outside the folder: {name!r}")
        else:
            yield entry["id"], name


def _cut(broken: list[str]) -> list[str]:
    more = len(broken) - LISTED
    return [*broken[:LISTED], f"and {more} more records"] if more > 0 else broken
