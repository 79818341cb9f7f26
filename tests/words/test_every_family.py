"""Every method of answers on every family: it runs, or it is refused and `offered` knew it."""

from __future__ import annotations

import inspect
from functools import cache

import numpy as np
import pytest

import model_adapters as ma
from analysis.registry import METHODS
from analysis.signals import picture_views
from analysis.words import Answer, answer_in, answer_runner, hidden_image, offered
from analysis.words.encoder_decoder import encoder_attention
from analysis.words.visual_sinks import visual_sinks
from analysis.words.word_relevance import target_of
from tests.words.told import Told, at, told

FAMILIES = ("bundled:lvlm", "llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "internvl", "instructblip", "paligemma")
KINDS = ("word", "signal")
TAUGHT = {"combined_score"}
"""Works on a table of many answers."""
TWO_HOPS = {"two_hop_word_map", "two_hop_relevance"}
FEW: dict[str, dict[str, int]] = {"patch_importance": {"grid": 2, "draws": 2}}
"""Of what takes many passes, a few."""
NAMES = sorted(m.name for m in METHODS.values() if m.kind.startswith(KINDS) and m.name not in TAUGHT)


@cache
def everything(name: str) -> dict[str, object]:
    """All that any method may ask for, by the names of their arguments."""
    case = told(name)
    model, word = case.model, at(0)
    token, position = target_of(case.answer, word)
    capture = ma.reread(
        model, case.inputs, case.generation, want={"hidden", "values", "heads", "gradients"}, target=ma.Token(token, position)
    )
    answer = answer_in(capture, case.ids, case.asked)
    prompt = ma.capture(model, case.inputs)
    blind = answer_in(ma.reread(model, case.inputs, case.ids, edits=hidden_image(answer), want={"heads"}), case.ids, case.asked)
    sinks = visual_sinks(answer, (1, 2), tau=1.5)
    picture = np.asarray(case.inputs.images[0][0])
    return {
        "answer": answer,
        "word": word,
        "run": answer_runner(ma.run, model, ma.continued(model, case.inputs, case.ids), len(case.ids)),
        "lens": ma.lens(model, case.inputs),
        "neutral": case.answer,
        "blind": blind.logits,
        "noised": blind.logits,
        "views": np.stack([blind.logits, answer.logits]),
        "blind_answer": blind,
        "sinks": sinks,
        "capture": prompt,
        "layouts": prompt.layouts,
        "shown": lambda pictures: pictures.mean((1, 2, 3)),
        "picture": picture_views(picture)[0],
        "encoder": _encoder(prompt, case),
    }


def _encoder(prompt: ma.Capture, case: Told) -> np.ndarray:
    if not case.asked.rows.placed.any():
        return np.full(len(case.asked.rows), np.nan)
    return encoder_attention(prompt, case.asked.rows)


def called(name: str, given: dict[str, object], answer: Answer) -> object:
    function = METHODS[name].function
    given = {**given, "answer": answer}
    if name == "word_map_without_sinks":
        given["sinks"] = given["sinks"].visual  # type: ignore[attr-defined]
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    missing = {p.name for p in parameters if p.default is p.empty} - set(given)
    assert not missing, f"{name} asks for {missing}, which this test does not know"
    return function(**{p.name: given[p.name] for p in parameters if p.name in given}, **FEW.get(name, {}))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_method_runs_where_its_needs_are_met_and_else_says_why(family, name):
    given = everything(family)
    answer = given["answer"]
    # A random model may write bytes that make no word; the word is given by its tokens here.
    there = offered(answer, run=True, pixels=True) | {"text"}
    if METHODS[name].why_not(there) is not None:
        with pytest.raises(ValueError) as refused:
            called(name, given, answer)
        assert len(str(refused.value)) > 30
    elif name in TWO_HOPS and family != "instructblip":
        with pytest.raises(ValueError, match="no learned queries"):
            called(name, given, answer)
    else:
        assert called(name, given, answer) is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_only_learned_queries_lack_places(family):
    there = offered(everything(family)["answer"], run=True, pixels=True)
    assert {"generation", "weights", "values", "heads", "gradients", "hidden", "run", "pixels"} <= there
    assert ("grid" in there) == (family != "instructblip")


@pytest.mark.parametrize("name", NAMES)
def test_a_generation_alone_offers_less_and_the_rest_says_so(name):
    case = told("qwen2_vl")
    given = everything("qwen2_vl")
    there = offered(case.answer, run=True, pixels=True) | {"text"}
    assert not there & {"weights", "hidden", "values", "heads", "gradients"}
    if METHODS[name].why_not(there) is None:
        if name not in TWO_HOPS:
            assert called(name, given, case.answer) is not None
    elif name not in BY_OTHERS:
        with pytest.raises(ValueError, match=r"(?i)read the answer again|needed"):
            called(name, given, case.answer)


BY_OTHERS = {*TWO_HOPS, "encoder_decoder_agreement", "shared_outliers", "image_centric_heads", "sink_map"}
"""What they need is in other arguments, which were made from a whole pass."""
