"""Why does it hallucinate?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.lessons.tour import Step, Tour
from ui.results.lessons import Outcome, log_probability, verdicts

if TYPE_CHECKING:
    from ui.results.answering import Answered
    from ui.results.lessons import Here

_BASE, _TUNED = "bundled:lvlm", "bundled:lvlm-tuned"
_START = {"model": _BASE, "image": "scene:5", "ask": "what is in the picture?"}
_ASK = "Ask the model what is in the picture first: the page Ask does so when it opens."


def _word(here: Here, wanted: str) -> Outcome:
    found = verdicts(here)
    if here.answered is None:
        return Outcome(False, _ASK)
    number = here.chosen.word
    if not 0 <= number < len(here.answered.answer.words):
        return Outcome(False, "No word is chosen yet. Click one.")
    text = here.answered.answer.words[number].text
    if number not in found:
        return Outcome(False, f"“{text}” names no thing of the small world.")
    told = "is in the picture" if found[number] == "true" else "is not in the picture"
    return Outcome(found[number] == wanted, f"“{text}”: it {told}.")


def _there(here: Here) -> Outcome:
    return _word(here, "true")


def _made_up(here: Here) -> Outcome:
    return _word(here, "false")


def _unsure(here: Here) -> Outcome:
    import numpy as np

    named = verdicts(here)
    if here.answered is None or not named:
        return Outcome(False, _ASK)
    if here.chosen.word not in named:
        return Outcome(False, "The chosen word names no thing. Click one that does.")
    logs = {number: log_probability(here.answered, number) for number in named}
    least = min(logs.values())
    own = logs[here.chosen.word]
    word = here.answered.answer.words[here.chosen.word].text
    told = f"“{word}” had probability {np.exp(own):.2f}; the least sure of the {len(logs)} things named had {np.exp(least):.2f}."
    return Outcome(own <= least + 1e-6, told)


def _looks_least(here: Here) -> Outcome:
    from ui.results.answering import image_share

    named = verdicts(here)
    if here.answered is None or not named:
        return Outcome(False, _ASK)
    if here.chosen.word not in named:
        return Outcome(False, "The chosen word names no thing. Click one that does.")
    shares = {number: image_share(here.answered.answer, number) for number in named}
    own, least = shares[here.chosen.word], min(shares.values())
    word = here.answered.answer.words[here.chosen.word].text
    verdict = "true" if named[min(shares, key=lambda n: shares[n])] == "true" else "made up"
    told = f"“{word}” gave {own:.1%} of its attention to the picture, the least of all {least:.1%}; that word is {verdict}."
    return Outcome(own <= least + 1e-9, told)


def _honest(here: Here) -> Outcome:
    if here.answered is None or here.answered.model.name == _BASE:
        return Outcome(False, f"{_BASE} still answers. Choose another model that answers questions, and open Ask.")
    if here.load is None or here.answered.model.name != here.model.name:
        return Outcome(False, _ASK)
    before = verdicts(here, _asked_again(here, _BASE))
    wrong, left = (sum(v == "false" for v in found.values()) for found in (before, verdicts(here)))
    told = f"On {here.picture.title}, {_BASE} names {wrong} things that are not there, {here.model.name} {left}."
    return Outcome(wrong > 0 and left == 0, told)


def _held_together(here: Here) -> Outcome:
    other = here.values.get("other-model")
    if here.page != "compare-compare" or {here.model.name, other} != {_BASE, _TUNED}:
        return Outcome(False, f"On Compare, hold {_BASE} against {_TUNED}; what differs is the model.")
    one, two = (_asked_again(here, name) for name in (_BASE, _TUNED))
    same = one.answer.text == two.answer.text
    told = f"On {here.picture.title} they say {'the same' if same else 'different things'} about what is in the picture."
    return Outcome(not same, told)


def _asked_again(here: Here, name: str) -> Answered:
    from model_adapters.decoding import Greedy
    from ui.results.answering import answered

    assert here.load is not None
    return answered(here.load(name), [here.picture], _START["ask"], longest=32, decoding=Greedy())


TOUR = Tour(
    name="words",
    title="Why does it hallucinate?",
    question="Where does a word come from that nothing in the picture supports?",
    minutes=25,
    steps=(
        Step(
            title="A word and its place",
            text="The model answers word by word. For each word there is a map of where it looked.",
            task="Click a word that names something that is in the picture.",
            hint="Compare the words with the picture in the sidebar. Words such as “a” name nothing.",
            page="words/ask",
            check=_there,
            settings=_START,
        ),
        Step(
            title="A word without a place",
            text="It was trained on scenes in which things go together: boats lie in the sea. So it may say boat because there"
            " is a sea.",
            task="Click a word that names something that is not in the picture.",
            hint="Go from word to word and look for each thing. If everything is there, another scene may tempt it more.",
            page="words/ask",
            check=_made_up,
            settings=_START,
        ),
        Step(
            title="Was it sure?",
            text="Each word had a probability. A word that was only just chosen deserves more doubt; but a model can be sure "
            "and wrong.",
            task="Of the words that name things, choose the one it was least sure of.",
            hint="The inspector of a word tells its probability. Truth shows the same for all words.",
            page="words/truth",
            check=_unsure,
            settings=_START,
        ),
        Step(
            title="Did it look?",
            text="A word made up from habit might look less at the picture. Might: check it.",
            task="Of the words that name things, choose the one that gave the picture the smallest share of its attention.",
            hint="The ribbon under each word shows the shares of picture, question and answer.",
            page="words/ask",
            check=_looks_least,
            settings=_START,
        ),
        Step(
            title="Take the habit away",
            text="The same model was trained a little longer on scenes in which anything goes with anything.",
            task="Choose a model that names nothing false on this picture, and ask it.",
            hint="It is in the sidebar: the LVLM that was tuned on unbiased scenes. It is no angel on every picture.",
            page="words/ask",
            check=_honest,
            settings=_START,
        ),
        Step(
            title="What did the training change?",
            text="Compare shows both answers and, map by map, where they look differently.",
            task=f"On Compare, hold {_BASE} against {_TUNED} on a picture where they say different things.",
            hint="“What differs” is the model. Change the picture in the sidebar until words are marked.",
            page="compare/compare",
            check=_held_together,
            settings={**_START, "differs": "model"},
            reads=("differs", "other-model"),
        ),
    ),
)
