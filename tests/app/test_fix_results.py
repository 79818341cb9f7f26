"""What the page Fix computes: passes counted, words aligned, log-probabilities, and figures over pictures."""

from __future__ import annotations

import json
import threading
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import model_adapters as ma
from analysis import words
from analysis.evaluation.chair import chair_figures
from analysis.evaluation.names import mentioned, names_of
from analysis.evaluation.yes_no import yes_no_figures
from model_adapters.answer_cost import answer_cost
from tests.zoo import hf
from tests.zoo.shake import scene
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import fix, fix_measured, fix_snippet
from ui.results.fix import Fix, aligned
from ui.results.fix_measured import Asked, Described, pairs_of
from ui.results.fix_pictures import Wish, pictures_of

TEXT = "describe the picture."


@pytest.fixture(scope="module")
def model():
    return ma.load("bundled:lvlm")


@pytest.fixture(scope="module")
def inputs(model):
    return model.prepare(image=picture("scene:3").array, text=TEXT)


@pytest.fixture(scope="module")
def asked(model, inputs):
    return ma.asked(model, inputs)


def answer(model, inputs, asked, **options):
    return words.answer_of(ma.generate(model, inputs, max_new_tokens=40, **options), asked)


@pytest.mark.parametrize(
    ("name", "first", "each"),
    [("", 1, 1), ("random_heads_silenced", 2, 1), ("visual_contrastive_decoding", 2, 2), ("relevant_regions_added", 3, 2),
     ("vision_heads_reinforced", 2, 1)],
)
def test_passes_are_counted_with_looks_before_and_second_branches(model, inputs, name, first, each):
    hooks = len(model.module.get_submodule("model.language_model.layers.0")._forward_pre_hooks)
    found = answer_cost(model, inputs, max_new_tokens=4, repeats=1, **(Fix(name).keywords(ma.Greedy()) if name else {}))
    assert (found.tokens, found.first_passes, found.token_passes) == (4, first, each)
    assert found.first_seconds > 0 and found.token_seconds > 0
    one = answer_cost(model, inputs, max_new_tokens=1, repeats=1)
    assert one.tokens == 1 and np.isnan(one.token_passes) and np.isnan(one.token_seconds)
    assert len(model.module.get_submodule("model.language_model.layers.0")._forward_pre_hooks) == hooks


def test_work_of_others_is_not_counted(model, inputs):
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            ma.run(model, inputs)

    other = threading.Thread(target=busy)
    other.start()
    try:
        assert answer_cost(model, inputs, max_new_tokens=6, repeats=2).token_passes == 1
    finally:
        stop.set()
        other.join()


def test_words_that_stay_or_only_move_are_the_same_and_others_take_their_place():
    plain = "a red ball , a blue ring and a star .".split()
    other = "a red ball , a star and a green ring .".split()
    found = aligned(plain, other)
    new = [word for word, same in zip(other, found.same, strict=True) if not same]
    assert new == ["green"]
    taken = aligned("a red ball and a star".split(), "a red ring and a star".split())
    assert taken.partner == (0, 1, 2, 3, 4, 5) and taken.same == (True, True, False, True, True, True)
    assert found.partner[other.index("star")] == plain.index("star")
    assert found.of_plain(plain.index("ring")) == other.index("ring")
    gone = aligned(["a", "b"], ["a"])
    assert gone.of_plain(1) is None and gone.partner == (0,)


def test_the_same_words_are_as_many_as_both_answers_share():
    draw = np.random.default_rng(0)
    for _ in range(200):
        one, two = (list(draw.choice(list("abcdeF"), draw.integers(0, 12))) for _ in range(2))
        found = aligned(one, two)
        partners = [p for p in found.partner if p is not None]
        assert len(set(partners)) == len(partners)
        assert all(one[p].lower() == two[n].lower() for n, p in enumerate(found.partner) if found.same[n])
        shared = Counter(w.lower() for w in one) & Counter(w.lower() for w in two)
        assert sum(found.same) == shared.total()


def test_a_fix_that_changes_nothing_leaves_words_and_log_probabilities(model, inputs, asked):
    plain = answer(model, inputs, asked)
    none = answer(model, inputs, asked, **Fix("visual_contrastive_decoding", (("alpha", 0.0),)).keywords(ma.Greedy()))
    assert fix.texts(plain) == fix.texts(none)
    found = fix.word_logs(model, inputs, none, aligned(fix.texts(plain), fix.texts(none)).same)
    assert found.same.all() and found.own == pytest.approx(found.plain, abs=1e-3)
    change = fix.change_of_map(fix.map_of_word(plain, 4), fix.map_of_word(none, 4))
    assert change.signed and np.abs(change.values).max() == 0


def test_log_probabilities_are_those_of_one_pass_per_token(model, inputs, asked):
    fixed = answer(model, inputs, asked, **Fix("vision_heads_reinforced").keywords(ma.Greedy()))
    found = fix.word_logs(model, inputs, fixed, (True,) * len(fixed.words))
    ids, slow = [int(i) for i in fixed.ids], []
    for step, token in enumerate(ids):
        whole = ma.continued(model, inputs, ids[:step]) if step else inputs
        scores = ma.run(model, whole).double()[0, -1].log_softmax(-1)
        slow.append(float(scores[token]))
    by_word = [sum(slow[s] for s in word.steps) for word in fixed.words]
    assert found.plain == pytest.approx(by_word, abs=1e-3)
    assert found.own == pytest.approx([fixed.log_probabilities[list(w.steps)].sum() for w in fixed.words])
    assert found.own.sum() > found.plain.sum()


def test_a_fix_follows_the_decoding_where_it_can():
    sample = ma.Sample(temperature=0.5, seed=3)
    assert Fix("visual_contrastive_decoding").keywords(sample)["decoding"].then == sample
    assert Fix("vision_heads_reinforced").keywords(sample)["decoding"] == sample
    assert isinstance(Fix("over_trust_penalty").keywords(sample)["decoding"], ma.OverTrust)
    assert Fix("sampled", (("temperature", 0.2),)).keywords(ma.Greedy())["decoding"].temperature == 0.2


def test_ranges_end_where_the_model_ends():
    import analysis

    fitted = fix.fitted(analysis.find("vision_heads_reinforced"), depth=6, tokens=144)
    last = next(option for option in fitted.options if option.name == "last")
    assert (last.range.high, last.default) == (6, 6)
    count = next(o for o in fix.fitted(analysis.find("contrast_with_outliers"), depth=6, tokens=4).options if o.name == "count")
    assert (count.range.high, count.default) == (4, 4)


def random_answers():
    draw = np.random.default_rng(1)
    said = ["yes", "no", "No, there is not.", "yes.", "a boat", "well", "I know"]
    asked = [
        Asked(n // 2, "is it?", bool(draw.integers(2)), *(said[i] for i in draw.integers(0, len(said), 2))) for n in range(40)
    ]
    things = ["boat", "star", "ring", "ball"]
    described = []
    for n in range(20):
        one, two = (" and ".join(f"a {things[i]}" for i in draw.integers(0, 4, draw.integers(1, 4))) for _ in range(2))
        described.append(Described(str(n), tuple(draw.choice(things, 2, replace=False)), one, two))
    return described, asked, {name: name for name in things}


@pytest.mark.parametrize("rule", ["official", "strict"])
def test_figures_are_those_of_pope_and_chair_for_each_way(rule):
    described, asked, names = random_answers()
    found = {pair.name: pair for pair in pairs_of(described, asked, names, rule)}
    for way in ("plain", "fixed"):
        said = [getattr(a, way) for a in asked]
        right = yes_no_figures(said, [a.right for a in asked], [a.picture for a in asked], rule)
        texts = [getattr(d, way) for d in described]
        told = chair_figures(texts, [d.there for d in described], [mentioned(t, names) for t in texts], repeats=False)
        for pairs, keys in ((fix_measured._POPE, right), (fix_measured._CHAIR, told)):
            for key, title, *_ in pairs:
                own = getattr(found[title], way)
                same = keys[key]
                assert (own.value, own.low, own.high) == pytest.approx((same.value, same.low, same.high), nan_ok=True), title


def test_changes_are_of_the_same_pictures():
    described, asked, names = random_answers()
    same = [Described(d.name, d.there, d.plain, d.plain) for d in described]
    alike = [Asked(a.picture, a.text, a.right, a.plain, a.plain) for a in asked]
    for pair in pairs_of(same, alike, names, "official"):
        assert (pair.change.value, pair.change.low, pair.change.high) == (0, 0, 0) and not pair.clear
    one = next(p for p in pairs_of(described, asked, names, "official") if p.name == "POPE accuracy")
    assert one.change.value == pytest.approx(one.fixed.value - one.plain.value)
    wide = (one.fixed.high - one.fixed.low) + (one.plain.high - one.plain.low)
    assert 0 < one.change.high - one.change.low < wide


def test_both_ways_answer_the_same_questions_on_the_same_pictures(model):
    wish = Wish(count=2)
    found = fix_measured.measured(model, Fix("visual_contrastive_decoding", (("alpha", 0.0),)), ma.Greedy(), wish, Progress())
    assert [d.name for d in found.described] == ["scene:200", "scene:201"] and len(found.asked) == 4
    assert all(d.plain == d.fixed for d in found.described) and all(a.plain == a.fixed for a in found.asked)
    inputs = model.prepare(image=picture("scene:201").array, text=wish.describe)
    assert found.described[1].plain == ma.generate(model, inputs, max_new_tokens=wish.longest).text
    for part in ("scene:200", wish.describe, "40 tokens", "3 tokens", "greedy", "official", "alpha 0"):
        assert part in found.sentence
    assert all(row["Change"].startswith(("+0", "–")) for row in fix_measured.table_of(found))


def test_a_folder_in_cocos_format_is_asked_about(tmp_path):
    (tmp_path / "images").mkdir()
    names = ["boat", "star", "ring", "ball"]
    things = {1: [1, 2], 2: [3]}
    for number in things:
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / f"{number}.png")
    pairs = [(image, category) for image, own in things.items() for category in own]
    document = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in things],
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(pairs)],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    shown, categories = pictures_of(Wish(source="coco", annotations=str(path), count=2))
    assert categories == tuple(names) and {s.name: s.there for s in shown} == {
        "1.png": {"boat", "star"}, "2.png": {"ring"}
    }  # fmt: skip
    for each in shown:
        assert sorted(right for _, right in each.questions) == [False, True]
        assert all((text.split()[3] in each.there) == right for text, right in each.questions)
    with pytest.raises(ValueError, match="is not there"):
        pictures_of(Wish(source="coco", annotations=str(tmp_path / "none.json")))


@pytest.mark.parametrize("name", ["llava_next", "qwen2_5_vl"])
def test_random_models_of_other_families_are_fixed_or_say_why(name):
    module, processor = hf.build(name)
    other = ma.wrap(module, processor, name=name, kind="lvlm", verify=False)
    given = other.prepare(image=scene(), text="Is there a red ball?")
    told = ma.asked(other, given)
    plain = words.answer_of(ma.generate(other, given, max_new_tokens=4), told)
    worked, refused = [], {}
    for method in ("pay_attention_to_image", "visual_contrastive_decoding", "vision_heads_reinforced", "contrast_with_outliers"):
        try:
            made = ma.generate(other, given, max_new_tokens=4, **Fix(method).keywords(ma.Greedy()))
        except (ma.AdapterError, ValueError) as error:
            refused[method] = str(error)
            continue
        answered = words.answer_of(made, told)
        found = fix.word_logs(other, given, answered, aligned(fix.texts(plain), fix.texts(answered)).same)
        assert np.isfinite(found.own).all() and np.isfinite(found.plain).all()
        worked.append(method)
    assert {"pay_attention_to_image", "visual_contrastive_decoding", "vision_heads_reinforced"} <= set(worked)
    assert all(text.endswith(".") or text.endswith("works.") for text in refused.values()) and set(refused) == {
        "contrast_with_outliers"
    }


def test_snippets_say_what_is_shown():
    asking = fix_snippet.Asking("bundled:lvlm", "pretrained", ("scene:3",), TEXT, 40, ma.Greedy())
    scope: dict = {}
    exec(fix_snippet.fix_snippet(asking, Fix("vision_heads_reinforced", (("alpha", 3.0),)), word=3), scope)
    model = scope["model"]
    given = model.prepare(image=picture("scene:3").array, text=TEXT)
    direct = ma.generate(
        model, given, max_new_tokens=40, **Fix("vision_heads_reinforced", (("alpha", 3.0),)).keywords(ma.Greedy())
    )
    assert scope["generation"].text == direct.text and len(scope["shown"].values) == 144
    exec(fix_snippet.change_snippet(asking, Fix("vision_heads_reinforced", (("alpha", 3.0),)), 3, 4), scope)
    told = ma.asked(model, given)
    fixed, plain = words.answer_of(direct, told), words.answer_of(ma.generate(model, given, max_new_tokens=40), told)
    change = fix.change_of_map(fix.map_of_word(plain, 4), fix.map_of_word(fixed, 3))
    assert np.array_equal(scope["shown"], change.values)
    sampled = fix_snippet.Asking("bundled:lvlm", "pretrained", ("scene:3",), TEXT, 8, ma.Sample(temperature=0.4, seed=1))
    assert "replace" in fix_snippet.fix_snippet(sampled, Fix("visual_contrastive_decoding"))
    assert names_of(["boat"])["boats"] == "boat"
