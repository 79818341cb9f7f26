"""Vision towers of transformers: image in, hidden states, boxes or masks out."""

from __future__ import annotations

from .records import Family

SQUARE = {"size": {"height": 64, "width": 64}}
VIT = {"image_size": 64, "patch_size": 8}
SWIN = {
    "image_size": 128,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2, 1, 1],
    "num_heads": [2, 4, 4, 4],
    "window_size": 4,
}
CLIP = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}


def tower(name: str, architecture: str, **fields: object) -> Family:
    """A record of a vision model: an image, or frames, in."""
    return Family(name, architecture=architecture, kind="tower", generates=False, tokens={}, **fields)  # type: ignore


FAMILIES = (
    tower("vit", "ViTForImageClassification", config=VIT, image=SQUARE),
    tower("deit", "DeiTForImageClassificationWithTeacher", config=VIT, image={**SQUARE, "do_center_crop": False}),
    tower("beit", "BeitForImageClassification", config=VIT, image={**SQUARE, "do_center_crop": False}),
    tower("dinov2", "Dinov2ForImageClassification", config=VIT, image=CLIP, image_processor="BitImageProcessor"),
    tower(
        "dinov2_with_registers",
        "Dinov2WithRegistersForImageClassification",
        config=VIT,
        image=CLIP,
        image_processor="BitImageProcessor",
    ),
    tower(
        "swin",
        "SwinForImageClassification",
        config=SWIN,
        image={"size": {"height": 128, "width": 128}},
        image_processor="ViTImageProcessor",
    ),
    tower(
        "cvt",
        "CvtForImageClassification",
        config={"embed_dim": [16, 32, 64], "num_heads": [1, 2, 4], "depth": [1, 2, 3]},
        image={**CLIP, "do_center_crop": True},
        image_processor="ConvNextImageProcessor",
    ),
    tower(
        "pvt",
        "PvtForImageClassification",
        config={
            "image_size": 64,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 32, 32, 64],
            "num_attention_heads": [1, 2, 2, 4],
            "mlp_ratios": [2, 2, 2, 2],
        },
        image=SQUARE,
    ),
    tower(
        "segformer",
        "SegformerForSemanticSegmentation",
        config={
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 32, 32, 64],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 32,
        },
        image={"size": {"height": 128, "width": 128}},
    ),
    tower(
        "vit_mae",
        "ViTMAEForPreTraining",
        config={
            **VIT,
            "decoder_num_attention_heads": 4,
            "decoder_hidden_size": 32,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 64,
        },
        extra={"noise": [[number * 29 % 64 / 64 for number in range(64)]]},
        image=SQUARE,
        image_processor="ViTImageProcessor",
    ),
    tower(
        "videomae",
        "VideoMAEForVideoClassification",
        config={**VIT, "num_frames": 4},
        image=CLIP,
        image_processor="VideoMAEImageProcessor",
        frames=4,
    ),
    tower(
        "vivit",
        "VivitForVideoClassification",
        config={"image_size": 64, "num_frames": 4, "tubelet_size": [2, 16, 16]},
        image=CLIP,
        image_processor="VivitImageProcessor",
        frames=4,
    ),
    tower(
        "mask2former",
        "Mask2FormerForUniversalSegmentation",
        config={
            "backbone_config": {**SWIN, "out_features": ["stage1", "stage2", "stage3", "stage4"]},
            "feature_size": 32,
            "mask_feature_size": 32,
            "hidden_dim": 32,
            "encoder_feedforward_dim": 64,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "num_attention_heads": 4,
            "dim_feedforward": 64,
            "num_queries": 10,
        },
        image={"size": {"height": 128, "width": 128}},
    ),
    tower(
        "detr",
        "DetrForObjectDetection",
        config={"num_queries": 10, "backbone_config.backbone": "resnet10t"},
        image={"size": {"height": 128, "width": 128}},
    ),
    tower("siglip_vision_model", "SiglipVisionModel", config=VIT, image=SQUARE, image_processor="SiglipImageProcessor"),
    tower("clip_vision_model", "CLIPVisionModel", config=VIT, image=CLIP, image_processor="CLIPImageProcessor"),
)
