"""What studies measure, against the same said picture by picture by the methods of `analysis`, and against slow sums."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import model_adapters as ma
from analysis.importance_gradient import gate_times_gradient
from analysis.sinks import sinks_by_attention, sinks_by_norm
from analysis.strength import attention_distance, attention_entropy, attention_share, ring_strength
from studies.conduct import conduct
from studies.held import held
from studies.spec import ModelSpec
from tests.studies.small import MODEL, encoded, folder_of, pictures, rows, same, study

LOW = {"factor": 1.5, "deviations": 2.0}
"""Noise has no sinks to speak of: thresholds so low that some tokens pass."""
SHARES = ({"strength": {"rings": [1, 2]}}, {"sinks": {"factor": 1.5}}, "class_attention", "importance_gradient")
EVERY = (*SHARES, "importance_exact")


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Square pictures, where distances as shares of the diagonal mean the same for each picture by itself."""
    path = tmp_path_factory.mktemp("squares")
    for number, picture in enumerate(pictures(5)):
        (path / f"{number}.png").write_bytes(encoded(picture.resize((200, 200))))
    return path


@pytest.fixture(scope="module", params=["timm:test_vit", "bundled:swin", "bundled:vit-registers"])
def measured(request, squares, tmp_path_factory):
    """A model, captures of the pictures one by one, and the rows that a study finds of them."""
    told = {**MODEL, "name": request.param} if request.param.startswith("timm") else {"name": request.param}
    store = tmp_path_factory.mktemp("store")
    measures = SHARES if "swin" in request.param else EVERY
    conduct(study(store, {"kind": "images", "path": str(squares)}, measures, models=[told], batch=3))
    model = held(ModelSpec(**told))[0]
    shown = [Image.open(squares / f"{n}.png").convert("RGB") for n in range(5)]
    return model, [ma.capture(model, model.prepare(image=one)) for one in shown], rows(store, "heads"), shown


def column(found, name: str, record: int, model: ma.Model) -> np.ndarray:
    """[L, H] of one record; NaN where a layer has fewer heads."""
    sites = [s for s in model.report.seen if s.tower == "vision"]
    wide = np.full((len(sites), max(s.heads for s in sites)), np.nan)
    data = {name: found[name].to_numpy() for name in ("record", "layer", "head", name)}
    here = data["record"] == record
    wide[data["layer"][here], data["head"][here]] = data[name][here]
    return wide


def test_strength_is_that_of_the_methods(measured):
    model, captures, found, shown = measured
    diagonal = np.hypot(*shown[0].size)
    for record, capture in enumerate(captures):
        expected = {
            "entropy": attention_entropy(capture).values,
            "distance": attention_distance(capture).values / diagonal,
            "hops_1": ring_strength(capture, hop=1).values,
            "hops_2": ring_strength(capture, hop=2).values,
            "to_self": attention_share(capture, to="self").values,
        }
        if "swin" not in model.name:
            expected["to_class"] = attention_share(capture, to="class").values
            expected["to_sinks"] = attention_share(capture, to="sinks", sink_factor=1.5).values
        if "registers" in model.name:
            expected["to_register"] = attention_share(capture, to="registers").values
        for name, values in expected.items():
            # Boxes are measured on a picture, to a fraction of a pixel: on another size they differ by that.
            within = {"rtol": 1e-3} if name == "distance" else {"rtol": 2e-5, "atol": 2e-6}
            np.testing.assert_allclose(column(found, name, record, model), values, **within, err_msg=name)


def test_the_class_token_by_hand(measured):
    model, captures, found, _ = measured
    if "swin" in model.name:
        assert found["class_entropy"].null_count == len(found)
        return
    for record, capture in enumerate(captures):
        for layer, site in enumerate(capture.sites):
            roles = capture.layouts[site].queries.roles
            at = int(np.flatnonzero(roles == "class")[0])
            for head in range(site.heads):
                row = capture.weights[site][head, at].astype(float)
                to_patches = row[roles == "patch"]
                expected = {
                    "class_entropy": -sum(w * np.log(w) for w in row if w > 0) / np.log(len(row)),
                    "class_to_patches": to_patches.sum(),
                    "class_to_self": row[at],
                    "class_top": sorted(to_patches)[-10:] @ np.ones(10),
                }
                for name, value in expected.items():
                    assert column(found, name, record, model)[layer, head] == pytest.approx(value, abs=2e-6), name


def test_importance_is_that_of_the_methods(measured):
    model, _, found, shown = measured
    for record, one in enumerate(shown):
        inputs = model.prepare(image=one)
        capture = ma.capture(model, inputs, want={"heads", "gradients"})
        expected = gate_times_gradient(capture).values
        np.testing.assert_allclose(column(found, "gate_times_gradient", record, model), expected, atol=1e-4, rtol=1e-4)
        if "importance" not in found.column_names:
            continue
        base = ma.run(model, inputs).double().log_softmax(-1)[0]
        silent = ma.run(model, inputs, ma.edits.Gate(ma.Where(layers=(1,), heads=(0,)), 0.0)).double().log_softmax(-1)[0]
        drop = float(base[base.argmax()] - silent[base.argmax()])
        assert column(found, "importance", record, model)[1, 0] == pytest.approx(drop, abs=1e-4)


def test_sinks_of_a_layer_are_counted_picture_by_picture(tmp_path, squares):
    conduct(study(tmp_path, {"kind": "images", "path": str(squares)}, ({"sinks": LOW},), models=["bundled:vit-sinks"]))
    found, model = rows(tmp_path, "layers"), held(ModelSpec("bundled:vit-sinks"))[0]
    places = list(zip(found["record"].to_pylist(), found["layer"].to_pylist(), strict=True))
    names = ("sinks_by_norm", "largest_norm", "sinks_by_attention")
    counted, norms, attention = (dict(zip(places, found[name].to_pylist(), strict=True)) for name in names)
    assert any(counted.values())
    for record in range(5):
        capture = ma.capture(model, model.prepare(image=squares / f"{record}.png"), want={"hidden"})
        for layer in range(len(capture.sites)):
            assert counted[record, layer] == sinks_by_norm(capture, layer=layer, deviations=LOW["deviations"]).is_sink.sum()
            patches = capture.layouts[capture.sites[layer]].queries.placed
            longest = np.linalg.norm(capture.hidden["vision", layer][patches], axis=-1).max()
            assert norms[record, layer] == pytest.approx(longest, rel=1e-5)
            given = sinks_by_attention(capture, layer=layer, threshold=LOW["factor"], among="all")
            assert attention[record, layer] == given.is_sink.sum()


def test_the_rows_do_not_depend_on_batch_or_shard(tmp_path):
    data = {"kind": "images", "path": str(folder_of(tmp_path / "data", 13))}
    for number, (batch, shard) in enumerate([(1, 13), (4, 8), (16, 5)]):
        conduct(study(tmp_path / f"s{number}", data, (*EVERY, "head_types"), batch=batch, shard=shard))
    for table in ("heads", "layers", "images"):
        for other in ("s1", "s2"):
            same(rows(tmp_path / "s0", table), rows(tmp_path / other, table))
