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
IMGIMG = tuple(f"IMGIMG{letter}Z" for letter in "ABCDEFGH")
START = {"decoder_input_ids": [["<s>", "<pad>"]]}

FAMILIES = (
    Family("gemma3", config=SOFT, tokens=GEMMA, prompt="{boi}{text}", image=TINY, options={"image_seq_length": 16}),
    Family("shieldgemma2", config=SOFT, tokens=GEMMA, prompt="{boi}{text}", image=TINY,
           options={"image_seq_length": 16}, processor="Gemma3Processor"),
    Family("t5gemma2", config=ENCODER, tokens=GEMMA, prompt="{boi}{text}", image=TINY,
           options={"image_seq_length": 16}, extra=START),
    Family("gemma3n", tokens={**GEMMA4}, prompt="{image}{text}"),
    Family("gemma4", tokens=GEMMA4, prompt="{image}{text}"),
    Family("gemma4_unified", tokens=GEMMA4, prompt="{image}{text}"),
    Family("diffusion_gemma", tokens=GEMMA4, prompt="{image}{text}", image_processor="Gemma4ImageProcessor"),
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
    Family("emu3", tokens={"image_token": "<image>", "boi_token": "<|image start|>", "eoi_token": "<|image end|>",
           "image_wrapper_token": "<|image token|>", "eof_token": "<|eof|>"}, prompt="{image}{text}"),
    Family("fuyu", tokens={"image_token": "|SPEAKER|"}, words=("|NEWLINE|",), prompt="{text}"),
    Family("lfm2_vl", words=("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"), prompt="{image}{text}"),
    Family("inkling2", tokens={"image_token": "<|unused_200054|>"}, prompt="{image}{text}"),
    Family("inkling_mm_model", tokens={"image_token": "<|unused_200054|>", "audio_token": "<|unused_200053|>"},
           words=("<|content_image|>", "<|content_audio_input|>"), prompt="{image}{text}"),
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
    Family("udop", prompt="{text}", extra=START),
    Family("pix2struct", prompt="{text}", call={"max_patches": 64}, extra=START),
    Family("pp_formulanet", config={"vision_config.image_size": 256}, prompt="{text}", image={"size": {"height": 256, "width": 256}}, extra=START),
    Family("vision-encoder-decoder", kind="lvlm", prompt="{text}", processor="TrOCRProcessor",
           image_processor="ViTImageProcessor", without=("labels",), extra=START),
    Family("dots3_note", tokens={"image_token": "<|imgpad|>", "video_token": "<|video_pad|>",
           "audio_token": "<|audio_comp_pad|>"}, prompt="{image}{text}"),
    Family("muse_spark", tokens={"image_token": "<|patch|>"}, prompt="{image}{text}"),
)
