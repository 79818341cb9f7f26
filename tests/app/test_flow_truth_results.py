"""What the pages Flow and Truth compute of one answer, held to slow readings, planted truth and closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import model_adapters as ma
import ui.truth_tables  # noqa: F401 (registers tables)
from analysis.words import Word, answer_in
from tests.words.told import model_of
from tests.zoo.shake import scene as random_picture
from ui import pictures, truth_asked, truth_sentences
from ui.figures.flow import bands_figure, lens_grid, patch_words_figure
from ui.figures.truth import places_figure
from ui.jobs import Progress
from ui.pictures import Picture
from ui.results import flow, truth
from ui.results.answering import answered
from ui.take_away.columns import table
from world.rendering import render
from world.signal_evidence import evidence_of
from world.signal_reference import Reference, auroc, measured, reference, references, scenes, world_score, write

FAMILIES = ("bundled:lvlm", "llava_next", "qwen2_5_vl")


def said(name: str, *, longest: int = 6, count: int = 1):
    model = model_of(name)
    if name.startswith("bundled:"):
        shown = [pictures.picture(f"scene:{3 + n}") for n in range(count)]
        return answered(model, shown, "what is in the picture?", longest=40, decoding=ma.Greedy())
    arrays = [np.asarray(random_picture((200, 150 + 40 * n))) for n in range(count)]
    shown = [Picture(f"upload:{n}", "made", array) for n, array in enumerate(arrays)]
    return answered(model, shown, "Is there a red ball?", longest=longest, decoding=ma.Greedy())


@pytest.fixture(scope="module")
def made():
    return said("bundled:lvlm")


@pytest.fixture(scope="module")
def found(made):
    return truth.signals_of(made)


def planted(count: int = 60) -> Reference:
    """One signal that tells, one of noise, one that points the wrong way."""
    rng = np.random.default_rng(3)
    made_up = np.arange(count) % 3 == 0
    values = np.stack([made_up + 0.3 * rng.standard_normal(count), rng.standard_normal(count), -1.0 * made_up], 1)
    values[1, 1] = np.nan
    names = ("low_image_attention", "undecided", "shared_outliers")
    return Reference("m", names, values, made_up, np.arange(count) // 2, ("w",) * count, "planted")


@pytest.mark.parametrize("name", FAMILIES)
def test_means_over_heads_give_the_flow_of_all_heads(name):
    case = said(name)
    read = flow.reading(case, Progress())
    whole = answer_in(ma.reread(case.model, case.inputs, case.generation), case.answer.ids.tolist(), case.asked)
    groups = np.array([*case.answer.groups(0), *["answer"] * len(case.answer)], object)
    for row, site in enumerate(whole.sites):
        weights = np.asarray(whole.capture.weights[site], float).mean(0)
        by_hand = [[weights[groups == a][:, groups == b].sum(1).mean() for b in read.groups.groups if (groups == b).any()]
                   for a in ("image", "answer")]  # fmt: skip
        there = [n for n, b in enumerate(read.groups.groups) if (groups == b).any()]
        np.testing.assert_allclose(read.groups.values[row][[1, 3]][:, there], by_hand, atol=1e-5)
    for who in ("question", "answer", "word"):
        bands = flow.bands(read, who, case.answer.words[0] if case.answer.words else Word("w", 0, 1, (0,), 0))
        np.testing.assert_allclose(bands.shares.sum(1), 1, atol=1e-4)
        assert bands.tokens.sum() == pytest.approx(1)


def test_bands_join_blocks_that_are_as_high_as_their_shares(made):
    read = flow.reading(made, Progress())
    bands = flow.bands(read, "question", made.answer.words[0])
    figure = bands_figure(bands, chosen=read.layers[1])
    bars = [trace for trace in figure.data if trace.type == "bar"]
    np.testing.assert_allclose(np.array([bar.y for bar in bars]).T, bands.shares)
    image = figure.data[bands.groups.index("image")]
    x, y = np.array(image.x), np.array(image.y)
    at_block = y[np.isclose(x, 2.0 - 0.17)]
    assert at_block.max() - at_block.min() == pytest.approx(bands.shares[2, 1], abs=1e-9)
    clicks = next(trace for trace in figure.data if trace.name == "blocks")
    tops = np.cumsum(bands.shares, 1)
    for (layer, group), height in zip(clicks.customdata, clicks.y, strict=True):
        assert (tops[layer, group - 1] if group else 0) <= height + 1e-9 and height <= tops[layer, group] + 1e-9


def test_layers_would_say_what_the_lens_reads_and_the_last_says_what_was_said(made):
    read = flow.reading(made, Progress())
    said_by = flow.spoken(made, read)
    lens = ma.lens(made.model, made.inputs)
    word = said_by.words[3]
    row = len(made.answer.prompt) - 1 + word.steps[0]
    scores = lens(read.answer.hidden(2)[row][None])[0].astype(float)
    shares = np.exp(scores - np.logaddexp.reduce(scores))
    assert said_by.probability[2, 3] == pytest.approx(shares[made.answer.ids[word.steps[0]]], abs=1e-5)
    likeliest = made.answer.logits.argmax(-1)[said_by.steps] == made.answer.ids[said_by.steps]
    assert ((said_by.decided >= 0) == likeliest).all() and said_by.settled().values[-1] == pytest.approx(likeliest.mean())
    figure = lens_grid(said_by, (2, 3))
    assert [tuple(place) for place in figure.data[1].customdata][3] == (0, 3)
    patches = flow.patches(read, said_by, 3, 0)
    drawn = patch_words_figure(patches, made.pictures[0].array)
    assert len(drawn.layout.annotations) == int(patches.map.rows.placed.sum()) == 144
    own = flow.word_patches(read, said_by, word, 3, 0)
    assert own.values.shape == patches.map.values.shape and (own.values <= patches.map.values + 1e-9).all()


def test_the_exit_curve_ends_where_nothing_is_hidden(made):
    read = flow.reading(made, Progress())
    curve = flow.exits(made, read, Progress())
    assert np.allclose(curve.divergence[-1], 0) and curve.same[-1].all()
    at = curve.exit(flow.STAYS)
    place = curve.layers.tolist().index(at)
    assert (curve.same[place:].mean(1) >= flow.STAYS).all()
    assert at == curve.layers[0] or curve.same[place - 1].mean() < flow.STAYS


def test_too_large_a_reading_is_refused_before_it_runs(made, monkeypatch):
    monkeypatch.setattr("model_adapters.cost.free_bytes", lambda: 1000)
    with pytest.raises(ValueError, match="rows of all .* tokens"):
        flow.reading(made, Progress())


@pytest.mark.parametrize("name", FAMILIES[1:])
def test_all_signals_of_random_models_are_measured_or_refused_with_a_reason(name):
    case = said(name)
    found = truth.signals_of(case)
    assert len(found.names) + len(found.table.refused) == 14
    assert {"undecided", "outvoted", "unmoved_by_noise", "unmoved_without_image", "unseen_by_lens"} <= set(found.names)
    assert all(len(reason) > 20 and "evidence does not hold" not in reason for reason in found.table.refused.values())


def test_several_pictures_are_looked_at_together():
    found = truth.signals_of(said("qwen2_5_vl", count=2))
    assert np.isfinite(found.table.column("outvoted")).all()


def test_a_video_is_read_as_one_picture():
    model = model_of("qwen2_5_vl")
    frames = [Picture(f"upload:{n}", "made", np.asarray(random_picture((200, 150)))) for n in range(2)]
    case = answered(model, frames, "Is there a red ball?", longest=4, decoding=ma.Greedy(), film=True)
    read = flow.reading(case, Progress())
    assert flow.images(read.answer) == 1 and np.isfinite(read.groups.values[:, 3, 1]).all()
    assert {"outvoted", "unmoved_by_noise"} <= set(truth.signals_of(case, film=True).names)


def test_signals_are_measured_as_the_reference_measures_them(made):
    rows = measured(made.model, [5])
    shown = Picture("x", "x", render(scenes()[5], 384).image)
    again = truth.signals_of(answered(made.model, (shown,), "describe the picture.", longest=40, decoding=ma.Greedy()))
    words = [word.text for word in again.table.words]
    for row in rows:
        here = again.table.values[words.index(row["word"])]
        np.testing.assert_allclose(here, [row[name] for name in again.names], atol=1e-5)


def test_the_kept_reference_says_where_it_comes_from_and_its_scores_belong_to_it():
    assert references() == ("bundled:lvlm", "bundled:lvlm-tuned") and reference("hf:other") is None
    for name in references():
        held, score = reference(name), world_score(name)
        assert "300 drawn scenes" in held.about and held.made_up.sum() > 50 and (~held.made_up).sum() > 300
        assert (score.words, score.made_up, score.model) == (len(held.words), int(held.made_up.sum()), name)
        value, low, high = held.separation["outvoted"]
        assert value == pytest.approx(roc_auc_score(held.made_up, held.values[:, held.names.index("outvoted")]))
        assert low < value < high


def test_what_is_written_is_read_back(tmp_path):
    held = reference("bundled:lvlm")
    rows = [
        {"model": "bundled:lvlm", "scene": int(held.answers[n]), "position": 0, "word": held.words[n],
         "made_up": bool(held.made_up[n]), **dict(zip(held.names, held.values[n].tolist(), strict=True))}
        for n in range(len(held.words))
    ]  # fmt: skip
    write(rows, 300, tmp_path)
    again = reference("bundled:lvlm", tmp_path)
    np.testing.assert_array_equal(again.values, held.values)
    assert world_score("bundled:lvlm", tmp_path).auroc == pytest.approx(world_score("bundled:lvlm").auroc, abs=1e-6)


def test_auroc_counts_pairs():
    rng = np.random.default_rng(0)
    bad, values = rng.random(30) < 0.4, rng.integers(0, 6, 30)
    pairs = [(a > b) + 0.5 * (a == b) for a in values[bad] for b in values[~bad]]
    assert auroc(bad, values) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(np.ones(3, bool), np.arange(3)))


def test_signals_that_tell_and_that_fail_are_named_so():
    held = planted()
    verdicts = {name: truth_sentences.separates(*held.separation[name]) for name in held.names}
    assert verdicts["low_image_attention"] == "tells them apart"
    assert "no better than chance" in verdicts["undecided"] and "wrong way" in verdicts["shared_outliers"]


def test_a_place_is_counted_among_true_words():
    held = planted()
    true = held.values[~held.made_up, 0]
    value = float(np.sort(true)[32]) + 1e-9
    less, more = held.shares("low_image_attention", value, False)
    assert (less, more) == (33 / 40, 7 / 40)
    sentence = truth_sentences.place("low_image_attention", "Low attention to the image", less, more)
    assert sentence == f"lower image attention than {round(100 * less)} % of true words"
    assert truth_sentences.place("low_image_attention", "", 0.1, 0.9) == "higher image attention than 90 % of true words"
    assert truth_sentences.place("new_signal", "New", 0.9, 0.1).startswith("more of “new” than 90 %")


def test_every_signal_has_words():
    assert set(truth_sentences.SAID) == set(truth.titles())


def test_right_and_wrong_words_of_a_scene(made):
    known = truth.known_of(made.pictures[0])
    verdicts = truth.truth_of(made.answer, made.text, known)
    things = {word.text: verdicts[word.index] for word in made.answer.words if word.index in verdicts}
    there = made.pictures[0].scene.categories
    assert things and all((name in there) == (verdict == "true") for name, verdict in things.items())
    assert truth.truth_of(made.answer, made.text, None) == {}


ASKED = [("is there a ball?", "yes"), ("do you see a moon?", "no"), ("Can you see a  blue ball?", "yes")]


@pytest.mark.parametrize("ask, right", ASKED)
def test_yes_and_no_are_judged_where_the_question_is_known(ask, right):
    shown = pictures.picture("scene:3")
    case = answered(model_of("bundled:lvlm"), (shown,), ask, longest=3, decoding=ma.Greedy())
    first = case.answer.words[0]
    assert first.text in ("yes", "no")
    assert truth.truth_of(case.answer, ask, truth.known_of(shown))[0] == ("true" if first.text == right else "false")


def test_doubt_is_the_score_the_share_of_true_words_or_the_place_in_the_answer(found):
    held, score = reference("bundled:lvlm"), world_score("bundled:lvlm")
    by_score = truth.doubts(found, truth.COMBINED, score, held)
    order = [found.names.index(name) for name in score.names]
    np.testing.assert_allclose(by_score, score(found.table.values[:, order]))
    column = found.table.column("undecided")
    by_share = truth.doubts(found, "undecided", None, held)
    np.testing.assert_allclose(by_share, [(held.of("undecided", False) < value).mean() for value in column])
    alone = truth.doubts(found, "undecided", None, None)
    assert alone.min() == 0 and alone.max() == 1 and (np.argsort(alone) == np.argsort(column)).all()
    with pytest.raises(ValueError, match="single signal works"):
        truth.doubts(found, truth.COMBINED, None, held)


def test_each_signal_is_a_dot_on_its_two_distributions(made, found):
    placed = truth.places(found, made.answer.words[8].index, reference("bundled:lvlm"))
    apart = [placed.reference.separation[name][0] for name in placed.names]
    assert len(placed.names) == 14 and apart == sorted(apart, reverse=True)
    figure = places_figure(placed, truth.titles())
    dots = figure.data[-1]
    assert list(dots.y) == list(range(14)) and all("of true words" in text for text in dots.text)
    assert figure.data[0].name == "true words (590)" and figure.data[1].name == "made-up words (132)"
    # True words stand above their line, those made up hang below it; the axis runs downwards.
    assert max(figure.data[0].y) < 0 < min(figure.data[1].y)
    columns = table(placed)
    np.testing.assert_allclose(columns["true words doubted less [share]"], [less for less, _ in placed.among_true])


def test_a_score_is_saved_opened_and_refused_where_it_does_not_belong():
    score = world_score("bundled:lvlm")
    data = truth_asked.saved_score(score)
    assert truth_asked.opened_score(data, "mine.json", "bundled:lvlm", truth.titles()) == score
    with pytest.raises(ValueError, match="other scales"):
        truth_asked.opened_score(data, "mine.json", "hf:other", truth.titles())
    with pytest.raises(ValueError, match="no combined score"):
        truth_asked.opened_score(b"{}", "../../mine.json", "bundled:lvlm", truth.titles())
    odd = json.loads(data) | {"names": ["odd", *score.names[1:]]}
    with pytest.raises(ValueError, match="do not exist here: .'odd'"):
        truth_asked.opened_score(json.dumps(odd).encode(), "mine.json", "bundled:lvlm", truth.titles())


def test_evidence_needs_a_picture(made):
    with pytest.raises(ValueError, match="question without one"):
        evidence_of(made.model, [], "what is in the picture?", made.generation)


def test_the_kept_reference_can_be_made_again(made):
    held = reference("bundled:lvlm")
    rows = measured(made.model, [0, 17])
    for number in (0, 17):
        kept = np.flatnonzero(held.answers == number)
        again = [row for row in rows if row["scene"] == number]
        assert [row["word"] for row in again] == [held.words[n] for n in kept]
        assert [row["made_up"] for row in again] == held.made_up[kept].tolist()
        np.testing.assert_allclose([[row[name] for name in held.names] for row in again], held.values[kept], atol=2e-3)
