"""A session from what was shown: results become tables and figures, answers become words and views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ui.recording import View
from ui.report_made import bibtex, cited_in, versions
from ui.session_file import Session
from ui.session_file_answer import answer_saved, views_of
from ui.session_file_doubts import Doubts
from ui.session_file_figures import plain_figure
from ui.session_file_parts import About, SavedMap, SavedResult
from ui.take_away.files import columns_of

if TYPE_CHECKING:
    from PIL import Image

    from ui.results.answering import Answered
    from ui.take_away.seen import Seen


@dataclass(frozen=True, eq=False)
class Chosen:
    """What of the visit is to be kept."""

    results: Sequence[Seen] = ()
    views: Sequence[View] = ()
    answers: Sequence[tuple[About, Answered, tuple[View, ...]]] = ()
    """What it is, the answer, and the views in which its words were shown; made anew where there are none."""
    doubts: Mapping[int, Doubts] = field(default_factory=dict)
    """Number of an answer -> how far its words were doubted."""


def session_of(
    title: str,
    chosen: Chosen,
    picture: Callable[[str], Image.Image],
    *,
    link: str = "",
    models: Mapping[str, Any] | None = None,
) -> Session:
    """What was chosen, ready to be written.

    Args:
        title: of the session.
        chosen: what is kept.
        picture: the image of an id, for maps that lie over it.
        link: the address below the app.
        models: name -> weights and hash.
    """
    views = list(chosen.views)
    answers = []
    for number, (about, found, shown) in enumerate(chosen.answers):
        readable = len(found.answer) > 0 and bool(found.pictures)
        place = len(views) if readable else None
        answers.append(answer_saved(about, found.text, found.answer, place, chosen.doubts.get(number)))
        views += (shown or views_of(about, found)) if readable else []
    kept = [_cited(seen) for seen in chosen.results]
    maps = tuple(_map(seen, picture(seen.about.picture)) for seen in kept if _is_map(seen))
    results = tuple(_result(seen) for seen in kept if not _is_map(seen))
    keys = [key for seen in kept for key in seen.about.cites] + [key for each in answers for key in each.about.cites]
    return Session(
        title, tuple(views), tuple(answers), maps, results, link,
        {"day": date.today().isoformat(), "versions": versions(), "models": dict(models or {})}, bibtex(keys),
    )  # fmt: skip


def _cited(seen: Seen) -> Seen:
    return replace(seen, about=replace(seen.about, cites=seen.about.cites or cited_in(seen.about.snippet)))


def _is_map(seen: Seen) -> bool:
    from analysis.results import TokenMap

    return isinstance(seen.result, TokenMap)


def _map(seen: Seen, image: Image.Image) -> SavedMap:
    from ui.viewer.from_capture import map_of

    return SavedMap(_result(seen), map_of(seen.result, image, title=seen.about.title), seen.sentence, seen.numbers)


def _result(seen: Seen) -> SavedResult:
    figure = seen.drawn()
    return SavedResult(seen.about, _columns(seen.result), None if figure is None else plain_figure(figure))


def _columns(result: Any) -> dict[str, Any]:
    """Its flat table; a result that has none is kept as its figure alone."""
    try:
        return columns_of(result)
    except TypeError:
        return {}


def titles(seen: Iterable[Seen]) -> list[str]:
    """What to call pictures in a list: each once, told apart by model and picture."""
    return [" · ".join(filter(None, (each.about.title, each.about.model, each.about.picture))) for each in seen]
