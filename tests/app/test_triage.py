"""The triage of the page Truth: words of many answers, their labels, and the score that is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
import ui.truth_tables  # noqa: F401 (registers tables)
from analysis.signals import CombinedScore, SignalTable
from analysis.words import Word
from tests.words.told import model_of
from ui import pictures
from ui.jobs import Cancelled, Progress
from ui.results import triage, triage_sources, truth
from ui.take_away.columns import table
from world.coco import export_coco
from world.datasets import TEST_UNBIASED
from world.signal_reference import reference, world_score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("annotated")
    export_coco((TEST_UNBIASED[number] for number in range(260, 266)), where)
    return where


def asked_of(sources):
    model = model_of("bundled:lvlm")
    return triage.triage(
        model, sources, "describe the picture.", longest=40, decoding=ma.Greedy(), progress=Progress()
    )  # fmt: skip


def test_a_triage_lists_labelled_words_of_a_folder_most_doubtful_first(folder):
    listed = asked_of(triage_sources.of_folder(str(folder), 5))
    score, held = world_score("bundled:lvlm"), reference("bundled:lvlm")
    doubt = listed.doubt(truth.COMBINED, score, held)
    rows = listed.chosen(doubt, 0.1, things=True, wrong=False)
    assert len(rows) and (np.diff(doubt[rows]) <= 0).all() and (doubt[rows] >= 0.1).all() and listed.thing[rows].all()
    for row in range(len(listed.words)):
        there = TEST_UNBIASED[260 + int(listed.answer[row])].categories
        if listed.thing[row]:
            assert listed.truth[row] == (triage.RIGHT if listed.words[row].text in there else triage.WRONG)
    wrong = listed.chosen(doubt, 0.0, things=False, wrong=True)
    assert set(listed.truth[wrong]) <= {triage.WRONG}
    caught = listed.caught(doubt, 0.1)
    labelled = listed.labelled
    assert caught.wrong + caught.right == labelled.sum()
    assert caught.wrong_above == ((listed.truth == triage.WRONG) & labelled & (doubt >= 0.1)).sum()
    columns = table(listed.table(rows, doubt))
    assert list(columns["doubt"]) == list(doubt[rows]) and "outvoted" in columns


def test_a_folder_agrees_with_the_same_scenes_of_the_world(folder):
    one = asked_of(triage_sources.of_folder(str(folder / "annotations.json"), 2))
    other = [pictures.picture(f"scene:{260 + n}") for n in range(2)]
    sources = triage_sources.Sources(tuple(triage_sources.Source(p.id, p.title, known=truth.known_of(p)) for p in other), "two")
    two = asked_of(sources)
    assert [told.text for told in one.told] == [told.text for told in two.told]
    np.testing.assert_array_equal(one.truth, two.truth)
    np.testing.assert_allclose(one.signals.table.values, two.signals.table.values, atol=1e-6)


def test_without_annotations_nothing_is_called_right_or_wrong(folder):
    listed = asked_of(triage_sources.of_folder(str(folder / "images"), 2))
    assert (listed.truth == triage.UNKNOWN).all() and not listed.labelled.any()
    with pytest.raises(ValueError, match="of both kinds"):
        listed.reference()


def test_a_stopped_triage_keeps_what_was_asked_and_goes_on_from_there(folder, monkeypatch):
    model, sources = model_of("bundled:lvlm"), triage_sources.of_folder(str(folder), 4)
    whole, progress, asked = asked_of(sources), Progress(), []

    def counted(model, shown, *arguments, **options):
        asked.append(shown[0].title)
        if len(asked) == 3:
            progress.cancel()
        return answered(model, shown, *arguments, **options)

    answered = triage.answered
    monkeypatch.setattr(triage, "answered", counted)
    told = {"longest": 40, "decoding": ma.Greedy()}
    with pytest.raises(Cancelled):
        triage.triage(model, sources, "describe the picture.", progress=progress, **told)
    kept = progress.kept
    assert kept.pictures == 2 and len(asked) == 3
    part = kept.triage("bundled:lvlm", "two")
    rows = whole.answer < 2
    assert [each.text for each in part.told] == [each.text for each in whole.told[:2]]
    np.testing.assert_array_equal(part.truth, whole.truth[rows])
    np.testing.assert_allclose(part.signals.table.values, whole.signals.table.values[rows], atol=1e-6)
    asked.clear()
    again = triage.triage(model, sources, "describe the picture.", progress=Progress(), begun=kept, **told)
    assert len(asked) == 2
    np.testing.assert_array_equal(again.answer, whole.answer)
    np.testing.assert_allclose(again.signals.table.values, whole.signals.table.values, atol=1e-6)


def test_labelled_words_become_a_reference_and_a_score():
    rng, count = np.random.default_rng(0), 90
    wrong = (np.arange(count) % 4 == 0).astype(int)
    values = np.stack([wrong + 0.4 * rng.standard_normal(count), rng.standard_normal(count)], 1)
    words = tuple(Word("w", 0, 1, (0,), 0) for _ in range(count))
    signals = truth.Signals(SignalTable(("undecided", "outvoted"), values, words, {}), 0.0)
    source = triage_sources.Source("scene:1", "Scene 1")
    first = np.arange(count) % 5 > 0
    listed = triage.Triage(
        "m", "made", tuple(triage.Told(source, "w") for _ in range(30)), np.arange(count) // 3, np.ones(count, bool), first,
        wrong, signals,
    )  # fmt: skip
    held = listed.reference()
    assert len(held.words) == first.sum() and (held.made_up == wrong[first].astype(bool)).all()
    score = triage.fitted(held)
    assert isinstance(score, CombinedScore) and score.model == "m" and score.weights[0] > 1 > abs(score.weights[1])
    assert score.auroc > 0.85


@pytest.mark.parametrize("path, reason", [("/nowhere/at all", "neither a folder"), ("{empty}", "holds no picture")])
def test_folders_that_cannot_be_read_are_refused(path, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        triage_sources.of_folder(path.format(empty=tmp_path), 4)


def test_what_the_triage_gives_away_runs():
    space: dict[str, object] = {}
    text = triage_sources.snippet("bundled:lvlm", "pretrained", "describe the picture.", 24, ma.Greedy(), "biased", 2)
    exec(text, space)  # noqa: S102 (a snippet that the app itself wrote)
    assert len(space["shown"].word) and set(space["shown"].truth) <= {"right", "wrong"}
