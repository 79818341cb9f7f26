"""An answer as data: its words, what each token was decided by, and where the tokens of its prompt lie.

Made from a `Generation`, or from a capture of prompt and answer in one pass; both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from analysis.words.spelling import Decode, spelled
from analysis.words.words import Word, mentions, words_of
from model_adapters import Capture, Generation, Rows, Site

GROUPS = ("system", "image", "question", "answer")
"""What a token of the sequence belongs to; together they are the whole sequence."""
_SEEN = ("image", "query", "patch", "class", "register", "distillation")
_GROUP_OF = {**dict.fromkeys(_SEEN, "image"), "question": "question", "answer": "answer"}


class Asked(Protocol):
    """What `model_adapters.asked` knows of a prompt."""

    @property
    def rows(self) -> Rows:
        """The tokens of the sequence before the answer."""
        ...

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of each image."""
        ...

    @property
    def decode(self) -> Decode:
        """Token ids to text."""
        ...


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer. Rows of attention are those that its tokens were decided by: row t sees the prompt and tokens before t."""

    text: str
    ids: np.ndarray
    """[A] token ids."""
    spans: np.ndarray
    """[A, 2] the characters of each token."""
    logits: np.ndarray
    """[A, V] the scores that each token was chosen from."""
    sites: tuple[Site, ...]
    """[L] the attentions that run over prompt and answer."""
    rows: tuple[tuple[np.ndarray, ...], ...]
    """[A][L] arrays [H, T + t]; what a sliding cache no longer holds is 0."""
    prompt: Rows
    """[T] the tokens of the prompt."""
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each image."""
    decode: Decode
    """Token ids to text."""
    capture: Capture | None = None
    """The pass over prompt and answer, where there was one."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words and marks in their order."""
        return words_of(self.text, self.spans)

    def word(self, word: Word | int | str) -> Word:
        """A word by itself, by its number among words and marks, or by its text (where it is said first)."""
        if isinstance(word, Word):
            if not word.steps or max(word.steps) >= len(self):
                raise ValueError(f"the word {word.text!r} is not of this answer of {len(self)} tokens: {self.text!r}.")
            return word
        if not self.words:
            raise ValueError(f"the answer holds no word (it has {len(self)} tokens), so there is nothing to read.")
        if isinstance(word, str):
            found = next((w for w in self.words if w.text.lower() == word.lower()), None)
            if found is None:
                raise ValueError(f"{word!r} is not in the answer. Its words are {[w.text for w in self.words][:20]}.")
            return found
        if not -len(self.words) <= word < len(self.words):
            raise ValueError(f"word {word} was asked for, but the answer has {len(self.words)}: {self.text!r}.")
        return self.words[word]

    def mentions(self, names: Mapping[str, str]) -> tuple[Word, ...]:
        """Where things are named; `names` says how a thing may be called and what it then is."""
        return mentions(self.words, names)

    def keys(self, step: int) -> Rows:
        """The rows that token `step` could look at: prompt, and the answer before it."""
        return joined(self.prompt, Rows.plain(["answer"] * step))

    def groups(self, step: int) -> np.ndarray:
        """[T + step] of `GROUPS`: what each key of token `step` belongs to."""
        return np.concatenate([self._prompt_groups, np.full(step, "answer", object)])

    @cached_property
    def _prompt_groups(self) -> np.ndarray:
        return groups_of(self.prompt)

    @cached_property
    def image(self) -> np.ndarray:
        """[T] bool: the tokens of the prompt that hold image; an answer without any is refused."""
        found = self._prompt_groups == "image"
        if not found.any():
            roles = sorted({str(role) for role in self.prompt.roles})
            raise ValueError(
                f"there is no image among the {len(self.prompt)} tokens of this prompt (they are {', '.join(roles)}): either "
                "none was given, or the model sees it through cross attention, beside its sequence."
            )
        return found

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """[A]: of each token, in the model's own distribution."""
        if not len(self):
            return np.zeros(0)
        return log_softmax(self.logits)[np.arange(len(self)), self.ids]

    def hidden(self, layer: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """[T + A, D] float64: the input of a decoder layer; the number of layers names the output of the last one.

        Args:
            layer: which.
            rows: only these of the rows.
        """
        states = {} if self.capture is None else self.capture.hidden
        if ("decoder", layer) not in states:
            raise ValueError(f"hidden states of decoder layer {layer} are needed. There are those of {self.depths}.")
        return np.asarray(states["decoder", layer][rows], np.float64)

    @property
    def depths(self) -> tuple[int, ...]:
        """The decoder layers whose input was kept; the last is the output of the last one. Without any it is refused."""
        found = tuple(sorted(n for tower, n in (self.capture.hidden if self.capture else ()) if tower == "decoder"))
        if not found:
            raise ValueError("hidden states of the decoder are needed. Read the answer again with want={'hidden'}.")
        return found


def answer_of(generation: Generation, asked: Asked) -> Answer:
    """The answer of a generation.

    Args:
        generation: from `generate`, with the rows of the decoder kept.
        asked: from `asked`, of the same prompt.
    """
    ids = np.array([token.id for token in generation.tokens], int)
    text, spans = spelled(ids.tolist(), asked.decode)
    length = len(asked.rows)
    sites = tuple(s for s in generation.sites if generation.tokens[0].weights[s].shape[-1] == length) if len(ids) else ()
    if len(ids) and not sites:
        raise ValueError(
            f"no kept attention runs over the {length} tokens of the prompt. Kept were {[s.name for s in generation.sites][:4]}; "
            "generate with keep=Keep(); a model that reads its prompt otherwise cannot be read here."
        )
    rows = tuple(
        tuple(_whole(token.weights[site], length + step) for site in sites) for step, token in enumerate(generation.tokens)
    )
    logits = np.stack([token.logits for token in generation.tokens]) if len(ids) else np.zeros((0, 0))
    return Answer(text, ids, spans, logits, sites, rows, asked.rows, asked.sizes, asked.decode)


def answer_in(capture: Capture, ids: Sequence[int], asked: Asked) -> Answer:
    """The same answer, read off a pass over prompt and answer.

    Args:
        capture: from `reread`; its sequence ends with the answer. The rows from the last of the prompt on must be kept.
        ids: the tokens of the answer.
        asked: from `asked`, of the same prompt.
    """
    said = np.asarray(ids, int)
    text, spans = spelled(said.tolist(), asked.decode)
    length, whole = len(asked.rows), len(asked.rows) + len(said)
    if capture.logits.ndim != 2 or not len(said) < len(capture.logits) <= whole:
        raise ValueError(
            f"a pass over {whole} tokens of prompt and answer is needed. Got scores of shape {capture.logits.shape}."
        )
    deciding, logits = np.arange(length - 1, whole - 1), capture.logits[len(capture.logits) - 1 - len(said) : -1]
    sites = tuple(s for s in capture.sites if s.tower == "decoder" and capture.shapes[s][1:] == (whole, whole))
    for site in sites:
        if missing := set(deciding.tolist()) - set(np.asarray(capture.rows[site]).tolist()):
            raise ValueError(f"{len(missing)} rows that decided the answer were not kept of {site.name}: Keep(queries='all').")
    rows = tuple(tuple(_seen(capture, site, int(row)) for site in sites) for row in deciding)
    return Answer(text, said, spans, logits, sites, rows, asked.rows, asked.sizes, asked.decode, capture)


def _seen(capture: Capture, site: Site, row: int) -> np.ndarray:
    """[H, row + 1]: what a row gives to itself and the tokens before it; one that looks ahead is refused."""
    weights = capture.weights[site][:, int(np.flatnonzero(np.asarray(capture.rows[site]) == row)[0])]
    ahead = float(weights[:, row + 1 :].sum(-1).max(initial=0))
    if ahead > 1e-4:
        raise ValueError(
            f"row {row} of {site.name} gives {ahead:.2g} of its attention to tokens behind it: the answer was not written so."
        )
    return weights[:, : row + 1]


def groups_of(rows: Rows) -> np.ndarray:
    """[N] of `GROUPS`: begin and padding count to the system, newlines between tiles and learned queries to the image."""
    found = np.array([_GROUP_OF.get(str(role), "system") for role in rows.roles], dtype=object)
    if (found == "image").any():  # else it only stands for an image that is seen through cross attention
        found[rows.roles == "separator"] = "image"
    return found


def joined(first: Rows, second: Rows) -> Rows:
    """Rows one after the other."""
    parts = zip(
        (first.roles, first.boxes, first.image, first.tile, first.frame),
        (second.roles, second.boxes, second.image, second.tile, second.frame),
        strict=True,
    )
    return Rows(*(np.concatenate(pair) for pair in parts))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """[..., V] log-probabilities in float64."""
    scores = np.asarray(scores, np.float64)
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _whole(row: np.ndarray, count: int) -> np.ndarray:
    """[H, count]: a row with zeros for what a sliding cache has dropped; slots that a static cache has not filled are cut."""
    if row.shape[-1] >= count:
        return row[:, :count]
    return np.concatenate([np.zeros((len(row), count - row.shape[-1]), row.dtype), row], axis=-1)
