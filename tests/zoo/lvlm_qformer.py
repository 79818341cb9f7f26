"""Queries or cross attention between the vision tower and the decoder."""

from __future__ import annotations

from .records import Family

SMALL = {"height": 112, "width": 112}
CLIP = {"size": {"shortest_edge": 112}, "crop_size": SMALL}
BLIP2 = {"num_query_tokens": 8, "vision_config.image_size": 112, "text_config.word_embed_proj_dim": 64}

FAMILIES = (
    Family("blip-2", config=BLIP2, image={"size": SMALL}, options={"num_query_tokens": 8}, prompt="{text}", named=False),
    Family(
        "instructblip",
        config=BLIP2,
        image={"size": SMALL},
        options={"num_query_tokens": 8},
        prompt="{text}",
        named=False,
    ),
    Family(
        "instructblipvideo",
        frames=4,
        config=BLIP2,
        tokens={"video_token": "<video>"},
        image={"size": SMALL},
        options={"num_query_tokens": 8},
        prompt="{text}",
        named=False,
    ),
    Family("blip", config={"vision_config.image_size": 112}, image={"size": SMALL}, prompt="{text}"),
    Family("git", config={"vision_config.image_size": 112}, image=CLIP, prompt="{text}"),
    Family(
        "kosmos-2",
        prompt="{text}",
        processor="Kosmos2Processor",
        config={"vision_config.image_size": 112},
        image=CLIP,
        tokens={},
    ),
    Family(
        "kosmos-2.5",
        prompt="{image}{text}",
        processor="Kosmos2_5Processor",
        config={"latent_query_num": 8},
        call={"max_patches": 64},
        options={"num_image_tokens": 8},
        tokens={"image_token": "<s>", "boi_token": "<image>", "eoi_token": "</image>"},
    ),
    Family("idefics", prompt="{text}"),
)
