"""Write the recorded start picture: `python -m ui.viewer.record`. It lets the app show attention before torch is imported."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
from pathlib import Path

from ui.recording import View
from ui.session_file import write_view

START = Path(__file__).resolve().parents[2] / "assets" / "recorded" / "start.zip"
PICTURE = "scene:3"
"""The one that the app begins with."""
LIMIT = 2**20
logger = logging.getLogger(__name__)


def start_view() -> View:
    """The bundled ViT on a drawn scene of the small world, with statistics of its heads."""
    import model_adapters as ma
    from ui.pictures import picture
    from ui.viewer.from_capture import view_of
    from ui.viewer.statistics import statistics_of

    shown = picture(PICTURE)
    model = ma.load("bundled:vit")
    capture = ma.capture(model, model.prepare(shown.image))
    versions = {name: importlib.metadata.version(name) for name in ("torch", "timm", "numpy")}
    return view_of(
        capture, shown.image, title=f"bundled:vit · {shown.title}", statistics=statistics_of(capture),
        meta={"model": "bundled:vit", "picture": PICTURE, "versions": versions},
    )  # fmt: skip


def main() -> None:
    """Write the file and say how large it is."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=START)
    path = parser.parse_args().path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_view(path, start_view())
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{path} has {size} bytes; the start picture may have {LIMIT}.")
    logger.info("%s: %d bytes", path, size)


if __name__ == "__main__":
    main()
