"""AttnLRP against relevance that is handed back layer by layer by hand, and against what its rules conserve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import model_adapters as ma
from analysis.attn_lrp import attn_lrp
from analysis.captum_maps import Pixels
from analysis.explain import explain, why_not
from model_adapters.relevance_rules import RelevanceRules
from tests.analysis.test_explain import subject_of, tiny

TOKENS, WIDTH, HEADS, CLASSES = 5, 8, 2, 3


class Block(nn.Module):
    """One block of a vision transformer: attention and an MLP, each behind a norm and beside a skip connection."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down, self.head = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH), nn.Linear(WIDTH, CLASSES)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.first(x)).view(len(x), TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        if self.how == "kernel":
            mixed = F.scaled_dot_product_attention(q, k, v)
        elif self.how == "products":
            mixed = ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(-1) @ v
        else:
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k).div_(q.shape[-1] ** 0.5)
            mixed = torch.einsum("bhqk,bhkd->bhqd", torch.softmax(scores, -1), v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        x = x + self.down(F.gelu(self.up(self.second(x))))
        return self.head(x.mean(1))


def through_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, relevance: torch.Tensor) -> torch.Tensor:
    """R_i = sum over j of x_i w_ji / z_j R_j, with the bias in z."""
    found = torch.zeros_like(x)
    for token in range(len(x)):
        for j in range(len(weight)):
            z = sum(x[token, i] * weight[j, i] for i in range(x.shape[1])) + (0 if bias is None else bias[j])
            for i in range(x.shape[1]):
                found[token, i] += x[token, i] * weight[j, i] / z * relevance[token, j]
    return found


def normed(x: torch.Tensor, norm: nn.LayerNorm) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The result, and per token the matrix that makes it, were the deviation a constant."""
    eye = torch.eye(WIDTH, dtype=x.dtype)
    matrices = [norm.weight[:, None] * (eye - 1 / WIDTH) / (t.var(unbiased=False) + norm.eps).sqrt() for t in x]
    return torch.stack([m @ t + norm.bias for m, t in zip(matrices, x, strict=True)]), torch.stack(matrices), norm.bias


def through_norm(x: torch.Tensor, norm: nn.LayerNorm, relevance: torch.Tensor) -> torch.Tensor:
    _, matrices, bias = normed(x, norm)
    return torch.cat([through_linear(x[n : n + 1], matrices[n], bias, relevance[n : n + 1]) for n in range(len(x))])


def through_attention(q, k, v, relevance):
    """Of one head: [N, d] each; half of the relevance of a product goes to either side, and the softmax's by its Taylor rule."""
    scale = q.shape[-1] ** -0.5
    scores = q @ k.T * scale
    weights = scores.softmax(-1)
    mixed = weights @ v
    to_weights, to_values = torch.zeros_like(weights), torch.zeros_like(v)
    for n in range(len(q)):
        for m in range(len(k)):
            for d in range(v.shape[1]):
                part = weights[n, m] * v[m, d] / mixed[n, d] * relevance[n, d] / 2
                to_weights[n, m] += part
                to_values[m, d] += part
    to_scores = scores * (to_weights - weights * to_weights.sum(-1, keepdim=True))
    to_queries, to_keys = torch.zeros_like(q), torch.zeros_like(k)
    for n in range(len(q)):
        for m in range(len(k)):
            for d in range(q.shape[1]):
                part = q[n, d] * k[m, d] * scale / scores[n, m] * to_scores[n, m] / 2
                to_queries[n, d] += part
                to_keys[m, d] += part
    return to_queries, to_keys, to_values


def by_hand(block: Block, x: torch.Tensor, target: int) -> torch.Tensor:
    """[N, D]: the relevance of every number of one picture's tokens, from the score back to them."""
    size = WIDTH // HEADS
    before, _, _ = normed(x, block.first)
    projected = before @ block.qkv.weight.T + block.qkv.bias
    q, k, v = projected.split(WIDTH, 1)
    parts = [(q[:, s], k[:, s], v[:, s]) for s in (slice(h * size, (h + 1) * size) for h in range(HEADS))]
    mixed = torch.cat([(a @ b.T * size**-0.5).softmax(-1) @ c for a, b, c in parts], 1)
    written = mixed @ block.out.weight.T + block.out.bias
    middle = x + written
    inner, _, _ = normed(middle, block.second)
    up = inner @ block.up.weight.T + block.up.bias
    down = F.gelu(up) @ block.down.weight.T + block.down.bias
    last = middle + down
    score = last.mean(0) @ block.head.weight[target] + block.head.bias[target]

    weight, bias = block.head.weight[target][None], block.head.bias[target][None]
    relevance = last / TOKENS / last.mean(0) * through_linear(last.mean(0)[None], weight, bias, score[None, None])
    skipped, to_down = middle / last * relevance, down / last * relevance
    to_gelu = through_linear(F.gelu(up), block.down.weight, block.down.bias, to_down)
    to_inner = through_linear(inner, block.up.weight, block.up.bias, to_gelu)
    relevance = skipped + through_norm(middle, block.second, to_inner)
    skipped, to_written = x / middle * relevance, written / middle * relevance
    to_mixed = through_linear(mixed, block.out.weight, block.out.bias, to_written)
    found = [through_attention(*part, to_mixed[:, h * size : (h + 1) * size]) for h, part in enumerate(parts)]
    to_projected = torch.cat([torch.cat([each[n] for each in found], 1) for n in range(3)], 1)
    return skipped + through_norm(x, block.first, through_linear(before, block.qkv.weight, block.qkv.bias, to_projected))


def relevance_of(function, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The answer under the rules, and input times gradient of its sum."""
    leaf = given.clone().requires_grad_()
    with RelevanceRules():
        answer = function(leaf)
    (gradient,) = torch.autograd.grad(answer.sum(), leaf)
    return answer.detach(), (leaf * gradient).detach()


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("how", ["kernel", "products", "einsum"])
def test_relevance_is_what_is_handed_back_layer_by_layer(how, learns):
    torch.manual_seed(1)
    block = Block(how).double().requires_grad_(learns)
    tokens = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    answer, found = relevance_of(lambda x: block(x)[:, 1], tokens)
    with torch.no_grad():
        assert torch.allclose(answer, block(tokens)[:, 1], atol=1e-12)
        for number in range(2):
            expected = by_hand(block, tokens[number], 1)
            assert torch.allclose(found[number], expected, atol=1e-4 * float(expected.abs().max())), how
    assert found.abs().max() > 0.01 and all(p.grad is None for p in block.parameters())


def test_torchs_own_attention_layer_is_its_parts():
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(8, 2, batch_first=True).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)

    def parts(x):
        q, k, v = F.linear(x, whole.in_proj_weight, whole.in_proj_bias).view(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        return whole.out_proj((((q @ k.transpose(-1, -2)) / 2).softmax(-1) @ v).transpose(1, 2).flatten(2))

    direction = torch.randn(2, 5, 8, dtype=torch.float64)
    for weights in (True, False):
        found = relevance_of(lambda x, w=weights: whole(x, x, x, need_weights=w)[0] * direction, x)
        for ours, theirs in zip(found, relevance_of(lambda x: parts(x) * direction, x), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize(
    ("function", "conserved"),
    [
        (F.gelu, "each"),
        (F.silu, "each"),
        (lambda x: F.silu(x * 1.0, inplace=True), "each"),
        (lambda x: x * torch.sigmoid(1.702 * x), "each"),  # CLIP's GELU
        (lambda x: (x * 1.0).mul_(x.sigmoid()), "each"),
        (lambda x: x.pow(3), "each"),
        (lambda x: x * torch.tanh(F.softplus(x)), "each"),  # Mish
        (lambda x: x * torch.sigmoid(1e-4 * x.mean(-1, keepdim=True)), "each"),  # a gate whose input is near 0
        (lambda x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).pow(-0.5), "each"),
        (lambda x: x * x * x, "each"),
        (lambda x: x @ x.transpose(-1, -2), "all"),
        (lambda x: torch.einsum("bij,bkj->bik", x, x), "all"),
        (lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6), "each"),
        (lambda x: x / x.norm(dim=-1, keepdim=True), "each"),
        (lambda x: F.normalize(x, dim=-1), "each"),
        (lambda x: F.rms_norm(x, (6,)), "each"),
        (lambda x: F.layer_norm(x, (6,)), "all"),
        (lambda x: F.group_norm(x.transpose(1, 2), 2), "all"),
        (lambda x: F.glu(x, -1), "all"),
        (lambda x: F.linear(x, x[0]), "all"),
    ],
)
def test_rules_conserve_relevance_and_leave_the_answer(function, conserved):
    """Where no bias takes a part, what comes in is what goes out: number by number, or in all."""
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    answer, relevance = relevance_of(function, x)
    assert torch.equal(answer, function(x))
    assert float(relevance.sum()) == pytest.approx(float(answer.sum()), rel=1e-5)
    if conserved == "each":
        assert torch.allclose(relevance, answer, rtol=1e-5, atol=1e-8)


def test_on_a_linear_network_it_is_input_times_gradient():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Flatten(), nn.Linear(36, 7), nn.Dropout(0.5), nn.Linear(7, 2)).eval()
    leaf = torch.randn(2, 3, 12, 12).requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf).sum(), leaf)
    assert torch.allclose(relevance_of(network, leaf.detach())[1], leaf * gradient, atol=1e-6)


def test_a_map_adds_up_to_the_score_where_no_bias_takes_a_part():
    torch.manual_seed(0)
    first, second = torch.randn(8, 27), torch.randn(2, 8)

    def scores(pictures):
        patches = pictures.unfold(2, 3, 3).unfold(3, 3, 3).permute(0, 2, 3, 1, 4, 5).reshape(len(pictures), 16, 27)
        tokens = F.gelu(patches @ first.T)
        return F.scaled_dot_product_attention(0 * tokens, tokens, tokens).mean(1) @ second.T

    def ruled(pictures):
        with RelevanceRules():
            return scores(pictures)

    given = Pixels(torch.randn(3, 12, 12), 3, (0, 0, 24, 24), (24, 24))
    shown = attn_lrp(ruled, given, 1)
    assert shown.signed and len(shown.values) == 16
    # Queries that are all zero ask for the mean of all: half of the relevance goes to weights that do not depend on anything.
    assert shown.values.sum() == pytest.approx(scores(given.values[None])[0, 1].item() / 2, abs=1e-4)
    with pytest.raises(ValueError, match="only through gates or divisors, or not at all"):
        attn_lrp(lambda p: p.detach().sum((1, 2, 3))[:, None], given, 0)


@pytest.mark.parametrize(
    "name",
    ["tiny", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224", "hf:vit", "hf:clip", "hf:dinov2", "bundled:lvlm"],
)
def test_the_answer_of_a_model_stays_and_every_patch_gets_its_part(name):
    if name == "bundled:lvlm":
        subject = ma.subject(ma.load(name), np.zeros((64, 64, 3), np.uint8) + 90, "is there a boat in the picture ?")
    else:
        subject = tiny() if name == "tiny" else subject_of(name)
    picture = subject.pixels().values[None].requires_grad_()
    plain, ruled = subject.forward()(picture), subject.relevance()(picture)
    assert torch.allclose(plain, ruled, atol=1e-5)
    assert np.ptp(explain(subject, "attn_lrp").values) > 0
    assert torch.equal(subject.forward()(picture), plain)


def test_a_backbone_with_a_classifier_is_explained_and_weights_that_learn_change_nothing():
    subject = tiny(init_values=0.3, reg_tokens=2)
    before = explain(subject, "attn_lrp", target=1)
    subject.model.module.requires_grad_(True)
    after = explain(subject, "attn_lrp", target=1)
    assert np.allclose(before.values, after.values, atol=1e-7) and np.ptp(before.values) > 0
    assert all(p.requires_grad and p.grad is None for p in subject.model.module.parameters())


def test_a_model_without_scores_is_refused_with_the_reason():
    assert "gives no class scores" in str(why_not(tiny(num_classes=0), "attn_lrp"))


def test_an_operation_that_cannot_be_looked_into_is_refused():
    @torch.library.custom_op("headlight_tests::closed", mutates_args=())
    def closed(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    with RelevanceRules(), pytest.raises(ma.AdapterError, match=r"headlight_tests.closed.*cannot be followed.*sdpa"):
        closed(torch.ones(2, requires_grad=True))
    with RelevanceRules():
        assert torch.equal(torch.ops.aten.mul(torch.ones(2), torch.ones(2)), torch.ones(2))
