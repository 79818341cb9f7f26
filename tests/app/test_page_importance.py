"""Heads / Importance: metrics against a model run by hand, each cheap one against its own truth, the page and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import analysis
import model_adapters as ma
from model_adapters import edits
from tests.app.pages import opened, settled
from tests.app.small_models import small_vit_without_class_token
from ui import head_choice, pictures, set_jobs
from ui.jobs import Progress
from ui.results import heads, importance
from ui.results import importance_agreement as agreement
from ui.results import importance_metrics as metrics


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def scene():
    return pictures.picture("scene:3")


@pytest.fixture(scope="module")
def found(vit, scene):
    subject = heads.subject_for(vit, scene)
    cheap = importance.cheap(vit, subject, 7, "vision")
    return cheap.together(importance.exact(vit, subject, 7, "vision", lambda share: None))


def log_probability(vit, scene, *changes) -> float:
    logits = ma.run(vit, vit.prepare(image=scene.array), changes)
    return float(logits.double().log_softmax(-1)[0, 7])


def gate(site, head, value):
    return edits.Gate(ma.Where(sites=(site.name,), heads=(head,)), value)


def test_the_exact_rise_of_the_loss_is_that_of_a_run_without_the_head(vit, scene, found):
    for layer, head in ((3, 1), (5, 3), (0, 0)):
        rise = log_probability(vit, scene) - log_probability(vit, scene, gate(found.sites[layer], head, 0.0))
        assert found.each["loss change"][0, layer, head] == pytest.approx(rise, abs=1e-4)


def test_gate_times_gradient_is_the_slope_of_the_log_probability(vit, scene, found):
    for layer, head in ((3, 1), (5, 1)):
        ends = [log_probability(vit, scene, gate(found.sites[layer], head, 1 + step)) for step in (-0.05, 0.05)]
        slope = (ends[1] - ends[0]) / 0.1
        assert found.each["gate_times_gradient"][0, layer, head] == pytest.approx(slope, rel=0.1, abs=3e-4)


def test_a_set_is_about_the_largest_object_of_each_scene_and_its_mean_is_the_mean(vit):
    ids = heads.scene_ids(3)
    whole = importance.over_scenes(vit, ids, None, "vision", Progress())
    shown = [pictures.picture(id) for id in ids]
    largest = [max(p.objects, key=lambda item: item[1].sum())[0] for p in shown]
    assert [vit.labels[label] for label in whole.labels] == largest
    answers = ma.ablate(vit, vit.prepare(image=[p.array for p in shown]), moved=False)
    batch = torch.from_numpy(answers.logits).double().log_softmax(-1)
    base = torch.from_numpy(answers.base).double().log_softmax(-1)
    rises = [(base[n, label] - batch[:, :, n, label]).numpy() for n, label in enumerate(whole.labels)]
    matrix = whole.matrix("loss change")
    assert matrix.values == pytest.approx(np.mean(rises, 0), abs=1e-4)
    assert ((matrix.low <= matrix.values + 1e-9) & (matrix.values <= matrix.high + 1e-9)).all()


def test_a_set_can_be_cancelled_between_two_scenes(vit):
    from ui.jobs import Cancelled

    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        importance.over_scenes(vit, heads.scene_ids(50), None, "vision", progress)


def planted(signed, unsigned):
    sites = tuple(ma.Site(f"b{n}", layer=n, heads=4) for n in range(6))
    each = {
        "loss change": signed,
        "gate_times_gradient": 2 * signed,
        "Jensen-Shannon distance": unsigned,
        "confidence": -unsigned,
    }
    return metrics.Importances(each, sites, np.zeros(len(signed), int), {})


@pytest.mark.parametrize("count", [1, 12])
def test_each_cheap_metric_is_held_to_its_own_truth(count):
    draw = np.random.default_rng(0)
    result = planted(draw.normal(size=(count, 6, 4)), draw.random((count, 6, 4)))
    best, worst = (agreement.correlation(result, name) for name in ("gate_times_gradient", "confidence"))
    assert (best.value, best.low, best.high) == pytest.approx((1, 1, 1))
    assert worst.value == pytest.approx(-1)
    assert best.drawn == ("heads" if count == 1 else "pictures")


def test_the_correlation_is_that_of_scipy_inside_its_interval(found):
    verdict = agreement.correlation(found, "squared_gradient")
    truth = found.each["Jensen-Shannon distance"].ravel()
    assert verdict.value == pytest.approx(spearmanr(found.each["squared_gradient"].ravel(), truth)[0])
    assert verdict.low <= verdict.value <= verdict.high


def test_removing_heads_together_equals_one_run_with_all_their_gates(vit, scene, found):
    subject = heads.subject_for(vit, scene)
    curves = agreement.removed([subject], found, ["loss change"], "loss change", Progress())
    step = 3
    count = int(curves.steps[step])
    order = np.argsort(-found.each["loss change"][0].ravel(), kind="stable")[:count]
    gates = [gate(found.sites[place // 4], int(place % 4), 0.0) for place in order]
    rise = log_probability(vit, scene) - log_probability(vit, scene, *gates)
    assert curves.values[0, step] == pytest.approx(rise, abs=1e-3)
    assert agreement.removal_passes(["loss change"], 1) == (1 + len(curves.random)) * len(curves.steps) + 1


def test_classes_are_grouped_by_label():
    draw = np.random.default_rng(1)
    result = planted(draw.normal(size=(4, 6, 4)), draw.random((4, 6, 4)))
    result.labels[:] = [5, 2, 5, 5]
    grouped = agreement.by_class(result, "loss change")
    assert grouped.classes.tolist() == [2, 5] and grouped.images.tolist() == [1, 3]
    assert grouped.values[1] == pytest.approx(result.each["loss change"][[0, 2, 3]].mean(0))


def test_a_click_carries_the_head_in_whatever_form():
    assert head_choice.clicked({"selection": {"points": [{"customdata": [2, 3]}]}}) == (2, 3)
    assert head_choice.clicked({"selection": {"points": [{"customdata": {"0": 2, "1": 3}}]}}) == (2, 3)
    assert head_choice.clicked({"selection": {"points": []}}) is None and head_choice.clicked(None) is None


def test_durations_are_for_people():
    assert [set_jobs.span(seconds) for seconds in (0.3, 12.4, 300)] == ["a second", "12 s", "5 min"]


def inspected(page) -> bool:
    return len(page.dataframe) > 0 and any("Spearman" in caption.value for caption in page.caption)


def test_the_page_answers_before_anything_is_touched_and_follows_the_controls(found):
    page = settled(opened("heads/importance", layer="3", head="1"), inspected)
    table = page.dataframe[0].value.set_index("Metric")
    assert table.loc["exact: loss", "Place"] == 1
    assert float(table.loc["exact: loss", "Value"]) == pytest.approx(found.each["loss change"][0, 3, 1], rel=0.02)
    assert any("held to: exact: rise of the loss" in caption.value for caption in page.caption)
    page.selectbox(key="against").set_value("confidence")
    page = settled(page, lambda page: any("Confidence is held to: exact: change of the answer" in c.value for c in page.caption))
    page.segmented_control(key="below").set_value("By class")
    page = settled(page, lambda page: any("set of scenes" in info.value for info in page.info))


def test_a_metric_that_a_model_cannot_give_says_why():
    page = settled(opened("heads/importance", model="bundled:swin", against="head_contributions"), lambda page: page.info)
    assert any("not offered here" in info.value and "VisionTransformer" in info.value for info in page.info)
    assert len(page.dataframe) > 0


def test_a_model_without_classes_is_refused_with_what_would_work(monkeypatch, own_jobs):
    model = small_vit_without_class_token(classes=0)
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("heads/importance", model="timm:small"), lambda page: page.info)
    assert any("A model with a classifier works" in info.value for info in page.info)


def test_a_model_without_a_class_token_keeps_what_needs_none(monkeypatch, own_jobs):
    model = small_vit_without_class_token()
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("heads/importance", model="timm:small", metrics="loss change,confidence_class"), inspected)
    assert any("rows 'class'" in caption.value for caption in page.caption)
    shown = set(page.dataframe[0].value["Metric"])
    assert "exact: layer, patches" in shown and "exact: layer, class" not in shown


def test_the_least_important_heads_are_sent_to_prune():
    page = settled(opened("heads/importance"), lambda page: any("least important" in button.label for button in page.button))
    (button,) = (button for button in page.button if "least important" in button.label)
    button.click()
    page = settled(page, lambda page: page.session_state["chosen"].heads)
    sent = page.session_state["chosen"].heads
    ablation = ma.ablate(ma.load("bundled:vit"), ma.subject(ma.load("bundled:vit"), pictures.picture("scene:3").array).inputs)
    found = analysis.find("ablation_importance").function(ablation)
    order = [(found.sites.index(site), head) for site, head in found.ranking()]
    assert set(sent) == set(order[-6:])
