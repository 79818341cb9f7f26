"""Pages about heads, tokens and pruning, for both towers of models that write: bundled, with tiles, with windows and merges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import model_adapters as ma
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled, texts
from tests.zoo import hf
from ui import session
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import importance, prune_effect, sinks, sinks_set
from ui.results.embedding import companions, known_pictures, look, panels, state_points
from ui.results.heads import row_of, sites_of, subject_for
from ui.results.passport import portraits
from ui.results.prune import Parts
from ui.results.windows import joined_windows, windowed

TEXT = "Describe the picture."
PAGES = (
    "look/attention", "look/embedding", "heads/importance", "heads/strength", "heads/patterns", "heads/passport",
    "tokens/sinks", "change/prune",
)  # fmt: skip
REFUSED = {
    ("llava_next", "vision", "tokens/sinks"): "attends within windows",
}
"""What is refused, and the words that say why."""


@pytest.fixture(scope="module")
def models():
    return {name: ma.wrap(*hf.build(name), name=f"hf:{name}") for name in ("llava_next", "qwen2_5_vl")}


def idle():
    return all(job.future.done() for job in list(session.jobs()._jobs.values()))


def shown(page, **query):
    """A page once nothing is being made for it any more."""
    quiet: list[int] = []

    def done(test):
        quiet.append(1) if idle() else quiet.clear()
        return len(quiet) > 1

    return settled(opened(page, **query), done)


LONG = ("look/attention", "heads/patterns")
"""Pages whose background work takes many seconds."""


@pytest.mark.parametrize("tower", ["vision", "decoder"])
@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in PAGES])
def test_every_page_shows_both_towers_of_the_bundled_model(page, tower):
    test = shown(page, model="bundled:lvlm", tower=tower)
    assert not test.error and not test.exception and test.session_state["tower"] == tower
    assert any("scene" in each.value.lower() or "layer" in each.value.lower() for each in (*test.markdown, *test.caption))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llava_next", "qwen2_5_vl"])
@pytest.mark.parametrize("tower", ["vision", "decoder"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_both_towers_of_other_families(models, monkeypatch, own_jobs, page, tower, name):
    real = ma.load
    monkeypatch.setattr(ma, "load", lambda asked, **options: models[name] if asked == f"hf:{name}" else real(asked, **options))
    test = shown(page, model=f"hf:{name}", weights="random", tower=tower)
    assert not test.error and not test.exception
    if (name, tower, page) in REFUSED:
        assert REFUSED[name, tower, page] in texts(test)


def test_windows_of_a_layer_are_one_attention(models):
    model = models["qwen2_5_vl"]
    whole = ma.capture(model, subject_for(model, picture("scene:3"), TEXT).inputs, want={"queries", "hidden"})
    names = windowed(whole.sites)
    assert names == {"model.visual.blocks.0.attn"}
    made = joined_windows(whole)
    windows = [site for site in whole.sites if site.name in names]
    first = next(site for site in made.sites if site.name in names)
    assert len(windows) == 16 and len(made.sites) == len(whole.sites) - 15 and made.shapes[first] == (4, 784, 784)
    start = 0
    rest = made.weights[first].copy()
    for site in windows:
        count = whole.shapes[site][1]
        here = slice(start, start + count)
        assert (rest[:, here, here] == whole.weights[site]).all()
        assert (made.layouts[first].keys.boxes[here] == whole.layouts[site].keys.boxes).all()
        assert (made.queries[first][:, here] == whole.queries[site]).all()
        rest[:, here, here] = 0
        start += count
    assert not rest.any() and made.weights[first].sum(-1) == pytest.approx(1, abs=1e-5)
    other = next(site for site in made.sites if site.tower == "vision" and site.name not in names)
    assert made.weights[other] is whole.weights[other]
    # Windows lie in the order of the hidden states: both are of the same tokens as the layer that sees all of them.
    assert np.array_equal(made.layouts[first].keys.boxes, made.layouts[other].keys.boxes)
    assert whole.hidden["vision", 0].shape == (784, 64)


def test_a_model_without_windows_is_left_as_it_is():
    capture = ma.subject(ma.load("bundled:lvlm"), picture("scene:3").array, "is there a ball?").capture()
    assert joined_windows(capture) is capture


def test_heads_of_windows_are_heads_of_the_layer(models):
    model = models["qwen2_5_vl"]
    assert [(site.layer, site.call) for site in sites_of(model, "vision")] == [(0, 0), (1, 0)]
    assert len([site for site in model.report.seen if site.tower == "vision"]) > 2


@pytest.mark.parametrize("name", ["llava_next", "qwen2_5_vl"])
@pytest.mark.parametrize("tower", ["vision", "decoder"])
def test_gate_gradients_are_slopes_of_the_next_word(models, name, tower):
    """The log-probability of the next word when a gate is turned down a little, by hand."""
    from model_adapters.edits import Gate

    model = models[name]
    subject = subject_for(model, picture("scene:3"), TEXT)
    label = subject.aim(None)
    found = importance.cheap(model, subject, label, tower)
    sites, run = sites_of(model, tower), subject.run()
    for row, head in ((0, 1), (1, 2)):
        values = []
        for gate in (0.95, 1.05):
            scores = run((Gate(ma.Where(sites=(sites[row].name,), heads=(head,)), gate),))[0].astype(np.float64)
            values.append(np.log(softmax(scores))[label])
        slope = (values[1] - values[0]) / 0.1
        assert found.matrix("gate_times_gradient").values[row, head] == pytest.approx(slope, rel=0.02, abs=2e-5)
    assert found.matrix("gate_gradient").values.shape == (len(sites), 4)


def test_portraits_and_points_of_windows(models):
    model = models["qwen2_5_vl"]
    found = portraits(model, ("scene:3", "scene:4"), TEXT, "vision", Progress())
    assert len(found.types.sites) == len(found.maps.heads) // 4 == 2
    assert all(row_of(sites_of(model, "vision"), site) is not None for site in found.types.sites)
    first = picture("scene:3")
    seen = look(model, known_pictures(companions(first, 1), first), TEXT, "vision", Progress())
    assert panels(seen, Progress()).correlation.values.shape == (2, 4)
    assert len(state_points(seen, 1).vectors) == 784


def test_sinks_of_packed_towers_are_counted_over_scenes(models):
    model = models["qwen2_5_vl"]
    capture = sinks.seen(subject_for(model, picture("scene:3"), TEXT), Progress())
    layer = sinks.layer_by(capture, "norm", 1, tower="vision")
    assert layer.scores.shape == (784,)
    slow = np.linalg.norm(capture.hidden["vision", 1], axis=1)
    assert layer.found.score[0] == pytest.approx(slow, rel=1e-5)
    over = sinks_set.over_scenes(model, sinks_set.Asked("norm", 1, tower="vision", scenes=2, text=TEXT), Progress())
    assert over.share.shape == (784,)


@pytest.mark.parametrize("tower", ["vision", "decoder"])
def test_pruned_heads_change_the_next_word_as_gates_do(tower):
    model, text = ma.load("bundled:lvlm"), "is there a ball?"
    ids = prune_effect.scenes_of("scene", 4)
    asked = prune_effect.ask(model, ids, text, Progress())
    assert asked.labels is None and asked.base.shape[0] == 4
    sites = sites_of(model, tower)
    parts = Parts(heads=((2, 1), (3, 0)), mlp=(4,))
    judged = prune_effect.judge_parts(model, asked, parts, sites, Progress())
    slow = []
    for number, id in enumerate(ids):
        inputs = model.prepare(image=picture(id).image, text=text)
        runs = [ma.run(model, inputs, edits) for edits in ((), parts.edits(sites))]
        before, after = (logits.reshape(-1, asked.base.shape[1])[-1] for logits in runs)
        assert asked.base[number] == pytest.approx(before.numpy(), abs=1e-5)
        slow.append(int(before.argmax() == after.argmax()))
    assert judged.effect.accuracy == pytest.approx(np.mean(slow)) and judged.effect.kl > 0 and not judged.labels


def test_prune_says_what_an_answer_is_and_where_tokens_go():
    test = shown("change/prune", model="bundled:lvlm", tower="decoder", heads="0.0,2.1")
    assert "next word after “is there a ball?”" in texts(test) and "agreement" in texts(test)
    test = shown("change/prune", model="bundled:lvlm", what="tokens")
    assert "Fewer tokens" in texts(test)


@needs_chromium
@pytest.mark.browser
def test_the_picker_of_towers_leads_every_page_in_a_browser():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        signs = {"heads-strength": "Layer by layer", "heads-importance": "Remove heads", "tokens-sinks": "Three signs"}
        for name, sign in signs.items():
            page.goto(f"{server}/{name}?model=bundled:lvlm", timeout=60_000)
            page.get_by_text(sign).first.wait_for(timeout=120_000)
            settle(page)
            assert "tower=" not in page.url
            page.get_by_test_id("stSidebar").get_by_text("Decoder", exact=True).click()
            page.wait_for_url("**tower=decoder**", timeout=30_000)
            page.get_by_text(sign).first.wait_for(timeout=120_000)
            settle(page)
            assert not page.locator("[data-testid=stException]").count()
