"""Where the pictures of a triage come from: drawn scenes, or a folder of one's own, with annotations or without."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.evaluation.coco import CocoSet, read_coco
from analysis.evaluation.names import names_of
from ui import pictures
from ui.pictures import Picture
from ui.results.heads import scene_ids
from ui.results.truth import Known, known_of

if TYPE_CHECKING:
    from model_adapters.decoding import Decoding

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ANNOTATIONS = ("annotations.json", "instances.json")


@dataclass(frozen=True, eq=False)
class Source:
    """One picture of a triage."""

    id: str
    """Names it; of a file it is its path."""
    title: str
    file: Path | None = None
    known: Known | None = None

    def picture(self) -> Picture:
        """Its pixels."""
        if self.file is None:
            return pictures.picture(self.id)
        try:
            data = self.file.read_bytes()
        except OSError as error:
            raise ValueError(f"{self.file} cannot be read: {error.strerror}.") from error
        return pictures.opened(data, self.file.name, self.id)


@dataclass(frozen=True, eq=False)
class Sources:
    """The pictures of one triage."""

    each: tuple[Source, ...]
    about: str
    """Where they come from, for people."""
    notes: tuple[str, ...] = ()
    """What could not be used."""

    @property
    def labelled(self) -> bool:
        """Whether it is known what is on them."""
        return any(source.known is not None for source in self.each)


def of_world(count: int, biased: bool) -> Sources:
    """Drawn scenes that are not offered one by one."""
    ids = scene_ids(count)
    if biased:
        ids = tuple(id.replace("scene:", "biased:") for id in ids)
    each = tuple(Source(id, pictures.title(id), known=known_of(pictures.picture(id))) for id in ids)
    return Sources(each, f"{count} drawn scenes {'with' if biased else 'without'} the bias of training")


def of_folder(given: str, count: int) -> Sources:
    """The first pictures of a folder; with `annotations.json` (COCO's format) in it, or given itself, what is on them is known.

    Args:
        given: path of a folder or of a file of annotations.
        count: how many.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        annotations = next((path / name for name in ANNOTATIONS if (path / name).is_file()), None)
        return _unlabelled(path, count) if annotations is None else _annotated(annotations, count)
    if path.is_file() and path.suffix == ".json":
        return _annotated(path, count)
    raise ValueError(
        f"{given!r} is neither a folder nor a file of annotations on the machine that runs Headlight. A folder with pictures "
        "works, best with annotations.json in COCO's format."
    )


def _unlabelled(folder: Path, count: int) -> Sources:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)
    if not files:
        raise ValueError(f"{folder} holds no picture. Files that end with {', '.join(ENDINGS)} are looked for.")
    each = tuple(Source(str(file), file.name, file) for file in files[:count])
    return Sources(each, f"{len(each)} pictures of {folder.name}")


def _annotated(annotations: Path, count: int) -> Sources:
    found: CocoSet = read_coco(annotations)
    names: Mapping[str, str] = names_of(found.categories)
    each = tuple(
        Source(
            str(image.file), image.name, image.file, Known(frozenset(t.lower() for t in image.things), names, annotations.name)
        )
        for image in found.images[:count]
    )
    left_out = [f"{len(found.missing)} annotated pictures are not in the folder."] if found.missing else []
    return Sources(each, f"{len(each)} pictures of {annotations.parent.name}, labelled by {annotations.name}",
                   (*left_out, *found.broken[:3]))  # fmt: skip


def key_of(given: str) -> str:
    """Names a folder and what lies in it now, for the keys of jobs."""
    path = Path(given).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    told = [f"{file.name} {file.stat().st_mtime_ns}" for file in files if file.exists()]
    return hashlib.sha256("\n".join([str(path), *told]).encode()).hexdigest()[:24]


def snippet(
    model: str, weights: str, text: str, longest: int, decoding: Decoding, source: str, count: int, folder: str = ""
) -> str:  # fmt: skip
    """Python that asks the same of the same pictures and leaves the list in `shown`."""
    made = f"of_folder({folder!r}, {count})" if source == "folder" else f"of_world({count}, {source == 'biased'})"
    chosen = "" if weights == "pretrained" else f", weights={weights!r}"
    names = ", ".join(sorted(set(re.findall(r"\b([A-Z]\w+)\(", repr(decoding)))))
    return "\n".join(
        [
            "import model_adapters as ma", f"from model_adapters.decoding import {names}", "from ui.jobs import Progress",
            "from ui.results.triage import triage", f"from ui.results.triage_sources import {made.partition('(')[0]}", "",
            f"model = ma.load({json.dumps(model)}{chosen})",
            f"found = triage(model, {made}, {text!r}, longest={longest}, decoding={decoding!r}, progress=Progress())",
            'doubt = found.doubt("undecided", None, None)',
            "shown = found.table(found.chosen(doubt, 0.0, things=True, wrong=False), doubt)",
        ]
    )  # fmt: skip
