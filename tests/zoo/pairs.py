"""Models that read a text beside an image, or a video, and compare or search: one text for each image, or queries."""

from __future__ import annotations

from typing import Any

from .dual import VIT
from .records import Family
from .towers import SWIN

CLIP = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
SQUARE = {"size": {"height": 64, "width": 64}}
SMALL_VIT = {"image_size": 64, "patch_size": 8}


def pair(name: str, architecture: str, **fields: Any) -> Family:
    """A record of a model that reads a text beside an image and writes none."""
    usual = {"kind": "dual", "generates": False, "tokens": {}, "prompt": "{text}"}
    return Family(name, architecture=architecture, **{**usual, **fields})


FAMILIES: tuple[Family, ...] = (
    pair("blip_retrieval", "BlipForImageTextRetrieval", model_type="blip", config=VIT, image=SQUARE),
    pair(
        "blip_questions",
        "BlipForQuestionAnswering",
        model_type="blip",
        kind="lvlm",
        config=VIT,
        image=SQUARE,
        extra={"decoder_input_ids": [["<s>"]]},
    ),
    pair(
        "clipseg",
        "CLIPSegForImageSegmentation",
        config={**VIT, "extract_layers": [0, 1], "reduce_dim": 16, "decoder_num_attention_heads": 4, "conditional_layer": 0},
        image=SQUARE,
        image_processor="ViTImageProcessor",
    ),
    pair("owlvit", "OwlViTForObjectDetection", config=VIT, image={"size": {"height": 64, "width": 64}, "do_center_crop": False}),
    pair(
        "grounding-dino",
        "GroundingDinoForObjectDetection",
        config={
            "backbone_config": {**SWIN, "model_type": "swin", "out_features": ["stage2", "stage3", "stage4"]},
            "text_config": {
                "model_type": "bert",
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 128,
                "vocab_size": 512,
            },
            "num_queries": 10,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "num_feature_levels": 4,
        },
        image={"size": {"shortest_edge": 128, "longest_edge": 128}},
    ),
    pair("vilt", "ViltForQuestionAnswering", config=SMALL_VIT, image={"size": {"shortest_edge": 64}}),
    pair(
        "vilt_retrieval",
        "ViltForImageAndTextRetrieval",
        model_type="vilt",
        config=SMALL_VIT,
        image={"size": {"shortest_edge": 64}},
    ),
    pair(
        "flava",
        "FlavaModel",
        config={"image_config.image_size": 64, "image_config.patch_size": 8},
        image={**CLIP, "return_image_mask": False, "return_codebook_pixels": False},
    ),
    pair(
        "xclip",
        "XCLIPModel",
        config={
            **VIT,
            "vision_config.num_frames": 4,
            "vision_config.mit_hidden_size": 64,
            "vision_config.mit_intermediate_size": 128,
            "vision_config.mit_num_attention_heads": 4,
            "prompt_num_attention_heads": 4,
            "prompt_layers": 1,
        },
        image=CLIP,
        image_processor="VideoMAEImageProcessor",
        processor="XCLIPProcessor",
        frames=4,
    ),
    pair(
        "colpali",
        "ColPaliForRetrieval",
        kind="tower",
        processor="ColPaliProcessor",
        config={
            "vlm_config.vision_config.image_size": 56,
            "vlm_config.vision_config.patch_size": 14,
            "embedding_dim": 16,
        },
        tokens={"image_token": "<image>"},
        image={"size": {"height": 56, "width": 56}, "image_seq_length": 16},
        image_processor="SiglipImageProcessor",
    ),
    pair(
        "tvp",
        "TvpForVideoGrounding",
        config={
            "backbone_config": {
                "model_type": "resnet",
                "embedding_size": 16,
                "hidden_sizes": [16, 16, 32, 64],
                "depths": [1, 1, 1, 1],
                "out_features": ["stage4"],
            },
            "num_frames": 2,
            "max_img_size": 64,
            "visual_prompt_size": 16,
        },
        image={
            "size": {"longest_edge": 64},
            "crop_size": {"height": 64, "width": 64},
            "pad_size": {"height": 64, "width": 64},
        },
        processor="TvpProcessor",
        image_processor="TvpImageProcessor",
        frames=2,
    ),
)
