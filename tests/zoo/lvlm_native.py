"""Gemma, Pixtral, discrete image tokens and encoder-decoders: families with a layout of their own."""

from __future__ import annotations

from .records import Family

GEMMA = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
GEMMA4 = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
TINY = {"size": {"height": 112, "width": 112}}
SOFT = {
    "vision_config.image_size": 112,
    "vision_config.patch_size": 14,
    "mm_tokens_per_image": 16,
    "text_config.sliding_window": 32,
}
ENCODER = {
    "encoder.vision_config.image_size": 112,
    "encoder.vision_config.patch_size": 14,
    "encoder.mm_tokens_per_image": 16,
    "encoder.text_config.sliding_window": 32,
    "decoder.sliding_window": 32,
}
PIXTRAL = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
MERGED = {"patch_size": 14, "spatial_merge_size": 2}
VISUAL = tuple(f"<|visual token {number:06d}|>" for number in range(8))
IMGIMG = tuple(f"IMGIMG{letter}Z" for letter in "ABCDEFGH")
GEMMA4_TOWER = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
}
START = {"decoder_input_ids": [["<s>", "<pad>"]]}

FAMILIES = (
    Family("gemma3", nested=True, config=SOFT, tokens=GEMMA, prompt="{boi}{text}", image=TINY, options={"image_seq_length": 16}),
    Family(
        "shieldgemma2",
        architecture="ShieldGemma2ForImageClassification",
        generates=False,
        nested=True,
        config={**SOFT, "yes_token_index": 30, "no_token_index": 31},
        tokens=GEMMA,
        prompt="{boi}{text}",
        image=TINY,
        options={"image_seq_length": 16},
        processor="Gemma3Processor",
    ),
    Family(
        "t5gemma2",
        nested=True,
        config=ENCODER,
        tokens=GEMMA,
        prompt="{boi}{text}",
        image=TINY,
        options={"image_seq_length": 16},
        extra=START,
    ),
    Family(
        "gemma3n",
        config={
            "text_config.num_hidden_layers": 4,
            "text_config.num_kv_shared_layers": 2,
            "text_config.intermediate_size": [128] * 4,
            "text_config.activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
            "text_config.layer_types": ["sliding_attention", "full_attention"] * 2,
            "text_config.sliding_window": 32,
            "vision_config.hidden_size": 2048,
            "vision_config.model_args": {"channel_multiplier": 0.25},
        },
        tokens={**GEMMA4},
        prompt="{image}{text}",
    ),
    Family(
        "gemma4",
        nested=True,
        config={"vision_config": GEMMA4_TOWER, "text_config.sliding_window": 32},
        tokens=GEMMA4,
        prompt="{image}{text}",
    ),
    Family(
        "gemma4_unified",
        nested=True,
        config={"vision_config": {"mm_embed_dim": 64, "output_proj_dims": 64}, "text_config.sliding_window": 32},
        tokens=GEMMA4,
        prompt="{image}{text}",
    ),
    Family(
        "diffusion_gemma",
        nested=True,
        config={
            "canvas_length": 16,
            "text_config.num_experts": 4,
            "text_config.top_k_experts": 2,
            "text_config.moe_intermediate_size": 32,
        },
        extra={"decoder_input_ids": [["<pad>"] * 16]},
        generation={"max_denoising_steps": 2, "disable_compile": True},
        tokens=GEMMA4,
        prompt="{image}{text}",
        image_processor="Gemma4ImageProcessor",
    ),
    Family("mistral3", tokens=PIXTRAL, prompt="{image}{text}", options=MERGED),
    Family("mistral_large4", tokens=PIXTRAL, prompt="{image}{text}", options=MERGED),
    Family("lighton_ocr", tokens=PIXTRAL, prompt="{image}{text}"),
    Family(
        "chameleon",
        config={
            "vq_config": {
                "embed_dim": 32,
                "latent_channels": 32,
                "num_embeddings": 8,
                "resolution": 64,
                "base_channels": 32,
                "channel_multiplier": [1, 1, 1],
                "num_res_blocks": 1,
            },
        },
        ids={"vocabulary_map": {"<image>": "<image>", **{name: name for name in IMGIMG}}},
        words=("<racm3:break>", "<eoss>", *IMGIMG),
        prompt="{image}{text}",
        image={"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
        options={"image_seq_length": 256},
    ),
    Family(
        "emu3",
        config={
            "vq_config": {
                "codebook_size": 8,
                "hidden_size": 32,
                "base_channels": 32,
                "channel_multiplier": [1, 1, 1, 1],
                "num_res_blocks": 1,
            },
        },
        tokens={
            "image_token": "<image>",
            "boi_token": "<|image start|>",
            "eoi_token": "<|image end|>",
            "image_wrapper_token": "<|image token|>",
            "eof_token": "<|extra_201|>",
        },
        ids={"vocabulary_map": {name: name for name in ("<image>", "<|extra_200|>", *VISUAL)}},
        words=("<|extra_200|>", *VISUAL),
        prompt="{image}{text}",
        image={"min_pixels": 128 * 128, "max_pixels": 128 * 128},
    ),
    Family(
        "fuyu",
        tokens={"image_token": "|SPEAKER|"},
        words=("|NEWLINE|", "<0x04>"),
        prompt="{text}",
        mark="_",
        call={"return_legacy_image_output": False},
    ),
    Family("lfm2_vl", nested=True, words=("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"), prompt="{image}{text}"),
    Family("inkling2", tokens={"image_token": "<|unused_200054|>"}, prompt="{image}{text}"),
    Family(
        "inkling_mm_model",
        tokens={"image_token": "<|unused_200054|>", "audio_token": "<|unused_200053|>"},
        words=("<|content_image|>", "<|content_audio_input|>"),
        prompt="{image}{text}",
    ),
    Family(
        "florence2",
        config={
            "vision_config.depths": [1, 1, 1, 1],
            "vision_config.embed_dim": [32, 32, 64, 64],
            "vision_config.num_heads": [2, 2, 4, 4],
            "vision_config.num_groups": [2, 2, 4, 4],
            "vision_config.window_size": 4,
        },
        prompt="{text}",
        image={"size": {"height": 128, "width": 128}, "do_center_crop": False, "image_seq_length": 17},
        extra=START,
    ),
    Family(
        "udop",
        tokenizer="UdopTokenizer",
        tokens={},
        prompt="{text}",
        image={"apply_ocr": False},
        call={"text_pair": [["red", "circle"]], "boxes": [[[100, 100, 300, 200], [400, 100, 700, 200]]]},
        ids={"decoder_start_token_id": "<pad>"},
        extra={"decoder_input_ids": [["<pad>"]]},
    ),
    Family("pix2struct", prompt="{text}", call={"max_patches": 64}, extra=START),
    Family(
        "pp_formulanet",
        config={
            "vision_config.image_size": 256,
            "vision_config.post_conv_in_channels": 64,
            "vision_config.post_conv_mid_channels": 64,
            "vision_config.post_conv_out_channels": 64,
            "vision_config.decoder_hidden_size": 64,
        },
        prompt="{text}",
        image={"size": {"height": 256, "width": 256}},
        extra=START,
    ),
    Family(
        "vision-encoder-decoder",
        kind="lvlm",
        prompt="{text}",
        processor="TrOCRProcessor",
        image_processor="ViTImageProcessor",
        without=("labels",),
        extra=START,
    ),
    Family(
        "dots3_note",
        config={
            "text_config.per_layer_config": {},
            "text_config.head_dim": 32,
            "vision_config.adapter_in_dim": 64,
            "vision_config.adapter_out_dim": 64,
            "audio_config.adapter_input_size": 64,
            "audio_config.adapter_out_dim": 64,
        },
        tokens={"image_token": "<|imgpad|>", "video_token": "<|video_pad|>", "audio_token": "<|audio_comp_pad|>"},
        prompt="{image}{text}",
        image={"temporal_patch_size": 1},
    ),
    Family("muse_spark", config={"out_hidden_size": 256}, tokens={"image_token": "<|patch|>"}, prompt="{image}{text}"),
)
