"""The bundled models do on 200 other scenes what their cards say."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from analysis.evaluation.figures import ratio
from world.bundled import MODELS, open_clip, open_lvlm, open_timm
from world.datasets import TEST_BIASED, TEST_UNBIASED
from world.evaluation.classifying import hits
from world.evaluation.matching import retrieval_figures
from world.evaluation.speaking import captions, chair_figures, pope_figures
from world.rendering import render

NAMES = sorted(path.parent.name for path in MODELS.glob("*/card.json"))
VISION = [name for name in NAMES if name.startswith(("vit", "swin"))]
SPEAKERS = [name for name in NAMES if name.startswith("lvlm")]
OTHERS = 20_000  # where the scenes start that no card has used


def _card(name: str) -> dict:
    return json.loads((MODELS / name / "card.json").read_text())


def _agrees(found: object, card: dict, figure: str) -> bool:
    """Whether a figure on few scenes and the card's can be the same: their intervals meet.

    Where all of n cases come out alike the bootstrap sees no spread; three in n may still be otherwise.
    """
    told, unseen = card["figures"][figure], 3 / found.images
    return found.low - unseen <= told["high"] and told["low"] <= found.high + unseen


@pytest.mark.parametrize("name", VISION)
def test_classifiers(name: str) -> None:
    model, card = open_timm(name), _card(name)
    right, _ = hits(model, TEST_UNBIASED.take(200, OTHERS))
    assert _agrees(ratio(right), card, "accuracy_unbiased")
    assert card["figures"]["accuracy_unbiased"]["value"] >= 0.7
    assert card["figures"]["accuracy_biased"]["value"] >= 0.85


@pytest.mark.skipif("clip" not in NAMES, reason="the CLIP is not there")
def test_matcher() -> None:
    figures = retrieval_figures(open_clip(), TEST_UNBIASED.take(200, OTHERS))
    assert _agrees(figures["caption_among_100"], _card("clip"), "caption_among_100_unbiased")
    assert _card("clip")["figures"]["caption_among_100_unbiased"]["value"] >= 0.6


@pytest.mark.parametrize("name", SPEAKERS)
def test_speakers(name: str) -> None:
    model, card = open_lvlm(name), _card(name)
    scenes = TEST_UNBIASED.take(200, OTHERS)
    told = chair_figures(captions(model, scenes), scenes)
    assert _agrees(told["chair_i"], card, "chair_i_unbiased")
    assert _agrees(told["recall"], card, "recall_unbiased")
    asked = pope_figures(model, TEST_BIASED.take(60, OTHERS))
    assert _agrees(asked["pope_random_accuracy"], card, "pope_random_accuracy_biased")


@pytest.mark.skipif(len(SPEAKERS) < 2, reason="not both LVLMs are there")
def test_tuning_lowers_what_is_made_up() -> None:
    before, after = (_card(name)["figures"] for name in ("lvlm", "lvlm-tuned"))
    assert after["chair_i_change_unbiased"]["high"] < 0
    assert after["recall_change_unbiased"]["low"] > 0
    asked = "pope_adversarial_false_positives_unbiased"
    assert after[asked]["high"] < before[asked]["low"]


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_readable_and_whole(name: str) -> None:
    files = list((MODELS / name).iterdir())
    assert all(os.stat(path).st_mode & 0o044 == 0o044 for path in files)
    assert not any(path.suffix in {".bin", ".pt", ".pickle"} for path in files)
    assert {"title", "library", "data", "training", "figures", "licence", "notes"} <= set(_card(name))
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in _card(name)["figures"].values())


def test_all_weights_together_are_small() -> None:
    assert 0 < sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_loads_by_name_and_passes_its_check(name: str) -> None:
    import model_adapters as ma

    image = Image.fromarray(render(TEST_UNBIASED[OTHERS], 384).image)
    model = ma.load(f"bundled:{name}")
    text = {"lvlm": "is there a red ball?", "dual": ["a picture of the sea with a red boat."]}.get(model.kind)
    found = ma.capture(model, model.prepare(image=image, text=text), keep=ma.Keep(queries="last"))
    assert model.report.passed
    assert np.isfinite(found.logits).all()


def test_a_second_seed_stands_beside_the_first_and_only_a_second_seed(tmp_path):
    from world.evaluation.second_seed import write_second

    def card(name, seed, **changes):
        made = {"title": "a model", "parameters": 3, "images": 10, "training": {"seed": seed, "steps": 5}, "figures": {"x": seed}}
        (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / name / "card.json"
        path.write_text(json.dumps(made | changes))
        return path

    shipped = card("swin", 0)
    write_second(shipped, card("other", 1))
    written = json.loads(shipped.read_text())
    assert written["figures"] == {"x": 0} and written["second_seed"]["figures"] == {"x": 1}
    with pytest.raises(ValueError, match="Both cards come from seed 0"):
        write_second(shipped, card("other", 0))
    with pytest.raises(ValueError, match="images is 10 here and 200 there"):
        write_second(shipped, card("other", 1, images=200))
