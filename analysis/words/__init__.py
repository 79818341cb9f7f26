"""Reading the answers of large vision-language models, word by word.

`answer_of(ma.generate(model, inputs), ma.asked(model, inputs))` makes an `Answer` of a generation, `answer_in` one of a pass
over prompt and answer (`ma.reread`); methods take it and a word: `word_map(answer, "dog")`.
"""

from analysis.words import (
    encoder_decoder,
    exit_curve,
    group_flow,
    image_heads,
    knockout,
    logit_lens,
    patch_importance,
    path_vote,
    permutation,
    visual_heads,
    visual_sinks,
    word_confidence,
    word_maps,
    word_relevance,
    word_shares,
)
from analysis.words.answer import GROUPS, Answer, answer_in, answer_of
from analysis.words.offers import offered
from analysis.words.runs import AnswerRun, answer_runner, hidden_image, word_scorer
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
    "hidden_image",
    "image_heads",
    "knockout",
    "logit_lens",
    "mentions",
    "offered",
    "patch_importance",
    "path_vote",
    "permutation",
    "visual_heads",
    "visual_sinks",
    "word_confidence",
    "word_maps",
    "word_relevance",
    "word_scorer",
    "word_shares",
    "words_of",
]
