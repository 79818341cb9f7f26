"""Images of any size, cut into flat patches and merged 2x2 before the decoder."""

from __future__ import annotations

from .records import Family

QWEN = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
ASK = "{vision_start}{image}{vision_end}{text}"
GLM = {
    "image_token": "<|image|>",
    "video_token": "<|video|>",
    "image_start_token": "<|begin_of_image|>",
    "image_end_token": "<|end_of_image|>",
    "video_start_token": "<|begin_of_video|>",
    "video_end_token": "<|end_of_video|>",
}
BEGIN = "{image_start}{image}{image_end}{text}"
OMNI = {
    **QWEN,
    "audio_token": "<|audio_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
MINICPM = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
INDEXER = {
    "text_config.indexer_n_heads": 4,
    "text_config.indexer_kv_heads": 1,
    "text_config.indexer_head_dim": 16,
    "text_config.indexer_budget": 32,
    "text_config.indexer_compress_ratio": 4,
}
VISION_START = {"vision_start_token_id": "<|vision_start|>"}
PATCH16 = {"patch_size": 16}
MROPE = {"text_config.rope_parameters.mrope_section": [2, 3, 3]}

FAMILIES = (
    Family("qwen2_vl", config=MROPE, tokens=QWEN, prompt=ASK),
    Family("qwen2_5_vl", config=MROPE, tokens=QWEN, prompt=ASK),
    Family("qwen3_vl", tokens=QWEN, prompt=ASK, image=PATCH16),
    Family("qwen3_vl_moe", tokens=QWEN, prompt=ASK, image=PATCH16, image_processor="Qwen2VLImageProcessor"),
    Family("qwen3_5", tokens=QWEN, prompt=ASK, image=PATCH16),
    Family("qwen3_5_moe", tokens=QWEN, prompt=ASK, image=PATCH16),
    Family("qwen4_exp", config=INDEXER, tokens=QWEN, prompt=ASK, image=PATCH16),
    Family(
        "qwen2_5_omni_thinker",
        config=MROPE,
        ids=VISION_START,
        tokens=OMNI,
        prompt=ASK,
        processor="Qwen2_5OmniProcessor",
        image_processor="Qwen2VLImageProcessor",
    ),
    Family(
        "qwen3_omni_moe_thinker",
        ids=VISION_START,
        tokens=OMNI,
        prompt=ASK,
        image=PATCH16,
        processor="Qwen3OmniMoeProcessor",
        image_processor="Qwen2VLImageProcessor",
    ),
    Family("cosmos3_edge", tokens=QWEN, prompt=ASK, call={"return_mm_token_type_ids": True}),
    Family("cosmos3_omni", tokens=QWEN, prompt=ASK, image=PATCH16, processor="Qwen3VLProcessor"),
    Family(
        "cohere_compass",
        config={
            "text_config.rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
            }
        },
        image=PATCH16,
        tokens={
            "image_token": "<|IMAGE_PAD|>",
            "video_token": "<|VIDEO_PAD|>",
            "vision_start_token": "<|VISION_START|>",
            "vision_end_token": "<|VISION_END|>",
        },
        prompt=ASK,
    ),
    Family("lfm3_vl", tokens=QWEN, prompt=ASK, image=PATCH16),
    Family("exaone4_5", tokens=QWEN, prompt=ASK),
    Family("hyperclovax_vision_v2", tokens=QWEN, prompt=ASK),
    Family("video_llama_3", config={"vision_config.patch_size": 14}, tokens=QWEN, prompt="{image}{text}"),
    Family("glm4v", config=MROPE, tokens=GLM, prompt=BEGIN),
    Family(
        "glm4v_moe",
        config={"text_config.rope_parameters.mrope_section": [1, 1, 2]},
        tokens=GLM,
        prompt=BEGIN,
        image_processor="Glm4vImageProcessor",
    ),
    Family("glm46v", config=MROPE, tokens=GLM, prompt=BEGIN),
    Family("glmga", config=MROPE, tokens=GLM, prompt=BEGIN, processor="Glm46VProcessor"),
    Family(
        "glm_ocr",
        config=MROPE,
        tokens=GLM,
        prompt=BEGIN,
        processor="Glm46VProcessor",
        image_processor="Glm46VImageProcessor",
    ),
    Family("glm5_next", tokens=GLM, prompt=BEGIN),
    Family(
        "ernie4_5_vl_moe",
        config={"text_config.rope_parameters.mrope_section": [3, 3, 2], "text_config.moe_intermediate_size": [32, 16]},
        tokens=GLM,
        prompt=BEGIN,
    ),
    Family("paddleocr_vl", config=MROPE, tokens=QWEN, prompt=ASK),
    Family(
        "hunyuan_vl",
        config={**MROPE, "text_config.head_dim": 16},
        ids={"im_start_id": "<|begin_of_image|>", "im_end_id": "<|end_of_image|>"},
        tokens=GLM,
        prompt=BEGIN,
    ),
    Family("kimi_k25", tokens={"image_token": "<|media_pad|>", "video_token": "<|video|>"}, prompt="{image}{text}"),
    Family(
        "minimax_m3_vl",
        tokens={
            "image_token": "]<]image[>[",
            "video_token": "]<]video[>[",
            "vision_start_token": "]<]start of image[>[",
            "vision_end_token": "]<]end of image[>[",
        },
        prompt="{image}{text}",
    ),
    Family("minicpmv4_6", config={"vision_config.patch_size": 14}, tokens=MINICPM, prompt="{image}{text}"),
    Family("minicpmv4_7", config={"vision_config.patch_size": 14}, tokens=MINICPM, prompt="{image}{text}"),
    Family("minicpm_ocr", config={"vision_config.patch_size": 14}, tokens=MINICPM, prompt="{image}{text}"),
    Family(
        "muse_glimmer",
        config={"out_hidden_size": 256},
        tokens={
            "image_token": "<|patch|>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "video_token": "<|video|>",
        },
        words=("<|vid_frame_separator|>", "<|vid_start|>", "<|vid_end|>"),
        prompt="{image}{text}",
    ),
    Family(
        "nemotron_h_omni",
        config={
            "text_config.mamba_num_heads": 8,
            "text_config.mamba_head_dim": 16,
            "text_config.ssm_state_size": 16,
            "text_config.n_groups": 2,
            "text_config.chunk_size": 16,
            "text_config.moe_shared_expert_intermediate_size": 32,
        },
        tokens={"image_token": "<image>", "video_token": "<video>"},
        words=("<so_embedding>", "<so_start>", "<so_end>", "<img>", "</img>"),
        prompt="{image}{text}",
    ),
)
