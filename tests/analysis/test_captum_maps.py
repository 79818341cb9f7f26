"""Attributions to pixels against closed forms of linear and of saturating scores, and on a tiny model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.captum_maps import Pixels, gradient_shap, input_x_gradient, integrated_gradients, occlusion, patch_ablation

BOX = (5.0, 0.0, 35.0, 30.0)


def pixels(seed=0) -> Pixels:
    return Pixels(torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(seed)), 4, BOX, (40, 30))


WEIGHTS = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(7))


def linear(batch):
    return torch.stack([(batch * WEIGHTS).sum((1, 2, 3)), batch.sum((1, 2, 3))], 1)


def by_cell(values: torch.Tensor) -> np.ndarray:
    return np.array([values[:, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4].sum().item() for r in range(3) for c in range(3)])


def test_cells_lie_where_the_picture_lies():
    rows = pixels().rows()
    assert rows.boxes[0].tolist() == [5, 0, 15, 10] and rows.boxes[5].tolist() == [25, 10, 35, 20]
    assert np.isnan(input_x_gradient(linear, pixels(), 0).raster()[:, :5]).all()
    assert pixels().numbers()[5, 9] == 5
    with pytest.raises(ValueError, match="whole cells of 5"):
        Pixels(torch.zeros(3, 12, 12), 5, BOX, (40, 30))


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_on_a_linear_score_all_are_weight_times_difference(baseline):
    given = pixels()
    expected = by_cell((given.values - given.nothing(baseline)[0]) * WEIGHTS)
    ways = (
        integrated_gradients(linear, given, 0, baseline=baseline, steps=4, batch=3),
        patch_ablation(linear, given, 0, baseline=baseline, batch=4),
        occlusion(linear, given, 0, window=1, baseline=baseline),
    )
    for shown in ways:
        assert np.allclose(shown.values, expected, atol=1e-4), shown.label
    assert np.allclose(input_x_gradient(linear, given, 0).values, by_cell(given.values * WEIGHTS), atol=1e-4)
    assert np.allclose(input_x_gradient(linear, given, 1).values, by_cell(given.values), atol=1e-4)


def test_occlusion_is_the_mean_over_windows_that_cover_the_patch():
    given = pixels()
    single = by_cell((given.values - given.nothing("mean")[0]) * WEIGHTS).reshape(3, 3)
    total, count = np.zeros((3, 3)), np.zeros((3, 3))
    for r in range(2):
        for c in range(2):
            total[r : r + 2, c : c + 2] += single[r : r + 2, c : c + 2].sum()
            count[r : r + 2, c : c + 2] += 1
    assert np.allclose(occlusion(linear, given, 0).values, (total / count).ravel(), atol=1e-4)
    with pytest.raises(ValueError, match="window of 4"):
        occlusion(linear, given, 0, window=4)


def test_integrated_gradients_add_up_where_the_gradient_alone_is_blind():
    """A saturated score: its gradient is 0 here, its way from the baseline is not."""

    def saturated(batch):
        return 1 - torch.relu(1 - batch.sum((1, 2, 3), keepdim=True)[:, :, 0, 0])

    given = Pixels(torch.full((3, 12, 12), 0.01), 4, BOX, (40, 30))
    assert np.allclose(input_x_gradient(saturated, given, 0).values, 0)
    shown = integrated_gradients(saturated, given, 0, steps=200)
    assert shown.values.sum() == pytest.approx(1, abs=0.02)
    assert np.allclose(patch_ablation(saturated, given, 0, baseline="zero").values, 0)


def test_gradient_shap_is_seeded_and_disturbs_no_other_random_numbers():
    given = pixels()
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.rand(), torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(3)
    first = gradient_shap(linear, given, 0, seed=1, samples=8)
    assert (np.random.rand(), torch.rand(1)) == expected
    assert np.array_equal(first.values, gradient_shap(linear, given, 0, seed=1, samples=8).values)
    assert not np.array_equal(first.values, gradient_shap(linear, given, 0, seed=2, samples=8).values)
    means = np.mean([by_cell((given.values - given.nothing(b)[0]) * WEIGHTS) for b in ("zero", "mean", "blur")], axis=0)
    many = gradient_shap(linear, given, 0, samples=256, noise=0.0)
    assert np.corrcoef(many.values, means)[0, 1] > 0.98


def test_a_class_that_does_not_look_gets_an_empty_map():
    blind = lambda batch: batch.sum((1, 2, 3))[:, None] * torch.tensor([[0.0, 1.0]])  # noqa: E731
    for explain in (integrated_gradients, input_x_gradient, gradient_shap, occlusion, patch_ablation):
        assert np.allclose(explain(blind, pixels(), 0).values, 0), explain.__name__


def test_on_a_model_no_gradient_is_left_behind(tiny_vit):
    """Completeness on a real attention model, whose parameters stay without gradients."""
    given = Pixels(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)), 8, (0, 0, 32, 32), (32, 32))
    tiny_vit.requires_grad_(True)
    try:
        shown = integrated_gradients(tiny_vit, given, 2, steps=64)
    finally:
        tiny_vit.requires_grad_(False)
    with torch.no_grad():
        difference = tiny_vit(given.values[None])[0, 2] - tiny_vit(given.nothing("zero"))[0, 2]
    assert shown.values.sum() == pytest.approx(float(difference), abs=1e-3)
    assert all(p.grad is None for p in tiny_vit.parameters())
    ablated = given.values.clone()
    ablated[:, 8:16, 16:24] = given.values.mean((1, 2))[:, None, None]
    with torch.no_grad():
        drop = tiny_vit(given.values[None])[0, 2] - tiny_vit(ablated[None])[0, 2]
    assert patch_ablation(tiny_vit, given, 2).values[6] == pytest.approx(float(drop), abs=1e-5)
