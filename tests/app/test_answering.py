"""Answers for the pages about words: tokens as they come, rows as they were kept, sheets of pictures, sentences of refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import model_adapters as ma
from analysis.words.word_relevance import two_hop_word_map
from tests.app.small_lvlms import saved
from ui import ask_snippet, pictures
from ui.asking import Question
from ui.jobs import Cancelled, Progress
from ui.results import answering, ask
from ui.results.answering import answered

PROMPT = "what is in the picture?"


@pytest.fixture(scope="module")
def lvlm():
    return ma.load("bundled:lvlm")


@pytest.fixture(scope="module")
def found(lvlm):
    return answered(lvlm, [pictures.picture("scene:3")], PROMPT, longest=32, decoding=ma.Greedy())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return {name: ma.load(path) for name, path in saved(tmp_path_factory.mktemp("lvlms")).items()}


class Told(Progress):
    """Keeps what it was told."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.notes: list[str] = []
        self._stop_after = stop_after

    def step(self, done: float, note: str = "") -> None:
        super().step(done, note)
        self.notes.append(note)
        if self._stop_after is not None and len(self.notes) == self._stop_after:
            self.cancel()


@pytest.mark.parametrize("decoding", [ma.Greedy(), ma.Sample(seed=4), ma.Beam(3)])
def test_every_token_is_told_once_in_its_order(lvlm, decoding):
    inputs = lvlm.prepare(image=pictures.picture("scene:3").image, text=PROMPT)
    told: list[list[int]] = []
    made = ma.generate(lvlm, inputs, max_new_tokens=32, decoding=decoding, on_token=told.append)
    assert [len(ids) for ids in told] == list(range(1, len(told) + 1)) and len(told) >= len(made.tokens)
    if not isinstance(decoding, ma.Beam):
        assert told[-1] == [token.id for token in made.tokens]
        assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(told))
    plain = ma.generate(lvlm, inputs, max_new_tokens=32, decoding=decoding)
    assert [t.id for t in plain.tokens] == [t.id for t in made.tokens]


def test_the_answer_so_far_is_told_and_cancelling_stops_at_the_next_token(lvlm, found):
    told = Told()
    answered(lvlm, found.pictures, PROMPT, longest=32, decoding=ma.Greedy(), progress=told)
    so_far = [note for note in told.notes if found.answer.text.startswith(note)]
    assert so_far[:2] == ["a", "a picture"] and so_far[-1] == found.answer.text
    stopped = Told(stop_after=5)
    with pytest.raises(Cancelled):
        answered(lvlm, found.pictures, PROMPT, longest=32, decoding=ma.Greedy(), progress=stopped)
    assert len(stopped.notes) == 5


def test_the_view_holds_the_rows_that_were_kept_while_it_answered(found):
    (sheet,) = ask.sheets_of(found.asked.rows, 1)
    view = ask.view_of(found, sheet)
    length = len(found.asked.rows)
    for position, site in enumerate(found.answer.sites):
        weights = view.weights(position)
        for step, token in enumerate(found.generation.tokens):
            kept = token.weights[site]
            np.testing.assert_array_equal(weights[:, step, : kept.shape[1]], kept)
            assert not weights[:, step, length + step :].any()
    boxes = view.layers[0].keys.boxes[:length]
    np.testing.assert_allclose(boxes, found.asked.rows.boxes, atol=1e-4)
    assert view.layers[0].queries.roles == ("answer",) * len(found.generation.tokens)


def test_sorting_numbers_are_means_of_what_goes_to_the_image(found):
    told = ask.statistics_of(found.answer)["share on the image"]
    image = found.asked.rows.roles == "image"
    site = found.answer.sites[2]
    rows = [token.weights[site][1] for token in found.generation.tokens]
    assert told[2][1] == pytest.approx(np.mean([row[: len(image)][image].sum() for row in rows]), abs=1e-6)


def test_shares_of_a_word_add_up(found):
    word = next(word for word in found.answer.words if word.text == "ball")
    shares = answering.shares_of(found.answer, word.index)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert shares[1] == pytest.approx(answering.image_share(found.answer, word.index))


def test_the_first_word_is_a_thing_that_is_known_else_the_one_most_led_by_the_image(found):
    words = found.answer.words
    assert words[answering.first_word(found, ["star", "ring"])].text == "ring"
    image, best = found.asked.rows.roles == "image", (-1.0, -1)
    for word in words:
        token = found.generation.tokens[word.steps[0]]
        share = float(np.mean([token.weights[site][:, : len(image)][:, image].sum(1).mean() for site in found.answer.sites]))
        if len(word.text) >= 3 and share > best[0]:
            best = (share, word.index)
    assert answering.first_word(found) == best[1]


def test_tiles_and_the_small_copy_are_sheets_of_their_own(small):
    shown = [pictures.picture("scene:3"), pictures.picture("photo:cat")]
    said = answered(small["llava_next"], shown, "Describe the pictures.", longest=4, decoding=ma.Greedy())
    rows = said.asked.rows
    sheets = ask.sheets_of(rows, 2)
    assert [(sheet.picture, sheet.name) for sheet in sheets] == [(n, name) for n in (0, 1) for name in ("the whole", "4 tiles")]
    assert (sum(sheet.tokens.astype(int) for sheet in sheets) == rows.placed).all()
    for sheet in sheets:
        covered = np.zeros(shown[sheet.picture].array.shape[:2], int)
        for x0, y0, x1, y1 in np.rint(rows.boxes[sheet.tokens]).astype(int):
            covered[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] += 1
        assert covered.max() == 1 and (rows.image[sheet.tokens] == sheet.picture).all()
    view = ask.view_of(said, sheets[2])
    np.testing.assert_array_equal(view.layers[0].keys.placed[: len(rows)], sheets[2].tokens)
    assert (view.picture.width, view.picture.height) == shown[1].image.size


def test_frames_of_a_film_are_sheets_and_so_are_two_merged_pictures(small):
    frames = [pictures.picture(f"scene:{n}") for n in (3, 5, 6, 7)]
    film = answered(small["qwen2_5_vl"], frames, "Describe it.", longest=4, decoding=ma.Greedy(), film=True)
    sheets = ask.sheets_of(film.asked.rows, 4)
    # This model makes one token of the same place of two frames, and its patches merge by 2 x 2: 14 x 14 of them.
    assert [(sheet.picture, int(sheet.tokens.sum())) for sheet in sheets] == [(0, 196), (2, 196)]
    assert ask.view_of(film, sheets[1]).layers[0].quality == "tile"
    two = answered(small["qwen2_5_vl"], frames[:2], "Describe it.", longest=4, decoding=ma.Greedy())
    assert [sheet.tokens.sum() for sheet in ask.sheets_of(two.asked.rows, 2)] == [196, 196]


def test_words_are_followed_through_learned_queries(small):
    said = answered(small["instructblip"], [pictures.picture("scene:3")], "Describe it.", longest=4, decoding=ma.Greedy())
    assert ask.needs_hop(said)
    hop = ask.hop_of(said, Progress())
    (sheet,) = ask.sheets_of(hop.places, 1)
    view = ask.view_of(said, sheet, hop)
    expected = two_hop_word_map(said.answer, ma.capture(said.model, said.inputs), 0)
    step = said.answer.words[0].steps[0]
    over = np.mean([view.weights(n)[:, step].mean(0) for n in range(len(view.layers))], axis=0)
    placed = view.layers[0].keys.placed
    np.testing.assert_allclose(over[placed], expected.values, atol=1e-6)
    np.testing.assert_allclose(over.sum(), 1, atol=1e-4)


def test_a_model_that_looks_beside_its_sequence_says_so(small):
    said = answered(small["mllama"], [pictures.picture("scene:3")], "Describe it.", longest=4, decoding=ma.Greedy())
    view = ask.view_of(said, ask.sheets_of(said.asked.rows, 1)[0])
    assert view.layers[0].quality == "none" and "cross attention" in view.layers[0].reason


@pytest.mark.parametrize(
    ("text", "longest", "message"),
    [
        ("  ", 8, "There is no question yet"),
        ("where is the zebra?", 8, "'zebra' is not among them"),
        ("is there a ball? " * 100, 8, "reads 512 at most. A shorter question or fewer pictures work"),
        (PROMPT, 400, "An answer of 357 tokens works"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(lvlm, text, longest, message):
    with pytest.raises(ValueError, match=message):
        answered(lvlm, [pictures.picture("scene:3")], text, longest=longest, decoding=ma.Greedy())


def test_pictures_that_do_not_fit_are_refused(lvlm, small):
    scene = pictures.picture("scene:3")
    with pytest.raises(ValueError, match="one image per prompt"):
        answered(small["instructblip"], [scene, scene], "Describe it.", longest=4, decoding=ma.Greedy())
    with pytest.raises(ValueError, match="two frames at least. Got 1"):
        answered(small["qwen2_5_vl"], [scene], "Describe it.", longest=4, decoding=ma.Greedy(), film=True)
    with pytest.raises(ValueError, match="answers no questions"):
        answered(ma.load("bundled:vit"), [scene], PROMPT, longest=4, decoding=ma.Greedy())


def test_without_a_picture_it_answers_and_has_no_sheet(lvlm):
    said = answered(lvlm, [], PROMPT, longest=16, decoding=ma.Greedy())
    assert said.answer.words and ask.sheets_of(said.asked.rows, 0) == ()
    assert answering.shares_of(said.answer, 0)[1] == 0


@pytest.mark.parametrize(
    ("imports", "line", "value"),
    [
        ("from analysis.words.word_maps import word_map", "shown = word_map(answer, 8).values", "map"),
        ("from analysis.words.word_confidence import word_confidence", "shown = word_confidence(answer, 8).probability", "sure"),
    ],
)
def test_the_python_of_the_page_gives_the_same_numbers(imports, line, value, found, lvlm, monkeypatch):
    from analysis.words.word_confidence import word_confidence
    from analysis.words.word_maps import word_map

    monkeypatch.setattr(ma, "load", lambda name: lvlm)
    scene = found.pictures[0]
    question = Question("bundled:lvlm", "pretrained", (scene.id,), (scene.key,), PROMPT, 32, ma.Greedy())
    space: dict = {}
    exec(ask_snippet.script(question, [imports], [line]), space)
    expected = word_map(found.answer, 8).values if value == "map" else word_confidence(found.answer, 8).probability
    np.testing.assert_allclose(space["shown"], expected, rtol=1e-4)
