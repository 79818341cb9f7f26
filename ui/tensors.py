"""The routes that bring attention to the browser, layer by layer, outside of the page's reruns.

Routes do not pass through a session, so an id is a secret: long, random, and forgotten after a while.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ui.map_payload import MapView
from ui.payload import layer_payload, thumbnails
from ui.recording import View

LIMIT_BYTES = 2**29
LIMIT_SECONDS = 2 * 3600.0
LEFT = 8
"""Pictures kept after everybody who looked at them has gone on to another one."""
GONE = "This picture is no longer kept here. Reload the page to see it again."
_HEADERS = {"Content-Encoding": "identity", "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
_PREFIX = "/headlight/v"


@dataclass
class _Held:
    shown: View | MapView
    size: int
    """Bytes in memory."""
    read: float
    packed: dict[str, bytes] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    """Where it is shown now."""
    left: bool = False
    """Whether it was shown, and is no more."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shelf:
    """Views by secret id: the least recently read goes first when there are too many bytes, or too much time passed.

    One that a place of a page showed before it showed another goes sooner: pictures are changed far more often than pages.
    """

    def __init__(
        self,
        limit_bytes: int = LIMIT_BYTES,
        limit_seconds: float = LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_bytes, self._limit_seconds, self._clock = limit_bytes, limit_seconds, clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._ids: dict[int, str] = {}
        self._places: dict[str, str] = {}
        self._lock = threading.Lock()

    def publish(self, shown: View | MapView, place: str = "") -> str:
        """The id under which the routes serve it; the same one for the same object while it is kept.

        Args:
            shown: the view.
            place: one viewer of one visit; it shows this now, and no longer what it showed before.
        """
        with self._lock:
            known = self._ids.get(id(shown))
            if known is None:
                known = secrets.token_urlsafe(16)
                self._held[known] = _Held(shown, _weight(shown), self._clock())
                self._ids[id(shown)] = known
            if place:
                self._show(place, known)
            self._touch(known)
            self._tidy()
            return known

    def held(self, name: str) -> _Held | None:
        """What is kept under an id; reading it keeps it longer."""
        with self._lock:
            self._tidy()
            if name in self._held:
                self._touch(name)
            return self._held.get(name)

    def packed(self, name: str, part: str, make: Callable[[Any], bytes]) -> bytes | None:
        """A part of what is kept, made once."""
        held = self.held(name)
        if held is None:
            return None
        with held.lock:
            if part not in held.packed:
                held.packed[part] = make(held.shown)
                held.size += len(held.packed[part])
        return held.packed[part]

    def _show(self, place: str, name: str) -> None:
        before = self._places.get(place)
        if before is not None and before != name:
            held = self._held[before]
            held.places.discard(place)
            held.left = not held.places
        self._places[place] = name
        self._held[name].places.add(place)
        self._held[name].left = False

    def _touch(self, name: str) -> None:
        self._held[name].read = self._clock()
        self._held.move_to_end(name)

    def _tidy(self) -> None:
        left = [name for name, held in self._held.items() if held.left]
        for name in left[: max(0, len(left) - LEFT)]:
            self._drop(name)
        oldest = self._clock() - self._limit_seconds
        while self._held:
            name, first = next(iter(self._held.items()))
            too_much = sum(held.size for held in self._held.values()) > self._limit_bytes and len(self._held) > 1
            if not too_much and first.read >= oldest:
                return
            self._drop(name)

    def _drop(self, name: str) -> None:
        held = self._held.pop(name)
        del self._ids[id(held.shown)]
        for place in held.places:
            del self._places[place]


def _weight(shown: View | MapView) -> int:
    if isinstance(shown, MapView):
        return len(shown.picture.data) + 20 * len(shown.values)
    floats = sum(layer.heads * len(layer.queries) * layer.keys_per_row for layer in shown.layers)
    return len(shown.picture.data) + (1 if shown.recorded else 4) * floats


SHELF = Shelf()
FIRST_SENT = threading.Event()
"""Set once a browser has got the first small maps: from then on heavy loading delays nobody's first picture."""


def publish(shown: View | MapView, place: str = "") -> str:
    """Put a view where the routes find it. Thread safe; the same view has the same id while it is kept."""
    return SHELF.publish(shown, place)


def url(name: str) -> str:
    """The path under which a published view is served."""
    return f"{_PREFIX}/{name}"


def _answer(data: bytes | None, media_type: str = "application/octet-stream") -> Response:
    if data is None:
        return PlainTextResponse(GONE, 404, headers=_HEADERS)
    return Response(data, headers=_HEADERS, media_type=media_type)


def _part(request: Request, part: str, make: Callable[[Any], bytes], kind: type) -> Response:
    name = request.path_params["name"]
    held = SHELF.held(name)
    if held is not None and not isinstance(held.shown, kind):
        return PlainTextResponse("What was asked for is not part of this picture.", 404, headers=_HEADERS)
    try:
        return _answer(SHELF.packed(name, part, make))
    except ValueError as error:
        return PlainTextResponse(str(error), 404, headers=_HEADERS)


def _layer(request: Request) -> Response:
    number = request.path_params["layer"]
    return _part(request, f"layer {number}", lambda view: layer_payload(view, number), View)


def _thumbs(request: Request) -> Response:
    query = request.query_params.get("query", "mean")[:64]
    held = SHELF.held(request.path_params["name"])
    if held is None:
        return _answer(None)
    if not isinstance(held.shown, View):
        return PlainTextResponse("A single map has no thumbnails.", 404, headers=_HEADERS)
    if query in ("mean", "class"):
        answer = _part(request, f"thumbs {query}", lambda view: thumbnails(view, query), View)
        FIRST_SENT.set()
        return answer
    try:
        return _answer(thumbnails(held.shown, query))
    except ValueError as error:
        return PlainTextResponse(str(error), 404, headers=_HEADERS)


def _map(request: Request) -> Response:
    return _part(request, "map", lambda shown: shown.payload(), MapView)


def _image(request: Request) -> Response:
    held = SHELF.held(request.path_params["name"])
    return _answer(None) if held is None else _answer(held.shown.picture.data, held.shown.picture.mime)


ROUTES: list[Route] = [
    Route(_PREFIX + "/{name:str}/layer/{layer:int}", _layer, methods=["GET"]),
    Route(_PREFIX + "/{name:str}/thumbs", _thumbs, methods=["GET"]),
    Route(_PREFIX + "/{name:str}/map", _map, methods=["GET"]),
    Route(_PREFIX + "/{name:str}/image", _image, methods=["GET"]),
]
"""For `st.App(routes=...)`. Plain functions: the server runs them in threads."""
