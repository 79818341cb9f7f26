"""Tiles, thumbnails and two-stage towers: image tokens between separators."""

from __future__ import annotations

from .records import Family

SMALL = {"height": 112, "width": 112}
MIDDLE = {"height": 256, "width": 256}
TOWER = {"vision_config.image_size": 112, "vision_config.patch_size": 14}
SAM = {"vision_config.image_size": 256}
TWO_STAGES = {
    "vision_config.sam_config.image_size": 256,
    "vision_config.sam_config.downsample_channels": [64, 64],
    "text_config.n_group": 1,
    "text_config.topk_group": 1,
    "text_config.num_experts_per_tok": 2,
    "text_config.mlp_layer_types": ["dense", "sparse"],
}
IDEFICS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "image_boundary_token": "<fake_token_around_image>",
    "end_of_utterance_token": "<end_of_utterance>",
    "global_image_token": "<global-img>",
}
TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
SPLIT = {"size": {"longest_edge": 224}, "max_image_size": {"longest_edge": 112}}
OVIS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")

FAMILIES = (
    Family(
        "idefics2",
        config={**TOWER, "perceiver_config.resampler_n_latents": 16, "perceiver_config.resampler_head_dim": 16},
        tokens=IDEFICS,
        image={"size": {"longest_edge": 112, "shortest_edge": 56}, "do_image_splitting": False},
        options={"image_seq_len": 16},
    ),
    Family("idefics3", config=TOWER, tokens=IDEFICS, words=TILES, image=SPLIT, options={"image_seq_len": 16}),
    Family(
        "smolvlm",
        config=TOWER,
        tokens=IDEFICS,
        words=TILES,
        image=SPLIT,
        options={"image_seq_len": 16},
        processor="Idefics3Processor",
    ),
    Family("granite_docling", tokens=IDEFICS, words=TILES),
    Family(
        "llama4",
        config={
            **TOWER,
            "vision_config.intermediate_size": 256,
            "vision_config.vision_output_dim": 64,
            "text_config.attention_chunk_size": 32,
            "text_config.intermediate_size_mlp": 128,
        },
        tokens={"image_token": "<|patch|>"},
        words=("<|image|>", "<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>"),
        prompt="<|image|>{text}",
        image={"size": SMALL, "max_patches": 4},
    ),
    Family(
        "ovis2",
        config={**TOWER, "vision_config.hidden_stride": 2, "vision_config.vocab_size": 128},
        tokens={"image_token": "<IMG_ATOM>"},
        ids={"visual_indicator_token_ids": OVIS},
        words=("<image>", *OVIS),
        prompt="<image>\n{text}",
        image={"size": SMALL},
        options={"image_seq_length": 16},
    ),
    Family(
        "got_ocr2",
        config={**SAM, "vision_config.patch_size": 4},
        tokens={"image_token": "<imgpad>"},
        words=("<img>", "</img>", "<|im_start|>", "<|im_end|>"),
        image={"size": MIDDLE},
    ),
    Family(
        "pp_chart2table",
        config=SAM,
        tokens={"image_token": "<imgpad>"},
        words=("<img>", "</img>"),
        prompt="<img>" + "<imgpad>" * 16 + "</img>\n{text}",
        image={"size": MIDDLE},
    ),
    Family(
        "deepseek_ocr2",
        config={**TWO_STAGES, "vision_config.sam_config.image_size": 1024},
    ),
    Family(
        "unlimited_ocr",
        config={**TWO_STAGES, "vision_config.encoder_config.image_size": 224, "text_config.num_key_value_heads": 4},
        image={"size": MIDDLE, "tile_size": 256},
    ),
    Family(
        "step3p7",
        config={
            "text_config.sliding_window": 32,
            "text_config.layer_types": ["full_attention", "sliding_attention"],
            "text_config.rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
        tokens={"image_token": "<im_patch>"},
        prompt="{image}{text}",
    ),
    Family(
        "mllama",
        nested=True,
        config={**TOWER, "vision_config.vision_output_dim": 128, "vision_config.num_global_layers": 1},
        tokens={"image_token": "<|image|>"},
        words=("<|python_tag|>",),
        prompt="{image}{text}",
        image={"size": SMALL},
    ),
    Family(
        "aria",
        config={
            "vision_config.image_size": 980,
            "vision_config.patch_size": 70,
            "projector_patch_to_query_dict": {196: 16},
        },
        prompt="{image}{text}",
        options={"size_conversion": {980: 16}},
    ),
    Family(
        "molmo2",
        config={
            "vision_config.image_size": [168, 168],
            "vision_config.num_position_embeddings": 144,
            "adapter_config.vision_feature_layer": [-1, 0],
        },
        tokens={"image_token": "<|image|>", "video_token": "<|video|>"},
        ids={
            "image_start_token_id": "<im_start>",
            "low_res_image_start_token_id": "<low_res_im_start>",
            "image_end_token_id": "<im_end>",
            "image_patch_id": "<im_patch>",
            "frame_start_token_id": "<frame_start>",
            "frame_end_token_id": "<frame_end>",
        },
        words=(
            "<im_patch>",
            "<im_col>",
            "<im_start>",
            "<low_res_im_start>",
            "<frame_start>",
            "<im_end>",
            "<frame_end>",
            "<im_low>",
        ),
        prompt="{image}{text}",
        image={"size": {"height": 168, "width": 168}},
    ),
)
