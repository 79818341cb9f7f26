"""Which characters of an answer each of its tokens stands for.

Found by decoding longer and longer beginnings of the answer, so it holds for byte-level, sentencepiece and wordpiece
tokenizers alike and needs no offsets. Tokens that hold parts of one character share its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os.path import commonprefix

import numpy as np

Decode = Callable[[Sequence[int]], str]
"""Token ids to text, special tokens left out."""
UNFINISHED = "\ufffd"
"""What bytes are decoded to that make no character yet."""


def spelled(ids: Sequence[int], decode: Decode) -> tuple[str, np.ndarray]:
    """The text of an answer, and [A, 2] where the characters of each token begin and end in it.

    A token that stands for no character (the end of the answer, say) has an empty place.
    """
    ids = [int(i) for i in ids]
    texts = [decode(ids[:count]) for count in range(1, len(ids) + 1)]
    text = texts[-1] if texts else ""
    # What a beginning shares with the whole is settled, unless a later token changes it after all.
    shared = np.array([len(commonprefix([one, text])) for one in texts], int)
    settled = np.minimum.accumulate(shared[::-1])[::-1]
    spans = np.zeros((len(ids), 2), int)
    waiting: list[int] = []
    before, written = 0, ""
    for step, (end, now) in enumerate(zip(settled, texts, strict=True)):
        spans[step] = before, end
        if end > before:
            spans[waiting] = before, end
            waiting.clear()
        elif now != written or (waiting and now.endswith(UNFINISHED)):
            waiting.append(step)
        before, written = end, now
    return text, spans
