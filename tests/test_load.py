"""Loading: every source of models, and every way in which it can go wrong gets its sentence."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import model_adapters as ma
from model_adapters.catalogue import BUNDLED
from model_adapters.checkpoint import read_state
from model_adapters.timm_models import ATTENTION_FAMILIES
from tests.zoo import hf

TINY = "timm:test_vit"
FIGURES = {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "images": 1000}}
NOTES = ("n", "data: drawn", "accuracy: 0.9 (0.8 to 0.95), 1,000 images")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Small random models of real architectures as save_pretrained leaves them."""
    root = tmp_path_factory.mktemp("models")
    for name in ("vit", "swin", "clip", "llava", "qwen2_5_vl", "vit_mae"):
        module, processor = hf.build(name)
        module.save_pretrained(root / name)
        processor.save_pretrained(root / name)
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def timm_folder(tiny_vit, tmp_path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    kwargs = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}
    config = {
        "library": "timm", "class": "VisionTransformer", "kwargs": kwargs, "classes": list("abcde"),
        "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 1.0, "license": "mit"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tiny_vit.state_dict(), folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vit", "vit"), ("swin", "vit"), ("vit_mae", "vit"), ("clip", "dual"), ("llava", "lvlm"), ("qwen2_5_vl", "lvlm")],
)
def test_a_folder_of_transformers_answers_as_the_model_that_was_saved(name, kind, folders, picture):
    model = ma.load(f"path:{folders[name]}", device="cpu")
    assert (model.kind, model.report.passed, model.module.training) == (kind, True, False)
    assert not any(p.requires_grad for p in model.module.parameters())
    assert model.config._attn_implementation == "sdpa"
    inputs = model.prepare(picture, text=None if kind == "vit" else "Is there a red circle?")
    module, _ = hf.build(name)
    module.config.mask_ratio = 0.0
    with torch.no_grad():
        expected = model.logits(module(**inputs.tensors))
        torch.testing.assert_close(model.logits(model.forward(inputs)), expected, rtol=1e-5, atol=1e-6)


def test_random_weights_are_the_same_for_one_seed_and_leave_the_generator_alone(folders, picture):
    state = torch.get_rng_state()
    for name in (TINY, f"path:{folders['vit']}"):
        one, same, other = (ma.load(name, weights="random", seed=seed, device="cpu", verify=False) for seed in (3, 3, 4))
        weights = [torch.cat([p.flatten() for p in m.module.parameters()]) for m in (one, same, other)]
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), state)
    assert one.card.weights == "random (seed 3)"


def test_a_timm_folder(timm_folder, tiny_vit, picture):
    model = ma.load(f"path:{timm_folder}", device="cpu")
    inputs = model.prepare(picture)
    assert inputs.signature == (1, ("x", (1, 3, 32, 32), "torch.float32"))
    with torch.no_grad():
        assert torch.equal(model.logits(model.forward(inputs)), tiny_vit(**inputs.tensors))
    assert (model.card.library, model.card.licence, model.card.parameters) == (
        "timm", "mit", sum(p.numel() for p in tiny_vit.parameters()),
    )  # fmt: skip


def test_a_bundled_model_has_its_classes_and_its_card(timm_folder, tmp_path, monkeypatch):
    (timm_folder / "card.json").write_text(
        json.dumps({"title": "Own", "papers": ["x"], "notes": ["n"], "data": "drawn", "figures": FIGURES})
    )
    for module in ("model_adapters.load", "model_adapters.catalogue"):
        monkeypatch.setattr(sys.modules[module], "BUNDLED", tmp_path)
    assert ma.catalogue()[0].name == "bundled:own"
    model = ma.load("bundled:own", device="cpu", verify=False)
    assert model.labels == tuple("abcde")
    assert (model.card.title, model.card.papers, model.card.notes) == ("Own", ("x",), NOTES)
    with pytest.raises(ma.AdapterError, match="There are: own"):
        ma.load("bundled:../own")


def test_a_bundled_adapter_lies_on_its_bundled_base(folders, tmp_path, monkeypatch):
    for module in ("model_adapters.load", "model_adapters.catalogue"):
        monkeypatch.setattr(sys.modules[module], "BUNDLED", tmp_path)
    shutil.copytree(folders["llava"], tmp_path / "lvlm")
    shutil.copytree(folders["clip"], tmp_path / "clip")
    monkeypatch.setenv("HEADLIGHT_MODEL_ROOTS", "/nowhere")
    folder = tuned(tmp_path / "tuned", "bundled:lvlm", ma.load("bundled:lvlm", verify=False).module, "q_proj")
    (folder / "card.json").write_text(json.dumps({"title": "Tuned"}))
    entries = [(entry.name, entry.kind) for entry in ma.catalogue() if entry.library == "bundled"]
    assert entries == [("bundled:clip", "dual"), ("bundled:lvlm", "lvlm"), ("bundled:tuned", "lvlm")]
    model = ma.load("bundled:tuned", device="cpu", verify=False)
    base = ma.load("bundled:lvlm", device="cpu", verify=False)
    assert (model.name, model.card.title) == ("bundled:tuned", "Tuned")
    pairs = zip(model.module.parameters(), base.module.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_a_folder_as_timm_itself_saves_it(tmp_path):
    import timm

    module = timm.create_model("test_vit", num_classes=3)
    timm.models.save_for_hf(module, tmp_path, safe_serialization=True)
    model = ma.load(f"path:{tmp_path}", device="cpu", verify=False)
    assert model.module.num_classes == 3
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in model.module.state_dict().items())


@pytest.mark.parametrize("name", sorted(p.name for p in BUNDLED.glob("*") if p.is_dir()))
def test_every_bundled_model_loads(name):
    model = ma.load(f"bundled:{name}", device="cpu")
    assert model.report.passed
    assert model.card.licence


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_of_a_timm_architecture_with_other_classes(ending, wrapped, tmp_path):
    import timm

    module = timm.create_model("test_vit", num_classes=7)
    path = tmp_path / f"tuned{ending}"
    state = module.state_dict()
    if ending == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"model": {f"module.{k}": v for k, v in state.items()}} if wrapped else state, path)
    model = ma.load(TINY, weights=path, device="cpu", verify=False)
    assert model.module.num_classes == 7
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())


def test_a_checkpoint_of_a_transformers_architecture(folders, tmp_path):
    state = read_state(folders["vit"])
    moved = {name: tensor + 1 for name, tensor in state.items()}
    save_file(moved, tmp_path / "tuned.safetensors")
    model = ma.load(f"path:{folders['vit']}", weights=tmp_path / "tuned.safetensors", device="cpu", verify=False)
    name = next(iter(state))
    assert torch.equal(model.module.state_dict()[name], moved[name])


def tuned(folder: Path, base: str, module: nn.Module, target: str) -> Path:
    """A LoRA adapter that changes the answer, as peft saves it."""
    from peft import LoraConfig, get_peft_model

    adapter = get_peft_model(module, LoraConfig(r=2, target_modules=[target], init_lora_weights=False))
    adapter.peft_config["default"].base_model_name_or_path = base
    adapter.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.mark.parametrize("way", ["on top", "its own folder"])
def test_a_lora_adapter_changes_the_answer_and_keeps_the_sites(way, folders, tmp_path, picture):
    base = f"path:{folders['llava']}"
    folder = tuned(tmp_path / "lora", base, ma.load(base, verify=False).module, "q_proj")
    plain = ma.load(base, device="cpu")
    other = ma.load(f"path:{folder}", device="cpu") if way != "on top" else ma.load(base, adapter=folder, device="cpu")
    inputs = plain.prepare(picture, text="What is it?")
    with torch.no_grad():
        difference = (plain.logits(plain.forward(inputs)) - other.logits(other.forward(inputs))).abs().max()
    assert difference > 1e-3
    assert other.report.seen == plain.report.seen
    assert "lora" in " ".join(other.card.notes)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys:UserWarning")
def test_an_adapter_of_another_model_is_refused(folders, tmp_path):
    base = f"path:{folders['llava']}"
    module = ma.load(base, verify=False).module
    folder = tuned(tmp_path / "lora", base, module, "q_proj")
    with pytest.raises(ma.AdapterError, match="does not fit"):
        ma.load(f"path:{folders['vit']}", adapter=folder)
    with pytest.raises(ma.AdapterError, match="does not fit"):
        ma.load(f"path:{folders['qwen2_5_vl']}", adapter=folder)
    with pytest.raises(ma.AdapterError, match="no LoRA adapter"):
        ma.load(base, adapter=folders["vit"])


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("ending", [".pth", ".bin", ".pkl"])
def test_a_pickle_is_refused_and_never_run(ending, tmp_path):
    path, mark = tmp_path / f"evil{ending}", tmp_path / "it ran"
    torch.save({"weight": Bomb(mark)}, path)
    with pytest.raises(ma.AdapterError, match=r"could run code|no checkpoint that can be read safely"):
        ma.load(TINY, weights=path)
    assert not mark.exists()


def test_a_hub_folder_with_pickled_weights_is_refused_and_never_run(folders, tmp_path):
    folder, mark = tmp_path / "evil", tmp_path / "it ran"
    shutil.copytree(folders["vit"], folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(ma.AdapterError, match="safetensors"):
        ma.load(f"path:{folder}")
    assert not mark.exists()


def test_code_that_comes_with_a_checkpoint_is_never_run(folders, tmp_path):
    folder, mark = tmp_path / "evil", tmp_path / "it ran"
    shutil.copytree(folders["vit"], folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    with pytest.raises(ma.AdapterError, match="code that comes with"):
        ma.load(f"path:{folder}")
    assert not mark.exists()


def test_a_checkpoint_of_another_architecture_is_told_by_its_first_differences(folders, timm_folder, tmp_path, tiny_vit):
    swin = folders["swin"] / "model.safetensors"
    with pytest.raises(ma.AdapterError, match=r"another architecture than VisionTransformer: missing: .* and \d+ more"):
        ma.load(TINY, weights=swin)
    shutil.copy(swin, timm_folder / "model.safetensors")
    with pytest.raises(ma.AdapterError, match="not known to the model: "):
        ma.load(f"path:{timm_folder}")
    mixed = tmp_path / "mixed"
    shutil.copytree(folders["vit"], mixed)
    shutil.copy(swin, mixed / "model.safetensors")
    with pytest.raises(ma.AdapterError, match="another architecture than ViTForImageClassification: missing"):
        ma.load(f"path:{mixed}")
    state = {name: torch.zeros(3) if name == "norm.bias" else t for name, t in tiny_vit.state_dict().items()}
    save_file(state, timm_folder / "model.safetensors")
    with pytest.raises(ma.AdapterError, match=r"norm.bias is \(3,\), the model has \(32,\)"):
        ma.load(f"path:{timm_folder}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timm:vit_tiny_patch16_22", "Near names: vit_tiny_patch16_224"),
        ("timm:vit_tiny_patch16_224.nothing", "no weights named"),
        ("timm:local-dir:/tmp", "no model named"),
        ("timm:vit_tiny_patch16_224", "there is no network"),
        ("hf:google/vit-base-patch16-224", "there is no network"),
        ("hf:google/vit-base-patch16-22", "Near names: google/vit-base-patch16-224"),
        ("bundled:nothing", "No bundled model"),
        ("vit_tiny", "bundled:NAME, timm:NAME, hf:ID or path:FOLDER"),
        ("tim:vit_tiny", "Did you mean timm:"),
        ("path:/there/is/nothing", "does not exist"),
    ],
)
def test_a_name_that_leads_nowhere_gets_its_sentence(name, sentence):
    with pytest.raises(ma.AdapterError, match=sentence):
        ma.load(name)


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"no weights"])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_damaged_checkpoint_gets_its_sentence(content, ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    path.write_bytes(content)
    with pytest.raises(ma.AdapterError, match=r"damaged|could run code"):
        ma.load(TINY, weights=path)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (None, "no config.json"),
        ("{", "no readable JSON"),
        ("[]", "JSON object"),
        ("{}", "neither a model_type"),
        ('{"model_type": "nothing"}', "could not be loaded"),
        ('{"library": "timm", "class": "load_checkpoint"}', "no class that timm.models has"),
        ('{"library": "timm", "class": "VisionTransformer", "kwargs": {"deep": 2}}', "does not describe"),
        ('{"architecture": "nothing"}', "does not describe"),
        ('{"architecture": "test_vit", "model_args": {"checkpoint_path": "/x.pth"}}', "not allowed there"),
        ('{"architecture": "local-dir:/tmp"}', "no architecture of timm"),
    ],
)
def test_a_folder_that_is_no_model_gets_its_sentence(config, sentence, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ma.AdapterError, match=sentence):
        ma.load(f"path:{tmp_path}")


def test_only_allowed_folders_are_read(folders, timm_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADLIGHT_MODEL_ROOTS", os.pathsep.join([str(timm_folder.parent), "/nowhere"]))
    assert ma.load(f"path:{timm_folder}", verify=False)
    outside = folders["vit"]
    with pytest.raises(ma.AdapterError, match="outside of the folders"):
        ma.load(f"path:{outside}")
    with pytest.raises(ma.AdapterError, match="outside of the folders"):
        ma.load(f"path:{timm_folder}/../../{outside.name}")
    with pytest.raises(ma.AdapterError, match="outside of the folders"):
        ma.load(TINY, weights=outside / "model.safetensors")
    with pytest.raises(ma.AdapterError, match="outside of the folders"):
        ma.load(f"path:{timm_folder}", adapter=outside)
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(ma.AdapterError, match="outside of the folders"):
        ma.load(f"path:{tmp_path / 'link'}")
    (timm_folder / "model.safetensors").unlink()
    (timm_folder / "model.safetensors").symlink_to(outside / "model.safetensors")
    with pytest.raises(ma.AdapterError, match="leads outside"):
        ma.load(f"path:{timm_folder}")


def test_a_folder_next_to_the_work_is_not_taken_for_a_name_of_the_hub(folders, monkeypatch):
    monkeypatch.chdir(folders["vit"].parent.parent)
    with pytest.raises(ma.AdapterError, match="Load it as path:"):
        ma.load(f"hf:{folders['vit'].parent.name}/vit")


def test_precision_and_device(timm_folder, folders):
    for name in (f"path:{timm_folder}", f"path:{folders['llava']}"):
        assert ma.load(name, device="cpu", dtype="bf16", verify=False).dtype is torch.bfloat16
    spread = ma.load(f"path:{folders['llava']}", device_map={"": "cpu"})
    assert spread.report.passed
    with pytest.raises(ValueError, match="exclude each other"):
        ma.load(f"path:{folders['llava']}", device="cpu", device_map="auto")
    with pytest.raises(ValueError, match="dtype must be"):
        ma.load(TINY, weights="random", dtype="int8")
    with pytest.raises(ValueError, match="device must be"):
        ma.load(TINY, weights="random", device="toaster")
    with pytest.raises(ma.AdapterError, match="is not there"):
        ma.load(TINY, weights="random", device="cuda:99")
    with pytest.raises(ma.AdapterError, match="device_map works for"):
        ma.load(TINY, weights="random", device_map="auto")


def test_wrap_takes_modules_as_they_are(tiny_vit, picture):
    model = ma.wrap(tiny_vit, name="own")
    assert model.module is tiny_vit
    assert (model.kind, model.report.passed, model.card.architecture) == ("vit", True, "VisionTransformer")
    assert model.prepare([picture, picture]).batch == 2

    class Tall(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = tiny_vit

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.body(image)

    own = ma.wrap(Tall(), processor=model.processor)
    assert own.report.passed
    assert set(own.prepare(picture).tensors) == {"image"}
    bare = ma.wrap(Tall())
    assert bare.report is None
    with pytest.raises(ma.AdapterError, match="without a processor"):
        bare.prepare(picture)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrap_refuses_what_it_cannot_see(tiny_vit):
    with pytest.raises(ma.AdapterError, match="compiled"):
        ma.wrap(torch.compile(tiny_vit))
    with pytest.raises(ma.AdapterError, match="TorchScript"):
        ma.wrap(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)))
    with pytest.raises(ValueError, match="takes a torch module"):
        ma.wrap("vit")
    with pytest.raises(ValueError, match="processor must be"):
        ma.wrap(tiny_vit, processor=3)


@pytest.mark.parametrize("name", ["test_convnext", "convnext_atto", "focalnet_tiny_srf", "mambaout_femto", "efficientvit_b0"])
def test_a_model_without_attention_weights_is_refused_by_its_sentence(name):
    with pytest.raises(ma.AdapterError, match=r"no attention|no attention weights"):
        ma.load(f"timm:{name}", weights="random", device="cpu")


def test_the_catalogue_lists_and_finds():
    entries = ma.catalogue()
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    libraries = [entry.library for entry in entries]
    assert libraries == sorted(libraries, key=["bundled", "timm", "transformers"].index)
    assert "timm:swin_tiny_patch4_window7_224" in [entry.name for entry in ma.search("Swin tiny", entries)]
    assert not any("convnext" in name or "resnet50" in name.split(":")[1][:8] for name in names if name.startswith("timm"))
    assert {entry.family for entry in entries if entry.library == "timm"} == ATTENTION_FAMILIES
    assert {entry.kind for entry in entries} >= {"vit", "dual", "lvlm"}


def test_a_bundled_model_names_the_words_it_does_not_know():
    model = ma.load("bundled:lvlm", verify=False)
    model.prepare(image=Image.new("RGB", (96, 96)), text="Is there a red ball?")
    with pytest.raises(ValueError, match=r"knows \d+ words, and 'dinosaur' is not among them.*ball"):
        model.prepare(image=Image.new("RGB", (96, 96)), text="Is there a dinosaur?")
