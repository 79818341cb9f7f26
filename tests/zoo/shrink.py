"""Make a tiny configuration from any transformers configuration class: two layers, width 64, four heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH, LAYERS, HEADS, HEAD_DIM = 64, 2, 4, 16

TINY: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "embed_dim", "n_embd", "projection_dim", "out_hidden_size"), WIDTH),
    **dict.fromkeys(("image_text_hidden_size", "encoder_hidden_size", "projector_hidden_size", "dim"), WIDTH),
    **dict.fromkeys(("projection_hidden_size", "qformer_hidden_size", "text_hidden_size", "projection_size"), WIDTH),
    **dict.fromkeys(("intermediate_size", "mlp_dim", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner"), 128),
    **dict.fromkeys(("d_ff", "dim_feedforward", "feed_forward_dim", "mlp_intermediate_size", "alignment_intermediate_size"), 128),
    **dict.fromkeys(("num_hidden_layers", "depth", "num_layers", "n_layer", "encoder_layers", "layers"), LAYERS),
    **dict.fromkeys(("decoder_layers", "num_decoder_layers", "num_encoder_layers", "n_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "encoder_attention_heads", "n_heads"), HEADS),
    **dict.fromkeys(("decoder_attention_heads", "attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_dim", "attention_key_size", "kv_channels"), HEAD_DIM),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_dim"), 32),
    "hidden_size_per_layer_input": HEAD_DIM,
    "output_channels": WIDTH,
    "projector_input_dim": WIDTH,
    "projector_output_dim": WIDTH,
    "vision_hidden_size": WIDTH,
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "linear_head_dim": HEAD_DIM,
    "linear_num_heads": HEADS,
    "linear_key_head_dim": HEAD_DIM,
    "linear_value_head_dim": HEAD_DIM,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": HEADS,
    "index_head_dim": HEAD_DIM,
    "index_n_heads": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
"""Field name -> tiny value, wherever a configuration (or one inside it) has a larger one."""

TINY_LISTS: dict[str, list[int]] = {
    "global_attn_indexes": [1],
    "fullatt_block_indexes": [1],
    "deepstack_visual_indexes": [0],
    "intermediate_layers_indices": [0],
    "cross_attention_layers": [1],
}
"""Lists that name layers: the first or the last of two."""

LAYER_FIELDS = ("num_hidden_layers", "depth", "num_layers", "n_layer", "layers")
ROPE_FIELDS = ("rope_parameters", "rope_scaling")
DERIVED = ("per_layer_config", "out_features", "out_indices", "stage_names")
MAX_POSITIONS = 8192


Change = Callable[[str, Any], Any]


def tiny_config(config_class: type, overrides: Mapping[str, Any], change: Change) -> Any:
    """Instantiate `config_class` with every size field shrunk.

    `change(name, value)` then sets what depends on the tokenizer, and `overrides` (nested like the configuration) win.
    """
    return config_class(**merge(_shrunk(config_class().to_dict(), change), overrides))


def merge(base: Mapping[Any, Any], overrides: Mapping[Any, Any]) -> dict[Any, Any]:
    """`base` with `overrides` laid over it, dictionary by dictionary; a dotted key reaches inside."""
    merged = dict(base)
    for key, value in overrides.items():
        head, _, rest = key.partition(".") if isinstance(key, str) else (key, "", "")
        if rest:
            merged[head] = merge(merged.get(head) or {}, {rest: value})
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key not in ROPE_FIELDS:
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _shrunk(config: Mapping[str, Any], change: Change) -> dict[str, Any]:
    layers = next((config[name] for name in LAYER_FIELDS if isinstance(config.get(name), int)), None)
    shrunk: dict[str, Any] = {}
    for name, value in config.items():
        if name in DERIVED:
            continue
        if name in ROPE_FIELDS:
            shrunk[name] = _shrunk_rope(value)
        elif isinstance(value, Mapping):
            shrunk[name] = _shrunk(value, change) if "model_type" in value else value
        elif name in TINY_LISTS and value is not None:
            shrunk[name] = TINY_LISTS[name]
        elif _one_per_layer(value, layers):
            shrunk[name] = _two_kinds(value)
        elif name == "max_position_embeddings" and isinstance(value, int):
            shrunk[name] = min(value, MAX_POSITIONS)
        else:
            shrunk[name] = change(name, _smaller(name, value))
    if shrunk.get("kv_lora_rank"):
        shrunk["num_key_value_heads"] = HEADS
    return shrunk


def _one_per_layer(value: Any, layers: int | None) -> bool:
    return isinstance(value, (list, tuple)) and layers is not None and layers > LAYERS and len(value) == layers


def _two_kinds(values: Sequence[Any]) -> list[Any]:
    """Where layers differ, keep one of the first two kinds each."""
    return [values[0], next((value for value in values if value != values[0]), values[0])]


def _smaller(name: str, value: Any) -> Any:
    if type(value) is int and name in TINY and value > TINY[name]:
        return TINY[name]
    return value


def _shrunk_rope(rope: Any) -> Any:
    """Multi-axis rope divides half of the head among time, height and width: here 2 + 3 + 3 = 8."""
    if not isinstance(rope, Mapping):
        return rope
    smaller = {key: _shrunk_rope(value) for key, value in rope.items()}
    if smaller.get("mrope_section"):
        smaller["mrope_section"] = [2, 3, 3]
    return smaller
