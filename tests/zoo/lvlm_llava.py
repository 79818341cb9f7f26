"""A vision tower, a projector and a decoder: image features replace the embeddings of image tokens."""

from __future__ import annotations

from .records import Family

SMALL = {"height": 112, "width": 112}
CLIP = {"size": {"shortest_edge": 112}, "crop_size": SMALL}
TOWER = {"vision_config.image_size": 112, "vision_config.patch_size": 14}
PINS = [[112, 224], [224, 112], [224, 224]]
JOIN = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
INTERN = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
BOUNDS = {"image_token": "<image>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}

FAMILIES = (
    Family("llava", config=TOWER, image=CLIP, options=JOIN),
    Family("vipllava", config={**TOWER, "vision_feature_layers": [-2, -1]}, image=CLIP, options=JOIN),
    Family(
        "llava_next",
        config={**TOWER, "image_grid_pinpoints": PINS},
        image={**CLIP, "image_grid_pinpoints": PINS},
        options=JOIN,
    ),
    Family(
        "llava_next_video",
        config={**TOWER, "image_grid_pinpoints": PINS},
        tokens={"image_token": "<image>", "video_token": "<video>"},
        image={**CLIP, "image_grid_pinpoints": PINS},
        options=JOIN,
    ),
    Family(
        "llava_onevision",
        config={**TOWER, "image_grid_pinpoints": PINS},
        tokens={"image_token": "<image>", "video_token": "<video>"},
        image={"size": SMALL, "image_grid_pinpoints": PINS},
        options={"num_image_tokens": 64, "vision_feature_select_strategy": "full"},
    ),
    Family(
        "video_llava",
        config=TOWER,
        tokens={"image_token": "<image>", "video_token": "<video>"},
        image=CLIP,
        options={"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    Family(
        "granite4_vision",
        config={
            **TOWER,
            "image_grid_pinpoints": PINS,
            "downsample_rate": "4/8",
            "deepstack_layer_map": [[-2, 0]],
            "spatial_target_layers": [0, 0, 1, 1],
        },
        image={**CLIP, "image_grid_pinpoints": PINS},
        options={**JOIN, "downsample_rate": "4/8"},
    ),
    Family(
        "aya_vision",
        config={"vision_config.image_size": 112, "vision_config.patch_size": 14},
        tokens={"image_token": "<|IMG_PATCH|>", "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>"},
        words=("<image>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL", *(f"TILE_{number}" for number in range(1, 13))),
        prompt="<image>\n{text}",
        image={"size": SMALL, "crop_to_patches": False},
        options={"patch_size": 14, "img_size": 112, "downsample_factor": 2},
    ),
    Family(
        "cohere2_vision",
        config={"vision_config.image_size": 112, "vision_config.patch_size": 14},
        tokens={**BOUNDS, "img_line_break_token": "<line>"},
        image={"size": SMALL, "patch_size": 4},
    ),
    Family(
        "internvl",
        config={"vision_config.image_size": [112, 112], "vision_config.patch_size": [14, 14]},
        tokens={"image_token": "<IMG_CONTEXT>", "video_token": "<video>", **INTERN},
        image={"size": SMALL, "crop_to_patches": False},
        options={"image_seq_length": 16},
    ),
    Family(
        "qianfan_ocr",
        config={"vision_config.image_size": [112, 112], "vision_config.patch_size": [14, 14]},
        tokens={"image_token": "<IMG_CONTEXT>", **INTERN},
        prompt="<image>\n{text}",
        image={"size": SMALL, "crop_to_patches": False},
        options={"image_seq_length": 16},
    ),
    Family(
        "janus",
        config={**TOWER, "vq_config.base_channels": 32, "vq_config.channel_multiplier": [1, 1]},
        tokens=BOUNDS,
        image={"size": SMALL},
        options={"num_image_tokens": 64},
    ),
    Family(
        "deepseek_vl",
        config={"vision_config.image_size": 112, "vision_config.patch_size": 14},
        image={"size": SMALL},
        options={"num_image_tokens": 64},
    ),
    Family(
        "deepseek_vl_hybrid",
        config={
            "vision_config.image_size": 112,
            "vision_config.patch_size": 14,
            "high_res_vision_config.image_size": 256,
        },
        image={"size": SMALL, "high_res_size": {"height": 256, "width": 256}},
        options={"num_image_tokens": 64},
    ),
    Family(
        "fast_vlm",
        config={
            "vision_config.architecture": "fastvit_mci0",
            "vision_config.hidden_size": 1024,
            "vision_config.model_args": {"inference_mode": False},
        },
        processor="LlavaProcessor",
        image_processor="CLIPImageProcessor",
        image={"size": {"shortest_edge": 256}, "crop_size": {"height": 256, "width": 256}},
        options={"patch_size": 32, "vision_feature_select_strategy": "full"},
    ),
    Family(
        "perception_lm",
        config={
            "vision_config.architecture": "vit_pe_core_large_patch14_336",
            "vision_config.model_args": {
                "embed_dim": 64,
                "depth": 2,
                "num_heads": 4,
                "img_size": [112, 112],
                "global_pool": "",
                "use_post_transformer_norm": False,
                "ref_feat_shape": [8, 8],
            },
            "projector_pooling_ratio": 2,
        },
        tokens={"image_token": "<image>", "video_token": "<video>"},
        image={"tile_size": 112, "max_num_tiles": 4, "size": SMALL},
        options={"patch_size": 14, "pooling_ratio": 2},
    ),
    Family(
        "paligemma",
        config={"vision_config.image_size": 112, "vision_config.patch_size": 14},
        image={"size": SMALL, "image_seq_length": 64},
        without=("labels",),
    ),
)
