"""One answer out of many: several views of a picture, several ways to begin, and a vote weighted by certainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import log_softmax
from analysis.words.spelling import Decode, spelled
from analysis.words.word_confidence import margin
from analysis.words.words import Word, words_of
from model_adapters import Generation

Read = Literal["yes or no", "first word", "last word", "all"]
YES_NO = ("yes", "no")
Continue = Callable[[Any, tuple[int, ...]], Generation]
"""(prompt, first tokens of the answer) -> the answer that follows them, with its scores."""


@dataclass(frozen=True)
class Path:
    """One answer that began with a given token before a given view."""

    view: int
    text: str
    said: str
    """What it counts as."""
    probability: float
    """Of the token that it began with."""
    certainty: float
    """The distance of the two likeliest tokens where the word that counts was decided; 1 for what counts unweighted."""


@dataclass(frozen=True)
class PathVote:
    """How views and paths voted."""

    answers: tuple[str, ...]
    """The most votes first."""
    scores: tuple[float, ...]
    """The sum over paths of probability times certainty."""
    paths: tuple[Path, ...]

    @property
    def share(self) -> float:
        """What the first has of all votes."""
        return self.scores[0] / max(sum(self.scores), 1e-12)


@method(
    title="Vote of views and decoding paths",
    kind="vote",
    cites=("qu2024",),
    needs={"generation", "run", "pixels"},
    range="scores 0 and above: at most the number of views",
    misleads="Paths of one view share its look at the picture, and captions of one model its mistakes: they agree too easily.",
)
def path_vote(
    looks: Sequence[Any],
    go_on: Continue,
    decode: Decode,
    *,
    paths: Annotated[int, Range(1, 20)] = 5,
    least: Annotated[float, Range(0, 1)] = 0.001,
    read: Read = "yes or no",
) -> PathVote:
    """Which answer has most votes when each view is answered from each of its likeliest first tokens.

    With `caption_views` and "yes or no" this is MVP: a path that begins with yes or no votes with the probability of that
    token, one that says it later with the probability of its first token times the distance of the two likeliest where it says
    it, and one that says neither for yes, with that of its first token. That follows what the release's script is meant to do,
    which stops at names it never sets; it samples its paths. Other readings weight every path by its certainty; they are ours.

    Args:
        looks: prompts about several views of a picture: those of `caption_views` (MVP), or of pictures cut from it
            (`analysis.signals.picture_views`, ours).
        go_on: answers a prompt behind some tokens, such as `lambda prompt, first: ma.generate(model, ma.continued(model, prompt,
            first) if first else prompt, max_new_tokens=8)`.
        decode: token ids to text: `ma.asked(model, prompt).decode`.
        paths: first tokens that are followed in each view; 5 in the release, 3 in its script.
        least: less likely ones are not, unless they are the yes or no that is read.
        read: what of an answer counts: the first yes or no in it, its first word, its last, or all of it.
    """
    if not len(looks):
        raise ValueError("a vote needs at least one view. Got none.")
    found = [path for view, look in enumerate(looks) for path in _paths(view, look, go_on, decode, paths, least, read)]
    if not found:
        raise ValueError(f"no path of {len(looks)} views said a word; a longer answer, or `least` below {least:g}, may.")
    votes: dict[str, float] = {}
    for path in found:
        votes[path.said] = votes.get(path.said, 0.0) + path.probability * path.certainty
    order = sorted(votes, key=lambda said: -votes[said])
    return PathVote(tuple(order), tuple(votes[said] for said in order), tuple(found))


def _paths(view: int, look: Any, go_on: Continue, decode: Decode, count: int, least: float, read: Read) -> list[Path]:
    plain = go_on(look, ())
    if not plain.tokens:
        return []
    opening = np.asarray(plain.tokens[0].logits, np.float64)
    shares = np.exp(log_softmax(opening))
    found = []
    for token in (int(t) for t in np.argsort(-shares, kind="stable")[:count]):
        if shares[token] < least and not (read == "yes or no" and decode([token]).strip().lower() in YES_NO):
            continue
        rest = plain.tokens[1:] if token == plain.tokens[0].id else go_on(look, (token,)).tokens
        text, spans = spelled([token, *(t.id for t in rest)], decode)
        words = [word for word in words_of(text, spans) if word.kind == "word" and word.steps]
        if words:
            said, certainty = _counted(text, words, [opening, *(t.logits for t in rest)], read)
            found.append(Path(view, text, said, float(shares[token]), certainty))
    return found


def _counted(text: str, words: Sequence[Word], scores: Sequence[np.ndarray], read: Read) -> tuple[str, float]:
    """What a path counts as, and how certain the model was of it."""
    word = words[-1 if read == "last word" else 0]
    if read == "yes or no":
        said = [w for w in words if w.text.lower() in YES_NO]
        if not said or said[0].steps[0] == 0:
            return (said[0].text.lower() if said else "yes"), 1.0
        word = said[0]
    certainty = margin(log_softmax(scores[word.steps[0]]))
    return (" ".join(text.lower().split()) if read == "all" else word.text.lower()), certainty
