"""The first answer of the server: Streamlit's own page, told where the server is.

On a deep link the page would look for its server below the link first, and put two errors into the console when it is
not there. All pages of the app lie side by side, so the server is where the link's folder is.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route
from streamlit.file_util import get_static_dir

from ui.frame_pages import SECTIONS, address

_TITLE = "<title>Streamlit</title>"
_OURS = (
    '<title>Headlight</title>\n    <script>window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href }</script>'
)


@lru_cache(maxsize=1)
def page() -> str:
    """The page as the browser gets it."""
    return (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8").replace(_TITLE, _OURS)


def _index(request: Request) -> HTMLResponse:
    return HTMLResponse(page(), headers={"Cache-Control": "no-cache"})


def _to_root(request: Request) -> RedirectResponse:
    return RedirectResponse(f"./?{query}" if (query := request.url.query) else "./")


_FIRST, *_OTHERS = [address(path) for listed in SECTIONS.values() for path, *_ in listed]
ROUTES: list[Route] = [
    Route("/", _index, methods=["GET"]),
    # The first page is the root; under its own name Streamlit does not find it.
    Route(f"/{_FIRST}", _to_root, methods=["GET"]),
    *(Route(f"/{name}", _index, methods=["GET"]) for name in _OTHERS),
]
"""For `st.App(routes=...)`: the root and every page."""
