"""Maps by name of real models: the model's own logits, the transform's own crop, and a shared model that stays as it is."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from timm.models import VisionTransformer
from timm.models.deit import VisionTransformerDistilled

import analysis
import model_adapters as ma
from analysis.explain import explain, faithful, offered, randomised, why_not
from analysis.logit_attribution import Readout, head_contributions, path_contributions
from analysis.maps import raw_attention
from analysis.registry import find, methods
from analysis.rollout import rollout
from tests.zoo import hf
from tests.zoo.shake import scene, shaken
from tests.zoo.timm_models import build_timm

SQUARE = {"rollout", "attention_flow", "gradient_attention_relevance", "gradient_rollout", "token_grad_cam", "cleaned_attention"}
PIXELS = {"attn_lrp", "integrated_gradients", "input_x_gradient", "gradient_shap", "patch_ablation", "occlusion"}
GRADIENT = {"gradient_attention_relevance", "gradient_rollout", "gradient_attention", "token_grad_cam"}
REFUSED = {
    "bundled:vit": {"attention_flow"},  # too many edges for the flow, said when it is made
    "vit_tiny_patch16_224": set(),
    "deit_tiny_distilled_patch16_224": set(),
    "deit3_small_patch16_224": set(),
    "vit_small_patch14_reg4_dinov2": PIXELS | GRADIENT | {"patch_contributions"},  # no class scores
    "vit_base_patch16_siglip_224": PIXELS | GRADIENT | SQUARE | {"patch_contributions"},
    "swin_tiny_patch4_window7_224": SQUARE | {"patch_contributions"},
    "hf:vit": {"patch_contributions"},
    "hf:clip": {"patch_contributions"},
}
"""Which map methods each model refuses."""
OPTIONS = {"integrated_gradients": {"steps": 4}, "gradient_shap": {"samples": 2}}
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}


def model_of(name: str) -> ma.Model:
    if name.startswith("bundled:"):
        return ma.load(name)
    if name.startswith("hf:"):
        module, processor = hf.build(name[3:])
        return ma.wrap(module, processor, name=name, kind="dual" if name == "hf:clip" else "vit", verify=False)
    return ma.wrap(build_timm(name), name=name, verify=False)


def subject_of(name: str) -> ma.Subject:
    model = model_of(name)
    return ma.subject(model, scene(), ["a red circle", "a dog"] if model.kind == "dual" else None)


def tiny(builder=VisionTransformer, config=None, **options) -> ma.Subject:
    torch.manual_seed(3)
    module = builder(**{**TINY, **options})
    module.pretrained_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0, **(config or {})}
    return ma.subject(ma.wrap(shaken(module).requires_grad_(False), name="tiny", verify=False), scene())


@pytest.mark.parametrize("name", REFUSED)
def test_every_map_runs_or_is_refused_with_its_sentence(name):
    subject, refused = subject_of(name), set()
    for made in methods("map"):
        reason = why_not(subject, made.name)
        try:
            shown = explain(subject, made.name, **OPTIONS.get(made.name, {}))
        except ValueError as error:
            assert reason == str(error) or (reason is None and made.name == "attention_flow")
            assert str(error).startswith((made.title, made.title.lower())) and str(error).endswith(".")
            refused.add(made.name)
            continue
        assert reason is None
        assert shown.size == scene().size and shown.raster().shape == (200, 320)
        assert np.isfinite(shown.values).all() and np.ptp(shown.values) > 0, made.name
    assert refused == REFUSED[name] | {"co_attention_relevance"}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "vit_small_patch14_reg4_dinov2"])
def test_what_is_offered_is_what_why_not_says(name):
    subject = subject_of(name)
    needs = offered(subject)
    assert {"weights", "grid", "run"} <= needs
    for made in methods("map"):
        assert (made.why_not(needs) is None) == (why_not(subject, made.name) is None), made.name


@pytest.mark.parametrize(
    ("builder", "options"),
    [
        (VisionTransformer, {}),
        (VisionTransformer, {"global_pool": "avg"}),
        (VisionTransformer, {"global_pool": "avg", "fc_norm": False, "reg_tokens": 3}),
        (VisionTransformer, {"reg_tokens": 2, "init_values": 0.3}),
        (VisionTransformer, {"norm_layer": "rmsnorm", "class_token": False, "global_pool": "avg"}),
        (VisionTransformer, {"final_norm": False, "proj_bias": False}),
        (VisionTransformer, {"qk_norm": True, "qkv_bias": False}),
        (VisionTransformerDistilled, {}),
    ],
)
def test_parts_add_up_to_every_logit_of_the_model(builder, options):
    subject = tiny(builder, **options)
    with torch.no_grad():
        logits = subject.model.module(subject.inputs.tensors["x"])[0].numpy()
    capture = subject.capture(frozenset({"hidden", "values", "heads"}))
    for target in range(5):
        given = subject.readout(target)
        readout = Readout(**{name: getattr(given, name) for name in given.__dataclass_fields__})
        parts = path_contributions(capture, readout)
        assert parts.values.sum() == pytest.approx(logits[target], abs=2e-5)
        named = dict(zip(parts.names, parts.values, strict=True))
        along = head_contributions(capture, readout).values.sum(1)
        if not options.get("proj_bias", True):
            assert along == pytest.approx([named["attention 0"], named["attention 1"]], abs=1e-6)
    assert explain(subject, "patch_contributions", target=1).signed


def test_what_a_head_writes_is_what_is_lost_without_it_where_nothing_comes_after():
    """No MLP behind and no norm: the direct part of a head of the last layer is the whole of its effect."""
    subject = tiny(final_norm=False, init_values=0.5)
    with torch.no_grad():
        subject.model.module.blocks[-1].ls2.gamma.zero_()
    capture = subject.capture(frozenset({"hidden", "values", "heads"}))
    given = subject.readout(2)
    direct = head_contributions(capture, Readout(**{n: getattr(given, n) for n in given.__dataclass_fields__})).values
    whole = subject.run()(())[0, 2]
    for head in range(4):
        gone = subject.run()((ma.edits.Gate(ma.Where(layers=(1,), heads=(head,)), 0.0),))[0, 2]
        assert whole - gone == pytest.approx(direct[1, head], abs=1e-5)


@pytest.mark.parametrize(
    ("builder", "options", "sentence"),
    [
        (VisionTransformer, {"global_pool": "map", "class_token": False}, "pools its tokens by 'map'"),
        (VisionTransformer, {"global_pool": "max"}, "pools its tokens by 'max'"),
        (VisionTransformer, {"scale_attn_norm": True}, "one linear output projection"),
    ],
)
def test_a_readout_that_is_not_known_is_refused(builder, options, sentence):
    with pytest.raises(ValueError, match=f"needs the weights of the model itself.*{sentence}"):
        explain(tiny(builder, **options), "patch_contributions")


@pytest.mark.parametrize("name", ["patch_ablation", "patch_contributions", "gradient_rollout", "integrated_gradients"])
def test_a_model_of_features_is_refused_for_its_lack_of_classes(name):
    """Not for the weights, the pixels or the gradients, which it has."""
    subject = tiny(num_classes=0)
    said = why_not(subject, name)
    assert said == f"{find(name).title} needs class scores. {subject.refusals['logits']}"
    assert "it returns features, as it has no classifier" in said
    with pytest.raises(ValueError, match="needs class scores"):
        explain(subject, name)


@pytest.mark.parametrize("crop", [1.0, 0.8])
def test_pixels_lie_where_the_transform_cuts(crop):
    """timm scales the shorter side to size / crop_pct and cuts the middle; of a wide picture the sides are lost."""
    subject = tiny(config={"crop_pct": crop})
    pixels = subject.pixels()
    scaled = int(32 / crop)
    wide = int(scaled * 320 / 200)
    left, top = round((wide - 32) / 2), round((scaled - 32) / 2)
    expected = np.array([left * 320 / wide, top * 200 / scaled, (left + 32) * 320 / wide, (top + 32) * 200 / scaled])
    assert np.allclose(pixels.box, expected, atol=0.3)
    assert pixels.cell == 8 and pixels.size == (320, 200)
    assert torch.equal(pixels.values, subject.model.processor(scene()))
    boxes = explain(subject, "input_x_gradient").rows.boxes
    assert len(boxes) == 16 and np.allclose(boxes[0, :2], expected[:2], atol=0.3)


def test_what_is_padded_shows_nothing():
    """320 x 200 becomes 32 x 20, with 6 grey lines above and below: whole cells of 2 lines in all, 4 lines in part."""
    subject = tiny(config={"crop_pct": 1.0, "crop_mode": "border"})
    assert np.allclose(subject.pixels().box, (0, -60, 320, 260), atol=1)
    rows = explain(subject, "input_x_gradient").rows
    assert rows.boxes[:4, 1:4:2] == pytest.approx(np.tile([0, 20], (4, 1)), abs=1)
    subject = tiny(config={"crop_pct": 1.0, "crop_mode": "border"}, patch_size=4)
    rows = explain(subject, "input_x_gradient").rows
    assert (rows.roles[:8] == "pad").all() and (rows.roles[8:16] == "patch").all() and not rows.placed[:8].any()


@pytest.mark.parametrize(("name", "cell"), [("pit_ti_224", 16), ("hiera_tiny_224", 32), ("xcit_nano_12_p16_224", 16)])
def test_cells_are_the_last_tokens_that_cut_the_picture_or_sixteen_pixels(name, cell):
    subject = subject_of(name)
    pixels, side = subject.pixels(), subject.inputs.tensors["x"].shape[-1]
    assert pixels.cell == cell and side % cell == 0
    share = side / subject.model.processor.transforms[0].size
    assert pixels.box[3] - pixels.box[1] == pytest.approx(200 * share, abs=1)
    assert np.ptp(explain(subject, "input_x_gradient").values) > 0


def test_without_a_site_the_last_one_on_the_image_is_shown():
    subject = subject_of("davit_tiny")  # its last attention is over channels
    sites = [s for s in subject.capture().sites if subject.capture().layouts[s].keys.placed.any()]
    assert sites[-1] != subject.capture().sites[-1]
    assert np.array_equal(explain(subject, "raw_attention").values, raw_attention(subject.capture(), site=sites[-1]).values)


def test_layers_are_found_where_no_module_says_attention():
    assert len(subject_of("hiera_tiny_224").layers) == 5


def test_integrated_gradients_add_up_to_the_difference_of_scores():
    subject = tiny()
    shown = explain(subject, "integrated_gradients", target=3, steps=256)
    with torch.no_grad():
        ends = subject.model.module(torch.stack([subject.pixels().values, torch.zeros(3, 32, 32)]))[:, 3]
    assert shown.values.sum() == pytest.approx(float(ends[0] - ends[1]), abs=0.02)


def test_options_reach_the_method_and_wrong_ones_are_named():
    subject = subject_of("bundled:vit")
    capture = ma.capture(subject.model, subject.inputs)
    assert np.allclose(
        explain(subject, "raw_attention", site=1, head=2, query=7).values,
        raw_attention(capture, site=capture.sites[1], head=2, query=7).values,
    )
    assert np.allclose(explain(subject, "rollout", residual=0.2).values, rollout(capture, residual=0.2).values)
    assert np.allclose(explain(subject, "raw_attention").values, raw_attention(capture, site=capture.sites[-1]).values)
    other = subject.before(scene((200, 200)))
    relative = explain(subject, "cleaned_attention", others=(other,))
    rows = [s.capture().weights[5][:, 0, 1:].mean(0) for s in (subject, other)]
    assert np.allclose(relative.values, rows[0] / rows[1], rtol=1e-4)
    with pytest.raises(ValueError, match="has no option 'steps'"):
        explain(subject, "rollout", steps=3)
    with pytest.raises(ValueError, match="makes no map"):
        explain(subject, "path_contributions")
    with pytest.raises(ValueError, match="scores 12 classes"):
        explain(subject, "gradient_attention", target=12)
    with pytest.raises(ValueError, match="site 6 was asked for"):
        explain(subject, "raw_attention", site=6)


def test_the_target_counts_and_none_is_the_predicted_class():
    subject = tiny()
    best = int(subject.run()(())[0].argmax())
    assert np.allclose(explain(subject, "gradient_attention").values, explain(subject, "gradient_attention", target=best).values)
    other = explain(subject, "gradient_attention", target=(best + 1) % 5)
    assert not np.allclose(explain(subject, "gradient_attention").values, other.values)
    assert np.allclose(explain(subject, "input_x_gradient").values, explain(subject, "input_x_gradient", target=best).values)


def test_only_what_is_needed_is_kept_and_it_is_kept_once(monkeypatch):
    module = importlib.import_module("model_adapters.subject")
    asked = []
    monkeypatch.setattr(module, "capture", lambda *a, **k: asked.append(k["want"]) or ma.capture(*a, **k))
    subject = tiny()
    explain(subject, "rollout")
    explain(subject, "raw_attention")
    assert asked == [frozenset()]
    explain(subject, "gradient_rollout", target=1)
    explain(subject, "gradient_attention", target=1)
    assert asked == [frozenset(), {"gradients"}]
    explain(subject, "value_weighted_attention")
    assert asked[2:] == [{"values"}]


def test_threads_share_a_subject():
    subject = tiny()
    names = ["rollout", "gradient_rollout", "value_weighted_attention", "token_grad_cam", "input_x_gradient"] * 3
    alone = {name: explain(tiny(), name, target=2).values for name in set(names)}
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda name: explain(subject, name, target=2).values, names))
    for name, values in zip(names, found, strict=True):
        assert np.allclose(values, alone[name], atol=1e-6), name


@pytest.mark.parametrize("name", ["tiny", "swin_tiny_patch4_window7_224", "hf:clip"])
def test_shuffling_changes_a_copy_and_leaves_the_shared_model_as_it_is(name):
    subject = tiny() if name == "tiny" else subject_of(name)
    before = {n: p.clone() for n, p in subject.model.module.state_dict().items()}
    scores = subject.run()(())
    depth = len(subject.layers)
    for count in range(depth + 1):
        other = subject.shuffled(count, seed=1)
        state = other.model.module.state_dict()
        changed = {n for n, p in state.items() if not torch.equal(p, before[n])}
        assert changed <= set(subject.layers.last(count))
        assert all(torch.equal(p.flatten().sort()[0], before[n].flatten().sort()[0]) for n, p in state.items())
        assert np.array_equal(other.run()(()), scores) == (count == 0)
    assert all(torch.equal(p, before[n]) for n, p in subject.model.module.state_dict().items())
    assert np.array_equal(subject.run()(()), scores)
    assert np.array_equal(subject.shuffled(1, seed=1).run()(()), subject.shuffled(1, seed=1).run()(()))
    with pytest.raises(ValueError, match=f"the model runs {depth}"):
        subject.shuffled(depth + 1)


def test_layers_are_the_blocks_and_the_last_one_takes_the_classifier_along():
    layers = tiny().layers
    assert len(layers) == 2
    assert {n.split(".")[1] for n in layers.names[0]} == {"0"}
    assert {n for n in layers.names[1] if not n.startswith("blocks.1.")} == {
        "norm.weight",
        "norm.bias",
        "head.weight",
        "head.bias",
    }
    assert set(layers.last(2)) == {
        n for n, _ in tiny().model.module.named_parameters() if n.startswith(("blocks", "norm", "head"))
    }


def test_the_randomisation_check_of_a_subject():
    curve = randomised(tiny(), "gradient_rollout", target=1)
    assert len(curve.values) == 3 and curve.values[0] == pytest.approx(1) and (curve.values[1:] < 1).all()
    flat = randomised(tiny(), "raw_attention", site=0, layers=1)
    assert flat.values[1] == pytest.approx(1)  # the first layer's attention does not see the last layer's weights


def test_faithfulness_of_a_subject_is_that_of_its_own_score():
    subject = tiny()
    shown = explain(subject, "patch_ablation", target=1)
    mask = np.zeros((200, 320), bool)
    mask[50:150, 100:200] = True
    options = {"fills": ("mean",), "steps": 4, "orders": 2, "grid": 4, "samples": 4}
    found = faithful(subject, shown, target=1, mask=mask, again=lambda s: explain(s, "rollout"), nudges=1, **options)
    curve = found.deletion["mean"].curve.values
    with torch.no_grad():
        probability = subject.model.module(subject.inputs.tensors["x"]).softmax(-1)[0, 1]
        grey = scene().copy()
        grey.paste(tuple(np.rint(np.asarray(scene()).mean((0, 1))).astype(int)), (0, 0, 320, 200))
        empty = subject.model.module(subject.model.processor(grey)[None]).softmax(-1)[0, 1]
    assert curve[0] == pytest.approx(float(probability), abs=1e-5) and curve[-1] == pytest.approx(float(empty), abs=1e-5)
    assert found.pointing is not None and found.sensitivity is not None and found.infidelity is not None
    with pytest.raises(ValueError, match="gives no class scores"):
        faithful(tiny(num_classes=0), shown)


def test_a_subject_looks_at_one_picture():
    model = tiny().model
    with pytest.raises(ValueError, match="one picture. Got 2"):
        ma.subject(model, [scene(), scene()])
    assert ma.subject(model, [scene()]).capture().logits.shape == (5,)


def test_an_answer_of_a_language_model_is_explained_too():
    model = ma.load("bundled:lvlm")
    subject = ma.subject(model, scene(), "is there a boat in the picture ?")
    word = ma.generate(model, subject.inputs, max_new_tokens=1).tokens[0].id
    assert subject.predicted == word
    assert subject.score(word)(np.asarray(scene())[None])[0] == pytest.approx(
        float(torch.softmax(torch.from_numpy(subject.scores), -1)[word]), abs=1e-5
    )
    assert explain(subject, "input_x_gradient").size == (320, 200)
    decoder = explain(subject, "raw_attention", tower="decoder")
    assert len(decoder.values) == int((subject.inputs.tensors["input_ids"] == model.config.image_token_id).sum())
    assert find("patch_contributions").title in str(why_not(subject, "patch_contributions"))


def test_what_reads_the_image_by_cross_attention_has_a_map_of_two_streams():
    module, processor = hf.build("blip-2")
    subject = ma.subject(ma.wrap(module, processor, name="blip-2", kind="lvlm", verify=False), scene(), "what is this ?")
    shown = explain(subject, "co_attention_relevance", target=5)
    assert shown.size == scene().size and np.ptp(shown.values) > 0
    assert not np.allclose(shown.values, explain(subject, "co_attention_relevance", target=6).values)


def test_the_names_of_the_package_are_those_of_the_contract():
    assert analysis.explain is explain and analysis.faithful is faithful and analysis.offered is offered
    assert ma.subject(tiny().model, scene()).kind == "vit"
