"""The LVLM: a trained tower that is kept as it is, a projector and a small Llama on top."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPImageProcessorPil, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

from world.datasets import SceneStream
from world.rendering import render
from world.tokenizer import BOS, EOS, IMAGE, PAD, build_tokenizer
from world.training.alignment import alignment_loss
from world.training.conversion import clip_vision_config, clip_vision_weights
from world.training.loop import device, low_precision
from world.training.pictures import MEAN, STD, normalise, picture_batch
from world.training.together import rank_and_count
from world.training.turns import TURN_KINDS, PackedTurns, ask_turns, pack
from world.training.vit import VIT_ARGUMENTS

GRID = VIT_ARGUMENTS["img_size"] // VIT_ARGUMENTS["patch_size"]
IMAGE_TOKENS = GRID * GRID
ALIGNMENT_WEIGHT = 1.0
_HIDDEN_SHARE = 0.1  # so that the model knows what to say without a picture


def new_lvlm(vit: Mapping[str, torch.Tensor] | None = None) -> LlavaForConditionalGeneration:
    """An LVLM whose tower has the weights of `vit` (under timm's names); the rest is untrained."""
    width = VIT_ARGUMENTS["embed_dim"]
    text = LlamaConfig(
        vocab_size=len(build_tokenizer()), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512, pad_token_id=PAD, bos_token_id=BOS,
        eos_token_id=EOS, tie_word_embeddings=False,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=clip_vision_config(), text_config=text, image_token_index=IMAGE, image_seq_length=IMAGE_TOKENS,
        vision_feature_select_strategy="default", vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    config._attn_implementation = "eager"  # the fused kernel's backward is slow in bf16 on CPU
    model = LlavaForConditionalGeneration(config)
    if vit is not None:
        model.model.vision_tower.load_state_dict(clip_vision_weights(vit))
        _fold_statistics(model)
    return model


def image_processor(kind: type = CLIPImageProcessorPil) -> CLIPImageProcessorPil:
    """Resize to the tower's size and normalise; nothing is cropped."""
    side = VIT_ARGUMENTS["img_size"]
    return kind(
        size={"height": side, "width": side}, do_center_crop=False, image_mean=list(MEAN), image_std=list(STD),
        do_convert_rgb=True,
    )  # fmt: skip


def lvlm_processor() -> LlavaProcessor:
    """The processor that is saved with the model."""
    tokenizer = build_tokenizer()
    return LlavaProcessor(
        image_processor=image_processor(), tokenizer=tokenizer, patch_size=VIT_ARGUMENTS["patch_size"],
        vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token="<image>",
        chat_template=tokenizer.chat_template,
    )  # fmt: skip


@torch.no_grad()
def tower_features(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """The patch features that the projector gets, [B, G * G, D]."""
    tower = model.model.vision_tower
    return tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]


def _fold_statistics(model: LlavaForConditionalGeneration) -> None:
    # Standardised features from the first step on: the tower's own have a large spread.
    scenes = SceneStream(7).take(32)
    features = tower_features(model, normalise(np.stack([render(scene).image for scene in scenes]))).flatten(0, 1)
    mean, spread = features.mean(dim=0), features.std(dim=0)
    first = model.model.multi_modal_projector.linear_1
    with torch.no_grad():
        first.weight.normal_(0, features.shape[1] ** -0.5).div_(spread)
        first.bias.copy_(-first.weight @ mean)


class InstructionTask:
    """Answer questions about pictures; `module` is the model, its tower frozen unless told otherwise."""

    def __init__(self, model: torch.nn.Module, stream: SceneStream, batch: int = 8, tower_frozen: bool = True) -> None:
        self.module, self.stream, self.batch, self.tower_frozen = model, stream, batch, tower_frozen
        self.tokenizer = build_tokenizer()
        for name, parameter in model.named_parameters():
            if tower_frozen and "vision_tower" in name:
                parameter.requires_grad_(False)

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of batch `step`."""
        rank, count = rank_and_count()
        scenes = self.stream.take(self.batch, (step * count + rank) * self.batch)
        rng = np.random.default_rng([self.stream.seed, step * count + rank, 5])
        rows = [ask_turns(scene, rng, TURN_KINDS) for scene in scenes]
        turns = pack(self.tokenizer, rows, IMAGE_TOKENS, hidden=rng.random(self.batch) < _HIDDEN_SHARE)
        turns = PackedTurns(**{name: value.to(device()) for name, value in vars(turns).items()})
        truth = picture_batch(scenes, patch=VIT_ARGUMENTS["patch_size"]).to(device())
        model = _plain(self.module)
        with low_precision():
            images = projected(model, truth.pixels, self.tower_frozen)
            logits = decoded(model, images, turns)
        loss, figures = _weighted_loss(logits.float(), turns)
        aligned = alignment_loss(images, model.model.language_model.embed_tokens.weight, truth)
        return loss + ALIGNMENT_WEIGHT * aligned, figures | {"aligned": float(aligned.detach())}


def _plain(model: torch.nn.Module) -> LlavaForConditionalGeneration:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def projected(model: LlavaForConditionalGeneration, pixels: torch.Tensor, tower_frozen: bool = True) -> torch.Tensor:
    """The image tokens as the decoder gets them, [B, G * G, D]."""
    with torch.set_grad_enabled(not tower_frozen and torch.is_grad_enabled()):
        seen = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    return model.model.multi_modal_projector(seen)


def decoded(model: LlavaForConditionalGeneration, images: torch.Tensor, turns: PackedTurns) -> torch.Tensor:
    """Logits behind every text token of packed turns, [B, T - G * G - 1, words]; the prefix is left out."""
    words = model.model.language_model.embed_tokens(turns.tokens)
    embedded = torch.cat([words[:, :1], images.to(words.dtype), words[:, 1 + images.shape[1] :]], dim=1)
    blocked = torch.zeros(turns.visible.shape, dtype=embedded.dtype, device=embedded.device)
    blocked = blocked.masked_fill(~turns.visible, torch.finfo(embedded.dtype).min)[:, None]
    hidden = model.model.language_model(
        inputs_embeds=embedded, attention_mask=blocked, position_ids=turns.positions, use_cache=False
    ).last_hidden_state
    return model.lm_head(hidden[:, 1 + images.shape[1] :])


def packed_logits(model: LlavaForConditionalGeneration, pixels: torch.Tensor, turns: PackedTurns) -> torch.Tensor:
    """Logits behind every text token of packed turns about pictures."""
    return decoded(model, projected(model, pixels), turns)


def _weighted_loss(logits: torch.Tensor, turns: PackedTurns) -> tuple[torch.Tensor, dict[str, float]]:
    first = turns.tokens.shape[1] - logits.shape[1]
    targets, weights = turns.tokens[:, first + 1 :], turns.weights[:, first + 1 :]
    each = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), reduction="none").view_as(weights)
    counted = weights > 0
    right = (logits[:, :-1].argmax(-1) == targets)[counted]
    spoken = turns.is_caption[:, first + 1 :][counted]
    figures = {"caption": float(right[spoken].float().mean()), "answer": float(right[~spoken].float().mean())}
    return (each * weights).sum() / weights.sum(), figures
