"""Reading the answers of large vision-language models, word by word.

asked = ma.asked(model, inputs)
answer = answer_of(ma.generate(model, inputs), asked)
word_map(answer, "dog")
"""

from analysis.words import (
    encoder_decoder,
    exit_curve,
    group_flow,
    knockout,
    logit_lens,
    visual_heads,
    word_confidence,
    word_maps,
    word_relevance,
    word_shares,
)
from analysis.words.answer import GROUPS, Answer, answer_in, answer_of
from analysis.words.runs import AnswerRun, answer_runner
from analysis.words.words import Word, mentions, words_of

__all__ = [
    "GROUPS",
    "Answer",
    "AnswerRun",
    "Word",
    "answer_in",
    "answer_of",
    "answer_runner",
    "encoder_decoder",
    "exit_curve",
    "group_flow",
    "knockout",
    "logit_lens",
    "mentions",
    "visual_heads",
    "word_confidence",
    "word_maps",
    "word_relevance",
    "word_shares",
    "words_of",
]
