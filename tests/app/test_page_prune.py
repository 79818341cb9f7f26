"""The page Prune: what is off and what it costs, real sizes, fewer tokens, the saved model, and what is refused."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.results import HeadMatrix
from analysis.token_reduction import evit
from model_adapters import AdapterError
from model_adapters.edits import Gate, Skip
from model_adapters.slimming import load_slim
from tests.app.pages import opened, settled, texts
from ui import prune_more, prune_view
from ui.jobs import Progress
from ui.pictures import picture
from ui.prune_view import Bench
from ui.results import prune, prune_effect, prune_rank, tokens
from ui.results.heads import sites_of
from ui.results.prune import Parts
from ui.results.tokens import Fewer

N = 16


@pytest.fixture(scope="module")
def bench():
    model = ma.load("bundled:vit")
    asked = prune_effect.ask(model, prune_effect.scenes_of("scene", N), None, Progress())
    return Bench("bundled:vit", "pretrained", model, None, sites_of(model, "vision"), "scene", N, asked)


@pytest.fixture(scope="module")
def subject(bench):
    return ma.subject(bench.model, picture("scene:3").array)


def test_what_is_off_goes_into_a_link_and_back(bench):
    parts = Parts.of(["h2.3", "m1", "l0", "h2.0", "a4", "h9.9", "x", "m", "h1", "", "h2.3"])
    assert parts == Parts(((2, 0), (2, 3), (9, 9)), attention=(4,), mlp=(1,), layer=(0,))
    assert Parts.of(parts.ids) == parts and Parts.of(parts.branches.split(",")) == Parts((), (4,), (1,), (0,))
    assert parts.within(bench.sites).heads == ((2, 0), (2, 3))
    assert parts.words == "without 3 heads, attention of layer 4, MLP of layer 1, layer 0"
    assert prune.parts_of(parts.within(bench.sites).units(bench.sites), bench.sites) == parts.within(bench.sites)


def test_the_answers_are_those_of_gates_and_skips(bench):
    parts = Parts(((3, 0), (4, 3)), mlp=(1,))
    judged = prune_effect.judge_parts(bench.model, bench.asked, parts, bench.sites, Progress())
    edits = (
        Gate(ma.Where(tower="vision", layers=(3,), heads=(0,)), 0.0),
        Gate(ma.Where(tower="vision", layers=(4,), heads=(3,)), 0.0),
        Skip(ma.Where(tower="vision", layers=(1,)), part="mlp"),
    )
    after = np.concatenate([ma.run(bench.model, each, edits).numpy() for each in bench.asked.inputs])
    right = [int(a.argmax()) == label for a, label in zip(after, bench.asked.labels, strict=True)]
    assert judged.effect.accuracy == np.mean(right) and judged.labels and judged.count == N
    before = torch.from_numpy(bench.asked.base).double().log_softmax(-1)
    kl = (before.exp() * (before - torch.from_numpy(after).double().log_softmax(-1))).sum(-1).mean()
    assert judged.effect.kl == pytest.approx(float(kl), rel=1e-4)
    assert judged.low.kl < judged.effect.kl < judged.high.kl and judged.low.accuracy <= np.mean(right) <= judged.high.accuracy
    assert judged.of_whole.effect.kl == 0 and judged.of_whole.effect.accuracy == judged.whole.accuracy


def test_the_smaller_model_has_the_parameters_that_arithmetic_says_and_the_same_answers(bench):
    costs = prune_effect.cost_parts(bench.model, bench.asked, Parts(((3, 0),), mlp=(1,)), bench.sites)
    head = 3 * (32 * 128 + 32) + 32 * 128
    mlp = 2 * 4 * 128 * 128 + 4 * 128 + 128 + 2 * 128
    assert costs.whole.parameters - costs.small.parameters == head + mlp
    assert costs.differs < 1e-4 and costs.small.flops < costs.whole.flops and costs.small.seconds > 0
    assert costs.bytes == (4 * costs.whole.parameters, 4 * costs.small.parameters)
    assert costs.of_whole.small.flops == costs.whole.flops


def test_windows_are_not_sliced_and_it_is_said_why():
    model = ma.load("bundled:swin")
    with pytest.raises(AdapterError, match="SwinTransformer cannot be slimmed"):
        prune.cut_for(model, ())
    assert "SwinTransformer" in prune.why_not_sliced(model)


def test_the_whole_model_is_not_called_smaller_than_itself(bench):
    costs = prune_effect.cost_parts(bench.model, bench.asked, Parts(), bench.sites)
    assert costs.small is costs.whole and not costs.refused and not prune.why_not_sliced(bench.model)


def test_rankings_and_recipes(bench):
    values = np.array([[3.0, 1.0], [np.nan, 2.0]])
    assert prune_rank.least(HeadMatrix(values, bench.sites[:2]), 2) == ((0, 1), (1, 1))
    few = prune_effect.ask(bench.model, prune_effect.scenes_of("scene", 2), None, Progress())
    exact = prune_rank.exact(bench.model, few, bench.sites, Progress()).values
    one = prune_effect.judge_parts(bench.model, few, Parts(((5, 1),)), bench.sites, Progress())
    assert exact[5, 1] == pytest.approx(one.effect.kl) and np.isfinite(exact).all()
    ids = prune_effect.scenes_of("scene", 2)
    cheap = prune_rank.cheap(bench.model, "gate_times_gradient", ids, None, bench.sites, Progress())
    assert cheap.values.shape == (6, 4) and cheap.signed
    layers = prune_rank.of_layers(bench.model, "mlp", few, bench.sites, Progress())
    one = prune_effect.judge_parts(bench.model, few, Parts(mlp=(2,)), bench.sites, Progress())
    assert layers[2] == pytest.approx(one.effect.kl) and set(layers) == set(range(6))


def test_curves_hold_growing_sets_and_random_orders(bench):
    few = prune_effect.ask(bench.model, prune_effect.scenes_of("scene", 2), None, Progress())
    ranking = HeadMatrix(np.arange(24.0).reshape(6, 4), bench.sites)
    progress = Progress()
    found = prune_rank.curves(bench.model, {"order": ranking}, few, bench.sites, progress)
    assert len(found.random) == prune_rank.RANDOM_ORDERS
    last = found.by_metric["order"].points[-1]
    assert {(unit.layer, unit.head) for unit in last.removed} == {divmod(n, 4) for n in range(round(0.8 * 24))}
    drawn = prune_more.joint(found, 24)
    assert drawn.values.shape == (1, 9) and drawn.random.shape == (5, 9) and drawn.steps[-1] == 19


def test_the_search_ends_where_it_was_told_to(bench):
    few = prune_effect.ask(bench.model, prune_effect.scenes_of("scene", 2), None, Progress())
    found = prune_rank.search(bench.model, few, bench.sites, 0.95, ("mlp",), Progress())
    assert found.curve.reached and found.curve.points[-1].cost <= 0.95 * found.whole
    layers = prune_rank.of_layers(bench.model, "mlp", few, bench.sites, Progress())
    assert found.parts[1].mlp == (min(layers, key=layers.get),)


def test_a_plan_is_that_of_the_rule(subject):
    fewer = Fewer("evit", (1, 3), (0.5, 0.8), look=False)
    made = tokens.plan(subject, fewer)
    direct = evit(subject.capture(tokens.WANTED), layers=(1, 3), schedule=(0.5, 0.8))
    assert np.array_equal(made.sources, direct.sources)
    assert tokens.plan(subject, Fewer("tome", (0, 1), (10, 4))).counts.tolist() == [145, 135, 131]
    assert tokens.plan(subject, Fewer("ats", (), (60,))).counts[1] <= 61


def test_the_strip_fades_exactly_what_was_dropped(subject):
    made = tokens.plan(subject, Fewer("class_top", (2,), (0.25,), look=False))
    shown = tokens.strip(picture("scene:3").image, made)
    before, after = (np.asarray(image).astype(int) for image, _ in shown)
    # Faded pixels are nearly white; no pixel of this scene is.
    share = float((after.min(-1) > 220).mean())
    dropped = float((made.sources[1][1:] < 0).mean())
    assert dropped == pytest.approx(0.75) and share == pytest.approx(dropped, abs=0.02) and before.min(-1).max() < 220
    assert [said for _, said in shown] == ["145 tokens", "layer 2: 37"]


def test_fewer_tokens_are_judged_beside_as_many_random_ones(bench, subject):
    ids = prune_effect.scenes_of("scene", 3)
    fewer = Fewer("tome", (1, 2), (20, 20))
    found = tokens.judge_tokens(bench.model, ids, None, fewer, "vision", Progress())
    assert found.counts.tolist() == [145, 125, 105] and found.judged.count == 3
    like = tokens._random_like(subject, tokens.plan(subject, fewer), 0)
    assert like.counts.tolist() == [145, 125, 105]
    costs = tokens.cost_tokens(subject, fewer, "vision")
    assert costs.small.flops < 0.95 * costs.whole.flops and costs.small.parameters == costs.whole.parameters


def test_the_saved_model_answers_as_the_gated_one(bench, tmp_path):
    parts = Parts(((0, 1), (2, 2)), mlp=(4,), layer=(3,))
    with zipfile.ZipFile(io.BytesIO(prune_more.zipped(bench, parts))) as archive:
        archive.extractall(tmp_path)
        assert set(archive.namelist()) == {"slim/model.safetensors", "slim/slim.json", "load.py"}
    assert (tmp_path / "load.py").read_text() == prune_more.snippet("bundled:vit")
    module = load_slim(tmp_path / "slim", build=lambda: ma.load("bundled:vit").module)
    gated = ma.run(bench.model, bench.asked.inputs[0], parts.edits(bench.sites)).numpy()
    with torch.no_grad():
        assert module(**bench.asked.inputs[0].tensors).numpy() == pytest.approx(gated, abs=1e-4)


def test_numbers_are_said_as_people_say_them():
    assert [prune_view.nats(n) for n in (0, 0.0002, 0.0643, 1.7512)] == ["0", "< 0.001", "0.064", "1.75"]
    assert prune_view.percent(0.9062) == "90.6 %"


def metrics(page):
    return {metric.label: metric.value for metric in page.metric}


def test_the_page_starts_from_heads_that_were_sent_and_puts_them_back(bench):
    page = settled(opened("change/prune", heads="1.1,1.2", n=str(N)), lambda page: metrics(page).get("Latency", "…") != "…")
    judged = prune_effect.judge_parts(bench.model, bench.asked, Parts(((1, 1), (1, 2))), bench.sites, Progress())
    assert metrics(page)["KL"] == prune_view.nats(judged.effect.kl) != "0"
    assert "without 2 heads" in texts(page).lower()
    page.button(key="back").click()
    settled(page, lambda page: metrics(page).get("KL") == "0")
    assert page.session_state["chosen"].heads == ()


def test_a_recipe_takes_the_least_important_heads_out():
    page = settled(
        opened("change/prune", n="8"), lambda page: any(b.key == "Keep the top half" and not b.disabled for b in page.button)
    )
    page.button(key="Keep the top half").click()
    settled(page, lambda page: metrics(page).get("KL", "0") != "0")
    assert len(page.session_state["chosen"].heads) == 12


def test_tokens_have_a_strip_and_a_random_control():
    page = settled(opened("change/prune", what="tokens", n="8"), lambda page: "Random tokens dropped" in texts(page))
    assert "Accuracy" in metrics(page) and page.slider(key="keep-3").value == 0.7


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"model": "bundled:swin", "n": "8"}, "SwinTransformer cannot be slimmed"),
        ({"model": "bundled:swin", "n": "8", "what": "tokens"}, "needs"),
        ({"model": "bundled:lvlm", "n": "8", "what": "tokens"}, "score classes or captions"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(query, says):
    page = settled(opened("change/prune", **query), lambda page: says in " ".join(each.value for each in page.info))
    assert not page.error


def test_a_model_that_does_not_know_the_world_is_judged_by_agreement():
    page = settled(opened("change/prune", model="timm:test_vit", n="8"), lambda page: "Agreement" in metrics(page))
    assert metrics(page)["Agreement"] == "100.0 %"
