"""Trust: the benchmark as it was measured, and what is measured about one map of one picture."""

from __future__ import annotations

import numpy as np
import pytest

import analysis
import model_adapters as ma
from tests.app.pages import opened, settled
from ui import pictures
from ui.jobs import Progress
from ui.results import trusting
from world.trust.table import table


@pytest.fixture(scope="module")
def subject():
    return ma.subject(ma.load("bundled:vit"), pictures.picture("scene:3").array)


def test_the_benchmark_is_shown_as_it_was_measured():
    page = settled(opened("trust/benchmark"), lambda page: page.dataframe)
    shown = page.dataframe[0].value
    model, kind = page.session_state["on"], page.session_state["kind"]
    own = [row for row in table() if row.kind == kind]
    titles = {row.title for row in own if row.model == model}
    assert set(shown["Method"]) == titles
    column = shown.columns[1]
    score = next(row for row in own if row.model == model and column.startswith(row.score) and row.title == shown["Method"][0])
    assert shown[column][0] == pytest.approx(score.value, abs=5e-4)


@pytest.mark.parametrize("view", ["shuffled", "agreement", "examples"])
def test_every_view_comes_to_a_result(view):
    page = settled(opened("trust/benchmark", trust=view, method="rollout"), lambda page: page.expander)
    assert not page.error


def test_a_film_starts_with_the_trained_model_and_leaves_it_as_it_was(subject):
    before = subject.run()(()).copy()
    film = trusting.film(subject, "gradient_attention_relevance", 0, "vision", Progress())
    np.testing.assert_array_equal(subject.run()(()), before)
    trained = analysis.explain(subject, "gradient_attention_relevance", target=0)
    np.testing.assert_array_equal(film.maps[0].values, trained.values)
    assert film.curve.values[0] == pytest.approx(1.0)
    assert film.shuffled[0] == 0 and film.shuffled[-1] == len(subject.layers)
    assert not np.array_equal(film.maps[1].values, film.maps[0].values)


def test_examples_are_sorted_and_hold_what_the_library_says(subject):
    found = trusting.examples(subject, "rollout", "vision", ("scene:1", "scene:2", "scene:3"), Progress())
    assert [each.share for each in found] == sorted((each.share for each in found), reverse=True)
    one = found[0]
    picture = pictures.picture(one.picture)
    shown = analysis.explain(subject.before(picture.array), "rollout")
    assert one.share == pytest.approx(analysis.localisation.energy_in_mask(shown, picture.mask(one.label)).value)


def test_agreement_is_one_with_itself_and_that_of_the_ranks(subject):
    from scipy.stats import spearmanr

    found = trusting.agreement(subject, ["rollout", "raw_attention"], 0, "vision", Progress())
    one, other = (analysis.explain(subject, name, target=0).values for name in ("rollout", "raw_attention"))
    assert found.values[0, 1] == pytest.approx(spearmanr(one, other).statistic)
    assert found.values[0, 0] == pytest.approx(1)
