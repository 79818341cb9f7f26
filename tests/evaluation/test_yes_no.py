"""How answers are read, and figures that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.evaluation import of_counts, parse_official, parse_strict, ratio, yes_no_figures


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [
        ("yes", True, True),
        ("no", False, False),
        ("No, there is no boat.", False, False),
        ("There is not a boat. Yes.", False, None),
        ("I know.", True, None),
        ("a red boat", True, None),
        ("", True, None),
        ("nothing", True, None),
        ("はい", True, None),
    ],
)
def test_parsing(answer: str, official: bool, strict: bool | None) -> None:
    assert parse_official(answer) is official
    assert parse_strict(answer) is strict


def test_figures_by_hand() -> None:
    found = yes_no_figures(["yes", "yes", "no", "no", "yes"], [True, False, True, False, True])
    values = {name: figure.value for name, figure in found.items()}
    assert values == pytest.approx(
        {
            "accuracy": 0.6, "precision": 2 / 3, "recall": 2 / 3, "F1": 2 / 3, "yes rate": 0.6, "false positives": 0.5,
            "unparsable": 0.0,
        }  # fmt: skip
    )


def test_an_answer_that_is_neither_is_wrong_under_the_strict_rule_and_no_yes() -> None:
    answers, truths = ["perhaps", "perhaps"], [True, False]
    official, strict = (yes_no_figures(answers, truths, rule=rule) for rule in ("official", "strict"))
    assert (official["accuracy"].value, official["yes rate"].value, official["unparsable"].value) == (0.5, 1, 1)
    assert (strict["accuracy"].value, strict["yes rate"].value, strict["unparsable"].value) == (0, 0, 1)
    assert np.isnan(strict["precision"].value) and strict["recall"].value == 0


def test_intervals_draw_images_not_questions() -> None:
    # All answers of an image are alike, so there are 20 independent draws, not 200.
    images = np.repeat(np.arange(20), 10)
    right = images % 2 == 0
    answers = ["yes" if good else "no" for good in right]
    by_image = yes_no_figures(answers, [True] * 200, images.tolist())["accuracy"]
    by_question = yes_no_figures(answers, [True] * 200)["accuracy"]
    assert (by_image.images, by_question.images) == (20, 200)
    assert by_image.high - by_image.low > 2 * (by_question.high - by_question.low)
    assert ratio(right.reshape(20, 10).sum(1), [10] * 20) == by_image


def test_counts_must_fit() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 questions"):
        yes_no_figures(["yes"], [True, False])
    with pytest.raises(ValueError, match="'official' or 'strict'"):
        yes_no_figures(["yes"], [True], rule="kind")
    with pytest.raises(ValueError, match="at least one image"):
        of_counts(np.zeros((0, 6)), lambda sums: sums[..., 0])
