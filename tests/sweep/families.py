"""Every family of models with attention: a tiny random member of each, checked as a loaded model is."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

import model_adapters as ma
from model_adapters.examples import example
from tests.zoo import hf
from tests.zoo.saved import save, save_timm
from tests.zoo.timm_models import TIMM_FAMILIES

NEW_TOKENS = 3
IMAGE_TEXT_TO_TEXT = tuple(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
TITLES = {"timm": "timm", "tower": "transformers: vision towers", "dual": "transformers: images with texts",
          "lvlm": "transformers: image and text to text"}  # fmt: skip

MOST_USED = frozenset(
    {
        "timm:vit_tiny_patch16_224", "timm:deit_tiny_distilled_patch16_224", "timm:beit_base_patch16_224",
        "timm:eva02_tiny_patch14_224", "timm:vit_small_patch14_reg4_dinov2", "timm:vit_small_patch16_dinov3",
        "timm:vit_base_patch16_siglip_224", "timm:swin_tiny_patch4_window7_224", "timm:swinv2_tiny_window8_256",
        "timm:cait_xxs24_224", "timm:pvt_v2_b0", "timm:xcit_nano_12_p16_224",
        "hf:vit", "hf:dinov2", "hf:clip", "hf:siglip", "hf:llava", "hf:llava_next", "hf:llava_onevision",
        "hf:qwen2_5_vl", "hf:qwen3_vl", "hf:internvl", "hf:paligemma", "hf:gemma3", "hf:mllama",
    }
)  # fmt: skip
"""The 25 families that every test run checks; the others are checked by `make sweep`."""


@dataclass(frozen=True)
class Refusal:
    """A family that does not pass, and why."""

    reason: str
    sentence: str = ""
    """A part of the sentence with which it is refused; empty where there is no model to build."""


NO_ATTENTION = "has no attention"
EXCEPTIONS: dict[str, Refusal] = {
    "timm:convnext_atto": Refusal("convolutions only", NO_ATTENTION),
    "timm:focalnet_tiny_srf": Refusal("focal modulation, no attention", NO_ATTENTION),
    "timm:mambaout_femto": Refusal("gated convolutions only", NO_ATTENTION),
    "timm:efficientvit_b0": Refusal("linear attention has no weights", "linear attention has no weights"),
    "hf:seggpt": Refusal("needs another picture and its mask as a prompt", "needs prompt_masks, prompt_pixel_values"),
    "hf:evolla": Refusal("reads proteins, no images"),
    "hf:mistral4": Refusal("reads text only, no images"),
    "hf:pi0": Refusal("a robot's policy: writes actions, no text"),
}
"""All families that are not supported, each with its reason."""

NOT_TOKEN_BY_TOKEN: dict[str, str] = {
    "hf:diffusion_gemma": "writes blocks, not token by token: capture only",
    "hf:blip_questions": "a part of it writes, so rows cannot be told from each other: capture only",
}
"""Families that pass, and whose `generate` is refused because no rows belong to their tokens."""


@dataclass(frozen=True)
class Row:
    """What the check of one family found: a row of the table of supported models."""

    key: str
    title: str
    """Which part of the table it belongs to."""
    architecture: str
    passed: bool
    sites: int
    note: str
    unchanged: bool = True
    """The answer was bit-identical while everything was looked at."""
    same_tokens: bool = True
    """The generated ids are those of the model alone, and every one of them has its rows."""
    seconds: float = 0.0


def keys() -> tuple[str, ...]:
    """All families that can be built, as library:name."""
    return (*(f"timm:{name}" for name in TIMM_FAMILIES), *(f"hf:{name}" for name in hf.families()))


def title_of(key: str) -> str:
    """The part of the table that a family belongs to."""
    library, name = key.split(":")
    return TITLES["timm" if library == "timm" else hf.FAMILIES[name].kind if name in hf.FAMILIES else "lvlm"]


def saved(key: str, folder: Path) -> type:
    """Save a tiny random model with shaken weights as its user would have it; its class."""
    library, name = key.split(":")
    return save_timm(name, folder) if library == "timm" else save(name, folder)


def check(key: str) -> Row:
    """Save one family and load it, as its user would; loading checks it."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        built = saved(key, Path(place) / key.split(":")[1])
        try:
            model = ma.load(f"path:{place}/{key.split(':')[1]}", device="cpu")
        except ma.AdapterError as error:
            sentence = str(error).replace(f"path:{place}/", "").replace(f"{place}/", "")
            return Row(key, title_of(key), built.__name__, False, 0, sentence, seconds=time.perf_counter() - start)
    same, note = True, report_note(model.report)
    if key in NOT_TOKEN_BY_TOKEN:
        same, note = refuses_to_generate(model, example(model)), NOT_TOKEN_BY_TOKEN[key]
    elif model.kind == "lvlm":
        same = generates_the_same(model, example(model))
    return Row(
        key, title_of(key), type(model.module).__name__, True, model.report.sites,
        note, model.report.unchanged, same, time.perf_counter() - start,
    )  # fmt: skip


def generates_the_same(model: ma.Model, inputs: ma.Inputs) -> bool:
    """Whether the ids generated while looking are the model's own, and no token lacks its rows."""
    with torch.no_grad():
        alone = model.module.generate(**inputs.tensors, max_new_tokens=NEW_TOKENS, do_sample=False)[0]
    looked = ma.generate(model, inputs, max_new_tokens=NEW_TOKENS)
    ids = [token.id for token in looked.tokens]
    return bool(ids) and alone[-len(ids) :].tolist() == ids and all(len(token.weights) for token in looked.tokens)


def refuses_to_generate(model: ma.Model, inputs: ma.Inputs) -> bool:
    """Whether generate says that no rows belong to the tokens of this model."""
    try:
        ma.generate(model, inputs, max_new_tokens=NEW_TOKENS)
    except ma.AdapterError as error:
        return "does not write token by token" in str(error) or "writes with a part of itself" in str(error)
    return False


def report_note(report: ma.Report) -> str:
    """What a reader of the table should know beyond pass or refusal."""
    if not report.passed:
        return report.sentence
    factorised = sum(site.kind == "factorised" for site in report.seen)
    notes = [note.rstrip(".") for note in report.notes]
    if factorised:
        notes.append(f"{factorised} of its {report.sites} sites are factorised attention, which has no map")
    return "; ".join(notes)
