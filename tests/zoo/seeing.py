"""Vision models whose answer is no class: masks, boxes, depths, pictures, points; and towers that take videos."""

from __future__ import annotations

import numpy as np

from .records import Family
from .towers import CLIP, SQUARE, SWIN, VIT, tower

BLANK = np.zeros((32, 32, 3), np.uint8)
SIDE = {"image_size": 64, "patch_size": 8}
BACKBONE = {"backbone_config": {**SWIN, "model_type": "swin", "out_features": ["stage1", "stage2", "stage3", "stage4"]}}
DINO = {
    "model_type": "dinov2",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "out_indices": [1, 2, 3, 4],
    "reshape_hidden_states": False,
    "apply_layernorm": True,
}
POINTS = {"encoder_hidden_sizes": [16, 16, 32, 32], "decoder_hidden_size": 32, "descriptor_decoder_dim": 64}
DEPTH = {"size": {"height": 56, "width": 56}, "do_pad": False, "keep_aspect_ratio": False, "ensure_multiple_of": 14}
SAM = {
    "vision_config.image_size": 64,
    "vision_config.patch_size": 8,
    "vision_config.output_channels": 32,
    "vision_config.num_pos_feats": 16,
    "vision_config.window_size": 4,
    "prompt_encoder_config.image_size": 64,
    "prompt_encoder_config.patch_size": 8,
    "prompt_encoder_config.image_embedding_size": 8,
    "prompt_encoder_config.hidden_size": 32,
    "mask_decoder_config.hidden_size": 32,
    "mask_decoder_config.iou_head_hidden_dim": 32,
}
LONGEST = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}, "mask_size": {"longest_edge": 16}}

FAMILIES: tuple[Family, ...] = (
    tower("dinov2_features", "Dinov2Model", model_type="dinov2", config=VIT, image=CLIP, image_processor="BitImageProcessor"),
    tower("sam", "SamModel", config=SAM, image=LONGEST),
    tower(
        "sam_hq",
        "SamHQModel",
        config={**SAM, "mask_decoder_config.vit_dim": 64},
        image=LONGEST,
        image_processor="SamImageProcessor",
    ),
    tower(
        "sam2",
        "Sam2Model",
        config={
            "vision_config.backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 16,
                "image_size": [64, 64],
                "blocks_per_stage": [1, 2, 2, 1],
                "embed_dim_per_stage": [16, 32, 64, 128],
                "num_attention_heads_per_stage": [1, 2, 2, 4],
                "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [4],
                "window_positional_embedding_background_size": [2, 2],
            },
            "vision_config.backbone_channel_list": [128, 64, 32, 16],
            "vision_config.backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "vision_config.fpn_hidden_size": 32,
            "prompt_encoder_config.image_size": 64,
            "prompt_encoder_config.hidden_size": 32,
            "mask_decoder_config.hidden_size": 32,
            "mask_decoder_config.iou_head_hidden_dim": 32,
        },
        image={"size": {"height": 64, "width": 64}, "mask_size": {"height": 16, "width": 16}},
    ),
    tower(
        "dpt",
        "DPTForDepthEstimation",
        config={
            **VIT,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
        },
        image=SQUARE,
    ),
    tower(
        "depth_anything",
        "DepthAnythingForDepthEstimation",
        config={
            "backbone_config": DINO,
            "reassemble_hidden_size": 64,
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
            "head_hidden_size": 8,
        },
        image=DEPTH,
        image_processor="DPTImageProcessor",
    ),
    tower(
        "glpn",
        "GLPNForDepthEstimation",
        config={
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 32, 40, 64],
            "num_attention_heads": [1, 2, 5, 8],
            "decoder_hidden_size": 16,
        },
    ),
    tower(
        "swin2sr",
        "Swin2SRForImageSuperResolution",
        config={"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "image_size": 32, "window_size": 4},
    ),
    tower(
        "vit_masked",
        "ViTForMaskedImageModeling",
        model_type="vit",
        config={**VIT, "encoder_stride": 8},
        image=SQUARE,
        image_processor="ViTImageProcessor",
    ),
    tower("yolos", "YolosForObjectDetection", config={**SIDE, "image_size": [64, 64], "num_detection_tokens": 10}, image=SQUARE),
    tower(
        "oneformer",
        "OneFormerForUniversalSegmentation",
        config={
            **BACKBONE,
            "conv_dim": 32,
            "mask_dim": 32,
            "hidden_dim": 32,
            "encoder_feedforward_dim": 64,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "num_attention_heads": 4,
            "dim_feedforward": 64,
            "num_queries": 10,
            "query_dec_layers": 1,
            "text_encoder_width": 32,
            "is_training": False,
        },
        image={"size": {"height": 128, "width": 128}, "class_info_file": None, "num_text": 4},
        prompt="{text}",
        processor="OneFormerProcessor",
        call={"task_inputs": ["semantic"]},
    ),
    tower(
        "perceiver",
        "PerceiverForImageClassificationLearned",
        config={
            "num_latents": 16,
            "d_latents": 64,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 4,
            "image_size": 32,
        },
        image={"size": {"height": 32, "width": 32}, "crop_size": {"height": 36, "width": 36}},
        image_processor="PerceiverImageProcessor",
    ),
    tower(
        "mgp-str",
        "MgpstrForSceneTextRecognition",
        config={"num_bpe_labels": 60, "num_wordpiece_labels": 50},
        image={"size": {"height": 32, "width": 128}},
        image_processor="ViTImageProcessor",
    ),
    tower(
        "timesformer",
        "TimesformerForVideoClassification",
        config={**VIT, "num_frames": 4},
        image=CLIP,
        image_processor="VideoMAEImageProcessor",
        frames=4,
    ),
    tower(
        "vjepa2",
        "VJEPA2ForVideoClassification",
        config={
            "crop_size": 64,
            "frames_per_clip": 4,
            "pred_hidden_size": 32,
            "pred_num_attention_heads": 4,
            "pred_num_hidden_layers": 2,
            "num_pooler_layers": 1,
        },
        image={"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
        image_processor="VJEPA2VideoProcessor",
        frames=4,
    ),
    tower(
        "superglue",
        "SuperGlueForKeypointMatching",
        config={
            "keypoint_detector_config": {"model_type": "superpoint", **POINTS, "max_keypoints": 40},
            "hidden_size": 64,
            "keypoint_encoder_sizes": [16, 32],
            "gnn_layers_types": ["self", "cross"],
            "sinkhorn_iterations": 5,
        },
        image={"size": {"height": 64, "width": 96}},
        frames=2,
    ),
    tower(
        "lightglue",
        "LightGlueForKeypointMatching",
        config={
            "keypoint_detector_config": {"model_type": "superpoint", **POINTS, "max_keypoints": 40},
            "descriptor_dim": 64,
            "depth_confidence": -1.0,
            "width_confidence": -1.0,
        },
        image={"size": {"height": 64, "width": 96}},
        frames=2,
    ),
    tower(
        "seggpt",
        "SegGptForImageSegmentation",
        config={
            "image_size": [64, 32],
            "pretrain_image_size": 32,
            "patch_size": 8,
            "num_hidden_layers": 4,
            "intermediate_hidden_state_indices": [1, 2, 3],
            "merge_index": 0,
            "decoder_hidden_size": 16,
        },
        image={"size": {"height": 32, "width": 32}},
        call={"prompt_images": BLANK, "prompt_masks": BLANK[..., 0]},
    ),
    tower(
        "zoedepth",
        "ZoeDepthForDepthEstimation",
        image=DEPTH,
        config={
            "backbone_config": {**DINO, "model_type": "beit", "image_size": 64, "patch_size": 16, "reshape_hidden_states": False},
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
            "bottleneck_features": 16,
            "bin_embedding_dim": 16,
            "num_relative_features": 8,
            "bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
        },
    ),
)
