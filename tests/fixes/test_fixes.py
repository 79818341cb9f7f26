"""Fixes against their formulas, written out slowly, and which models they run on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.fixes import (
    attention_moved_off_sinks,
    balanced_attention,
    contrast_with_outliers,
    image_guidance,
    over_trust_penalty,
    pay_attention_to_image,
    random_heads_silenced,
    relevant_regions_added,
    sampled,
    vision_heads_reinforced,
    visual_contrastive_decoding,
)  # fmt: skip
from analysis.fixes.balance import sorted_tokens
from analysis.fixes.outlier_contrast import OnlyOutliers
from analysis.fixes.relevant_regions import painted, question_relevance
from analysis.fixes.strong_heads import chosen_heads
from model_adapters.capturing import BySite
from model_adapters.planned import decided
from tests.fixes.small import LONGEST, NOTHING, QUESTION, asked, ids, next_scores
from tests.zoo import hf
from tests.zoo.shake import scene

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
TWO = ("llava", "qwen2_vl")
MODELS = ("bundled:lvlm", "llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")
FIXES = (
    attention_moved_off_sinks, balanced_attention, contrast_with_outliers, image_guidance, pay_attention_to_image,
    over_trust_penalty, random_heads_silenced, relevant_regions_added, sampled, vision_heads_reinforced,
    visual_contrastive_decoding,
)  # fmt: skip
NO_IMAGE = (pay_attention_to_image, vision_heads_reinforced)
QUICKER: dict = {over_trust_penalty: {"beams": 2, "candidates": 2}}
BY_PATCH = (balanced_attention, contrast_with_outliers)
REFUSED = {
    **{(name, fix): "one each is needed" for name in ("qwen2_5_vl", "instructblip") for fix in BY_PATCH},
    **{(name, fix): "cuts the picture into tiles" for name in ("llava_next", "internvl") for fix in BY_PATCH},
    **{("paligemma", fix): "no class token" for fix in BY_PATCH},
    **{(name, fix): "'hidden' instead" for name in ("instructblip", "paligemma") for fix in NO_IMAGE},
    ("instructblip", relevant_regions_added): "have no place in the picture",
}


@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_a_fix_runs_or_is_refused_with_its_reason(name, fix):
    reason = REFUSED.get((name, fix))
    if reason is None:
        assert len(ids(name, **fix(**QUICKER.get(fix, {})))) > 0
        return
    with pytest.raises(ma.AdapterError, match=reason):
        ids(name, **fix())


@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.__name__)
@pytest.mark.parametrize("name", TWO)
def test_without_an_image_a_fix_changes_nothing_or_says_what_it_lacks(name, fix):
    model = asked(name)[0]
    inputs = model.prepare(text="Is there a red ball?")
    lacking = {
        visual_contrastive_decoding: "no pixels", image_guidance: "Got 0 pictures", relevant_regions_added: "holds no image",
        balanced_attention: "holds no image token", contrast_with_outliers: "holds no image token",
    }  # fmt: skip
    if fix in lacking:
        with pytest.raises(ma.AdapterError, match=lacking[fix]):
            ma.generate(model, inputs, max_new_tokens=2, **fix())
        return
    said = ma.generate(model, inputs, max_new_tokens=2, **fix(**QUICKER.get(fix, {})))
    if fix not in (sampled, random_heads_silenced, over_trust_penalty):
        assert [t.id for t in said.tokens] == [t.id for t in ma.generate(model, inputs, max_new_tokens=2).tokens]


@pytest.mark.parametrize("fix", NO_IMAGE, ids=lambda fix: fix.__name__)
@pytest.mark.parametrize("name", ["instructblip", "paligemma"])
def test_where_an_image_cannot_be_left_out_it_can_be_hidden(name, fix):
    assert len(ids(name, **fix(without="hidden"))) > 0


@pytest.mark.parametrize("fix", BY_PATCH, ids=lambda fix: fix.__name__)
def test_a_tower_without_a_class_token_is_scored_by_attention_received(fix):
    more = {"without": "hidden"} if fix is balanced_attention else {}
    assert len(ids("paligemma", **fix(score="received", **more))) > 0


@pytest.mark.parametrize(
    "options",
    [
        visual_contrastive_decoding(alpha=0), image_guidance(strength=1), pay_attention_to_image(alpha=0, guidance=1),
        attention_moved_off_sinks(p=1), attention_moved_off_sinks(p=0, variant="paper"), vision_heads_reinforced(alpha=1),
        contrast_with_outliers(alpha=0), balanced_attention(local=0, outlier=0, guidance=1), relevant_regions_added(alpha=0),
        random_heads_silenced(share=0),
    ],
)  # fmt: skip
def test_neutral_options_ask_for_nothing(options):
    assert options == {}


@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.__name__)
def test_a_fix_is_plain_data(fix):
    assert fix() == fix() and hash(tuple(fix().values())) == hash(tuple(fix().values()))
    assert set(fix()) <= {"edits", "decoding"}


# ---- formulas


def decoder(capture: ma.Capture) -> list[ma.Site]:
    return [site for site in capture.sites if site.tower == "decoder"]


def image_of(model, inputs) -> np.ndarray:
    return np.flatnonzero(ma.Glance(model, inputs).roles == "image")


@pytest.mark.parametrize("name", TWO)
def test_attention_is_paid_by_the_formula(name):
    model, inputs = asked(name)
    options = pay_attention_to_image(alpha=0.6, guidance=1, first_layer=0)
    seen = ma.capture(model, inputs, want={"queries"})
    site, image = decoder(seen)[0], set(image_of(model, inputs).tolist())
    row = ma.generate(model, inputs, max_new_tokens=1, **options).tokens[0].weights[site.name]
    queries, keys = seen.queries[site], seen.keys[site]
    for head in range(site.heads):
        scores = [float(queries[head, -1] @ key) / np.sqrt(queries.shape[-1]) for key in keys[head]]
        raised = np.exp([s + 0.6 * abs(s) if k in image else s for k, s in enumerate(scores)])
        np.testing.assert_allclose(row[head], raised / raised.sum(), atol=1e-5)
    assert decided(model, inputs, options["edits"])[0].where.layers == (0, 1)


def test_guidance_is_contrast_with_one_less():
    assert pay_attention_to_image(guidance=2.0)["decoding"] == ma.Contrast(ma.Imageless(), 1.0, 0.1)
    assert image_guidance(strength=2.5)["decoding"] == ma.Contrast(ma.Blank("mean"), 1.5, None)
    assert image_guidance(against="hidden image", cut_off=True)["decoding"] == ma.Contrast(ma.Imageless("hidden"), 0.5, 0.1)
    assert visual_contrastive_decoding()["decoding"] == ma.Contrast(ma.Noised(500, 0), 1.0, 0.1)
    with pytest.raises(ValueError, match="against must be one of"):
        image_guidance(against="white")


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("name", TWO)
def test_attention_moves_off_sinks_by_the_formula(name, variant):
    model, inputs = asked(name)
    p, rho, least, tau, dims = 0.3, 0.6, 0.05, 1.5, (0, 5)
    options = attention_moved_off_sinks(variant=variant, p=p, rho=rho, least=least, first_layer=0, tau=tau, dimensions=dims)
    (edit,) = decided(model, inputs, options["edits"])
    base, moved = ma.capture(model, inputs, want={"hidden"}), ma.capture(model, inputs, edits=edit)
    site, image = decoder(base)[0], set(image_of(model, inputs).tolist())
    states = np.asarray(base.hidden["decoder", 0], float)
    sinks = {t for t, x in enumerate(states) if max(abs(x[d]) for d in dims) / np.sqrt((x**2).mean() + 1e-6) > tau}
    assert set(edit.sinks) == sinks and sinks & image and sinks - image and image - sinks
    changed = 0
    for head in range(site.heads):
        for query, row in enumerate(np.asarray(base.weights[site][head], float)):
            expected = slow_row(row, image, sinks, p, rho, least, variant) if query > max(image) else row
            changed += not np.allclose(expected, row, atol=1e-6)
            np.testing.assert_allclose(moved.weights[site][head, query], expected, atol=1e-5)
            assert moved.weights[site][head, query].sum() == pytest.approx(1, abs=1e-5)
    assert changed


def slow_row(row, image, sinks, p, rho, least, variant):
    seen = sum(row[i] for i in image)
    share = sum(row[i] for i in image & sinks) / sum(row[i] + 1e-6 for i in image)
    takes_part = seen >= least and (share <= rho if variant == "code" else 1 - share >= rho)
    held = sum(row[i] for i in image - sinks)
    if not takes_part or held == 0:
        return row
    givers, keep = (sinks, p) if variant == "code" else (sinks & image, 1 - p)
    budget = (1 - keep) * sum(row[i] for i in givers)
    return np.array([
        row[i] * keep if i in givers else row[i] + budget * row[i] / held if i in image else row[i] for i in range(len(row))
    ])  # fmt: skip


def test_sink_dimensions_are_found_at_a_planted_token():
    from analysis.fixes.sinks import sink_dimensions

    states = [np.ones((4, 9)) for _ in range(6)]
    for state in states[1:5]:
        state[1, 7] = 50
    assert sink_dimensions(states, 1, 2.0) == (7,) and sink_dimensions(states, 0, 2.0) == ()


def test_heads_are_chosen_above_the_median_and_outliers_are_not():
    seen, less = np.zeros((5, 2)), np.zeros((5, 2))
    seen[:, 0] = [1, 2, 3, 4, 9]
    assert chosen_heads(seen, less) == (3, 4)
    less[4], seen[4] = [0, 20], [9, 20]
    assert chosen_heads(seen, less) == (2, 3)


@pytest.mark.parametrize("name", TWO)
def test_heads_are_reinforced_in_turn(name):
    model, inputs = asked(name)
    gates = decided(model, inputs, vision_heads_reinforced(alpha=3.0)["edits"])
    assert [gate.where.layers for gate in gates] == [(0,), (1,)]
    blind = model.prepare(text=QUESTION)
    for layer, before in ((0, ()), (1, gates[:1])):
        outputs = []
        for given in (inputs, blind):
            capture = ma.capture(model, given, edits=before, want={"values"})
            site = decoder(capture)[layer]
            outputs.append(np.einsum("hk,hkd->hd", capture.weights[site][:, -1], capture.values[site]))
        divergence = np.sqrt(((outputs[0] - outputs[1]) ** 2).sum(-1))
        alone = (outputs[1] ** 2).sum(-1)
        for h in range(len(alone)):
            if divergence[h] > divergence.mean() + divergence.std() and alone[h] > alone.mean() + alone.std():
                outputs[0][h] = outputs[1][h]
        divergence = np.sqrt(((outputs[0] - outputs[1]) ** 2).sum(-1))
        assert gates[layer].where.heads == tuple(np.flatnonzero(divergence > np.median(divergence)))


def test_reinforced_heads_speak_louder_through_the_output_projection():
    model, inputs = asked("llava")
    options = vision_heads_reinforced(alpha=3.0, last=1)
    (gate,) = decided(model, inputs, options["edits"])
    projection = model.module.model.language_model.layers[1].self_attn.o_proj

    def louder(module, args):
        louder_heads = args[0].clone().unflatten(-1, (4, -1))
        louder_heads[:, -1, list(gate.where.heads)] *= 3.0
        return (louder_heads.flatten(-2),)

    handle = projection.register_forward_pre_hook(louder)
    try:
        expected = ma.generate(model, inputs, max_new_tokens=LONGEST, keep=NOTHING)
    finally:
        handle.remove()
    found = ma.generate(model, inputs, max_new_tokens=LONGEST, keep=NOTHING, **options)
    assert found.edits == (gate,)
    for one, other in zip(found.tokens, expected.tokens, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=2e-4)


OTHERS = "taken out", "hidden"


@pytest.mark.parametrize("score", ["single wide head", "class"])
def test_only_the_outliers_of_the_encoder_are_left_to_see(score):
    model, inputs = asked("llava")
    chosen = (contrast_with_outliers(count=7, score=score, others=others)["decoding"] for others in OTHERS)
    (dropped,), (hidden,) = (decided(model, inputs, each.look.edits) for each in chosen)
    seen = ma.capture(model, inputs, want={"queries"})
    site = [s for s in seen.sites if s.tower == "vision"][-2]
    scores = np.zeros(seen.shapes[site][2])
    for key in range(len(scores)):
        if score == "class":
            scores[key] = sum(float(seen.weights[site][head, 0, key]) for head in range(site.heads))
        else:
            scores[key] = float(np.concatenate(list(seen.queries[site][:, 0])) @ np.concatenate(list(seen.keys[site][:, key])))
    order = np.argsort(-scores[1:])
    image = image_of(model, inputs)
    assert set(dropped.where.queries) == set(hidden.where.keys) == set(image) - set(image[order[:7]])
    with pytest.raises(ValueError, match="65 image tokens were to be left"):
        ids("llava", **contrast_with_outliers(count=65))


@pytest.mark.parametrize("name", ["llava", "bundled:lvlm"])
def test_tokens_taken_out_and_tokens_hidden_come_to_the_same(name):
    model, inputs = asked(name)
    out, hidden = (
        ma.generate(
            model, inputs, max_new_tokens=6, keep=NOTHING,
            decoding=ma.Contrast(ma.Under((OnlyOutliers(5, "received", others),)), 1.0, 0.1),
        )
        for others in OTHERS
    )  # fmt: skip
    said = [token.id for token in out.tokens]
    assert said == [token.id for token in hidden.tokens]
    looks = [decided(model, inputs, (OnlyOutliers(5, "received", others),)) for others in OTHERS]
    first, second = (next_scores(model, inputs, said, edits) for edits in looks)
    np.testing.assert_allclose(first, second, atol=2e-4)


def test_tokens_are_sorted_as_published():
    early, late = np.arange(8.0), np.array([1, 1.1, 1.2, 0.9, 1.0, 1.05, 1.15, 9.0])
    local, outlier = sorted_tokens(early, late, 0.25)
    assert np.flatnonzero(local).tolist() == [6] and np.flatnonzero(outlier).tolist() == [7]


def test_two_groups_of_image_tokens_are_raised():
    model, inputs = asked("llava")
    edits = decided(model, inputs, balanced_attention(first_layer=0)["edits"])
    seen = ma.capture(model, inputs)
    rows = [seen.weights[s][:, 0, 1:].sum(0) for s in seen.sites if s.tower == "vision"]
    low, high = np.quantile(rows[-2], [0.25, 0.75])
    outliers = {i for i, v in enumerate(rows[-2]) if v > high + 1.5 * (high - low)}
    local = set(np.argsort(-rows[0])[:16].tolist()) - outliers
    image = image_of(model, inputs)
    expected = {0.7: {int(image[i]) for i in local}, 0.3: {int(image[i]) for i in outliers}}
    assert {e.alpha: set(e.where.keys) for e in edits} == {a: keys for a, keys in expected.items() if keys}
    assert all(e.where.queries == "last" and e.where.layers == (0, 1) for e in edits)


@pytest.mark.parametrize("name", ["llava", "bundled:lvlm"])
def test_heads_that_look_at_the_image_are_raised_more(name):
    model, inputs = asked(name)
    options = balanced_attention(first_layer=0, guidance=1, heads="by their attention to the image")
    edits, image = decided(model, inputs, options["edits"]), image_of(model, inputs)
    seen = ma.capture(model, inputs, want={"queries"})
    site = decoder(seen)[0]
    mass = [sum(float(seen.weights[site][h, -1, k]) for k in image) for h in range(site.heads)]
    own = [edit for edit in edits if edit.where.layers == (0,)]
    for edit in own:
        np.testing.assert_allclose(edit.factors, [m / np.mean(mass) for m in mass], rtol=1e-5)
    row = ma.generate(model, inputs, max_new_tokens=1, **options).tokens[0].weights[site.name]
    for head in range(site.heads):
        scores = np.array([
            float(seen.queries[site][head, -1] @ key) / np.sqrt(seen.queries[site].shape[-1]) for key in seen.keys[site][head]
        ])  # fmt: skip
        for edit in own:
            keys = list(edit.where.keys)
            scores[keys] += edit.alpha * mass[head] / np.mean(mass) * np.abs(scores[keys])
        raised = np.exp(scores - scores.max())
        np.testing.assert_allclose(row[head], raised / raised.sum(), atol=1e-5)
    assert own and max(own[0].factors) > 1 > min(own[0].factors)


def test_a_tower_that_hides_its_queries_gets_a_sentence(monkeypatch):
    model, inputs = asked("llava")
    glance = ma.Glance(model, inputs)
    seen = replace(glance.towers(want={"queries"}), queries=BySite({}), keys=BySite({}))
    monkeypatch.setattr(ma.Glance, "towers", lambda self, want=(): seen)
    with pytest.raises(ma.AdapterError, match='does not show the queries and keys.*score="class" needs none'):
        ma.generate(model, inputs, max_new_tokens=2, **contrast_with_outliers())
    assert ma.generate(model, inputs, max_new_tokens=2, **contrast_with_outliers(score="class")).tokens


@pytest.mark.parametrize("score", ["single wide head", "class"])
def test_attention_by_hand_is_no_bare_error(score):
    module, processor = hf.build("llava", attn_implementation="eager")
    model = ma.wrap(module, processor, name="by hand", kind="lvlm", verify=False)
    inputs = model.prepare(image=scene(), text=QUESTION)
    try:
        assert ma.generate(model, inputs, max_new_tokens=2, **contrast_with_outliers(score=score)).tokens
    except ma.AdapterError as error:
        assert score == "single wide head" and "computes its attention by hand" in str(error)


def test_the_least_relevant_is_painted_over():
    picture = np.full((4, 6, 3), 200, np.uint8)
    boxes = np.array([[0, 0, 2, 4], [2, 0, 4, 4], [1, 0, 3, 4], [np.nan] * 4], float)
    found = painted(picture, boxes, np.array([0.1, 0.5, 0.9, 0.0]), 0.5)
    assert (found[:, 0] == 0).all() and (found[:, 1:] == 200).all()
    assert (painted(picture, boxes, np.arange(4.0), 0.0) == 200).all()


@pytest.mark.parametrize("name", TWO)
def test_relevance_is_weight_times_positive_gradient(name):
    model, inputs = asked(name)
    seen = ma.capture(model, inputs, want={"gradients"})
    site = decoder(seen)[1]
    roles = ma.Glance(model, inputs).roles
    expected = [
        np.mean([
            float(seen.weights[site][h, q, k]) * max(float(seen.gradients[site][h, q, k]), 0)
            for h in range(site.heads) for q in np.flatnonzero(roles == "question")
        ])
        for k in np.flatnonzero(roles == "image")
    ]  # fmt: skip
    np.testing.assert_allclose(question_relevance(ma.Glance(model, inputs)), expected, rtol=1e-4, atol=1e-12)
    assert max(expected) > 0


def test_random_heads_are_as_many_as_asked_and_others_from_another_seed():
    model, inputs = asked("llava")
    drawn = [decided(model, inputs, random_heads_silenced(share=0.5, seed=seed)["edits"]) for seed in range(4)]
    assert all(sum(len(edit.where.heads) for edit in edits) == 4 for edits in drawn) and len(set(drawn)) > 1
    assert all(edit.value == 0 for edits in drawn for edit in edits)


def test_what_a_model_writes_into_itself_is_kept_apart():
    from model_adapters.contrast_state import Aside

    module = torch.nn.Module()
    module.reach, module.installed = None, False
    aside = Aside(module)
    module.reach = mine = torch.tensor(1)

    def first():
        assert module.reach is None
        module.reach, module.installed, module.new = torch.tensor(2), True, 7

    aside.run(first)
    assert module.reach is mine and module.installed and not hasattr(module, "new")
    module.reach = later = torch.tensor(3)
    assert int(aside.run(lambda: module.reach + module.new)) == 9
    assert module.reach is later and not hasattr(module, "new")
