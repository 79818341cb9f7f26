"""What is measured on a GPU, where there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

import model_adapters as ma
from benchmarks.cases import Row

IMAGE_TOKEN = 31_999


def llava_7b() -> Iterator[Row]:
    """The shape of LLaVA-1.5-7B with random bf16 weights: 576 image tokens, 64 new tokens."""
    model, inputs = _llava()

    def plain() -> None:
        with torch.no_grad():
            model.module.generate(**inputs.tensors, max_new_tokens=64, do_sample=False)

    def kept() -> None:
        ma.generate(model, inputs, max_new_tokens=64)

    times: dict[str, list[float]] = {"plain": [], "kept": []}
    peaks = {}
    for name, run in (("plain", plain), ("kept", kept)) * 3:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times[name].append(time.perf_counter() - start)
        peaks[name] = torch.cuda.max_memory_allocated()
    ratio, extra = min(times["kept"]) / min(times["plain"]), peaks["kept"] - peaks["plain"]
    yield Row("LLaVA-1.5-7B shape, bf16, 64 new tokens, all rows kept", f"{ratio:.2f}x", "<= 1.10x", ratio <= 1.10)
    yield Row("The same: extra memory of the GPU", f"{extra / 1e6:.0f} MB", "<= 200 MB", extra <= 200e6)


def _llava() -> tuple[ma.Model, ma.Inputs]:
    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336, patch_size=14
    )
    config = LlavaConfig(vision_config=vision, text_config=LlamaConfig(vocab_size=32_064), image_token_index=IMAGE_TOKEN)
    with torch.device("cuda"):
        module = LlavaForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    module.generation_config.eos_token_id = None
    module.generation_config.pad_token_id = 0
    ids = torch.cat([torch.arange(1, 36), torch.full((576,), IMAGE_TOKEN), torch.arange(40, 60)])[None].cuda()
    pixels = torch.randn(1, 3, 336, 336, device="cuda", dtype=torch.bfloat16)
    inputs = ma.Inputs({"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels})
    model = ma.wrap(module, name="LLaVA-1.5-7B shape", kind="lvlm", verify=False)
    ma.verify(model, inputs)
    return model, inputs


GPU_CASES: tuple[Callable[[], Iterator[Row]], ...] = (llava_7b,)
