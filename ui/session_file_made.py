"""A session from what was shown: results become tables and figures, answers become words with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ui.recording import View
from ui.report_made import bibtex, cited_in, versions
from ui.session_file import Session
from ui.session_file_figures import plain_figure
from ui.session_file_parts import About, SavedAnswer, SavedMap, SavedResult, SavedWord
from ui.take_away.files import columns_of

if TYPE_CHECKING:
    from PIL import Image

    from analysis.words import Answer
    from ui.take_away.seen import Seen

ALTERNATIVES = 5


@dataclass(frozen=True, eq=False)
class Chosen:
    """What of the visit is to be kept."""

    results: Sequence[Seen] = ()
    views: Sequence[View] = ()
    answers: Sequence[tuple[About, str, Answer, View | None]] = field(default=())
    """What it is, the question, the answer, and the view that shows its rows."""


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
    views = list(dict.fromkeys([*chosen.views, *(view for *_, view in chosen.answers if view is not None)]))
    answers = [
        answer_saved(about, question, answer, view, None if view is None else views.index(view))
        for about, question, answer, view in chosen.answers
    ]
    kept = [_cited(seen) for seen in chosen.results]
    maps = tuple(_map(seen, picture(seen.about.picture)) for seen in kept if _is_map(seen))
    results = tuple(_result(seen) for seen in kept if not _is_map(seen))
    keys = [key for seen in kept for key in seen.about.cites] + [key for each in answers for key in each.about.cites]
    return Session(
        title, tuple(views), tuple(answers), maps, results, link,
        {"day": date.today().isoformat(), "versions": versions(), "models": dict(models or {})}, bibtex(keys),
    )  # fmt: skip


def answer_saved(about: About, question: str, answer: Answer, view: View | None, place: int | None) -> SavedAnswer:
    """An answer with the numbers of each of its words."""
    from analysis.words.answer import GROUPS
    from analysis.words.word_confidence import word_confidence
    from analysis.words.word_shares import word_shares

    rows = {chip.label: chip.row for chip in view.chips} if view is not None else {}
    words, end = [], 0
    for word in answer.words:
        if word.start > end:
            words.append(SavedWord(answer.text[end : word.start]))
        end = word.end
        if not word.steps:
            words.append(SavedWord(word.text))
            continue
        sure = word_confidence(answer, word, alternatives=min(ALTERNATIVES, answer.logits.shape[1]))
        shares = word_shares(answer, word).parts().values
        words.append(SavedWord(
            word.text, rows.get(word.text, _row(view, word.steps[0])), sure.probability, sure.log_probability,
            sure.alternatives, tuple(map(float, shares)),
        ))  # fmt: skip
    return SavedAnswer(about, question, answer.text, tuple(words), GROUPS, place)


def _row(view: View | None, step: int) -> int | None:
    """The row of the view that decided a token: its rows are the tokens of the answer in their order."""
    if view is None or step >= max(len(layer.queries) for layer in view.layers):
        return None
    return step


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
