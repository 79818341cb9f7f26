"""The page What if: steps are data, an empty one changes nothing at all, and each does to the model what it says."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis.words.answer import log_softmax
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from tests.zoo import hf
from ui.brush import read
from ui.pictures import Picture, picture
from ui.results.answering import answered
from ui.results.fix_snippet import Asking
from ui.results.whatif import map_change, paint, what_if, word_changes
from ui.results.whatif_snippet import map_snippet, whatif_snippet
from ui.results.whatif_steps import Ask, Cut, History, Mask, Paint, Scale, Silence, Window, as_text, mask_of_pixels, steps_of
from ui.take_away import as_csv

QUESTION, LONGEST = "describe the picture.", 24
EMPTY = Mask.of(np.zeros((96, 96), bool))
ALL = Window(0, 5)


@pytest.fixture(scope="module")
def asked():
    return answered(ma.load("bundled:lvlm"), (picture("scene:3"),), QUESTION, longest=LONGEST, decoding=ma.Greedy())


@pytest.fixture(scope="module")
def base(asked):
    return what_if(asked, (), LONGEST)


@pytest.fixture(scope="module")
def ball():
    return mask_of_pixels(picture("scene:3").mask("ball"))


def one_pass(asked, edits, answer=None, inputs=None):
    """Log-probabilities of the answer by hand: token by token, a pass each, nothing cached."""
    ids, found = list(answer or asked.answer.ids), []
    for step, id in enumerate(ids):
        longer = ma.continued(asked.model, inputs or asked.inputs, [int(i) for i in ids[:step]])
        logits = ma.run(asked.model, longer, edits)
        found.append(log_softmax(logits.reshape(-1, logits.shape[-1])[-1].float().numpy())[id])
    return np.array(found)


def test_masks_are_read_back_from_their_text():
    rng = np.random.default_rng(0)
    for cells in (rng.random((7, 12)) < 0.4, np.ones((3, 5), bool), np.zeros((96, 64), bool), np.eye(128, dtype=bool)):
        mask = Mask.of(cells)
        assert Mask.read(mask.text) == mask and (mask.cells == cells).all() and mask.share == pytest.approx(cells.mean())
    slow = [[cells[y * 128 // 200, x * 128 // 300] for x in range(300)] for y in range(200)]
    assert (mask.on(300, 200) == slow).all()


@pytest.mark.parametrize("text", ["", "4x4", "4x4.h", "999x2.2", "4x4.z.1", "4.4x.1"])
def test_masks_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError):
        Mask.read(text)


def test_steps_are_read_back_from_their_text(ball):
    steps = (
        Paint(ball, "noise", 3, 1), Ask("where: is; the “ball” 100 %?"), Silence("decoder", ((0, 1), (5, 3))),
        Cut("answer", Window(1, 4)), Scale(0.5, Window(2, 2)),
    )  # fmt: skip
    assert steps_of(as_text(steps)) == steps and len({*steps, *steps_of(as_text(steps))}) == 5
    for text in ("x:1", "p:4x4.h:mean:0:0", "p:2x2.2.2:red:0:0", "h:decoder:1", "e:text:0:1", "a:much:0:1", "q"):
        with pytest.raises(ValueError):
            steps_of(text)


def test_history_goes_back_and_forth():
    one, two, three = (Ask(text) for text in "abc")
    history = History().take(one).take(two)
    assert history.now == (one, two) and history.back(1).now == (one,) and history.back(1).back(2).now == (one, two)
    assert history.back(1).take(three).steps == (one, three) and history.back(-3).now == () and history.back(9) == history


def test_steps_that_change_nothing_give_the_same_bits(asked, base):
    plain = np.stack([token.logits for token in asked.generation.tokens])
    for steps in ((), (Paint(EMPTY),), (Ask(QUESTION),), (Scale(1.0, ALL),), (Paint(EMPTY, "noise", 5), Scale(1.0, ALL))):
        found = what_if(asked, steps, LONGEST)
        assert np.array_equal(found.logits, plain) and all(found.same) and found.text == asked.generation.text.strip()
        assert not word_changes(base, found).change.any() and not map_change(base, found, 8).values.any()


def test_what_is_painted_is_gone_and_the_rest_is_left(ball):
    image = picture("scene:3").array
    over = ball.on(384, 384)
    assert over[picture("scene:3").mask("ball")].all()
    for fill in ("mean", "blur", "noise"):
        made = paint(image, Paint(ball, fill, 1))
        assert (made[~over] == image[~over]).all() and (made[over] != image[over]).any(-1).mean() > 0.9
    assert (paint(image, Paint(ball))[over] == np.rint(image.reshape(-1, 3).mean(0))).all()
    assert (paint(image, Paint(ball, "noise", 1)) == paint(image, Paint(ball, "noise", 1))).all()
    assert (paint(image, Paint(ball, "noise", 1)) != paint(image, Paint(ball, "noise", 2))).any()


def test_without_the_ball_it_says_no_ball(asked, base, ball):
    found = what_if(asked, (Paint(ball),), LONGEST)
    assert "ball" in asked.answer.text and "ball" not in found.text
    changes = word_changes(base, found)
    assert changes.words[int(changes.change.argmin())] in ("blue", "ball") and changes.change.min() < -3
    inputs = asked.model.prepare(image=paint(picture("scene:3").array, Paint(ball)), text=QUESTION)
    assert changes.after.sum() == pytest.approx(one_pass(asked, (), inputs=inputs).sum(), abs=1e-3)
    assert map_change(base, found, changes.words.index("ball")).values.min() < -0.005


@pytest.mark.parametrize("reader", ["all text", "question", "answer"])
def test_cut_edges_are_those_that_were_named(asked, base, reader):
    from model_adapters.edits import Block

    step, length = Cut(reader, Window(1, 4)), len(asked.asked.rows)
    found = what_if(asked, (step,), LONGEST)
    roles = np.asarray(asked.asked.rows.roles, str)
    image = np.flatnonzero(roles == "image")
    text = [i for i in range(image.max() + 1, length + len(asked.answer)) if i < length or reader != "question"]
    queries = {"all text": text, "question": [i for i in text if i < length - 1], "answer": [i for i in text if i >= length - 1]}
    slow = []
    for step_of, id in enumerate(asked.answer.ids):
        rows = tuple(i for i in queries[reader] if i < length + step_of)
        where = ma.Where(tower="decoder", layers=(1, 2, 3, 4), queries=rows, keys=tuple(image.tolist()))
        longer = ma.continued(asked.model, asked.inputs, [int(i) for i in asked.answer.ids[:step_of]])
        logits = ma.run(asked.model, longer, Block(where))[0].reshape(-1, asked.answer.logits.shape[1])[-1].numpy()
        slow.append(log_softmax(logits)[id])
    assert found.read.log_probabilities == pytest.approx(slow, abs=1e-4)


@pytest.mark.parametrize(
    "step",
    [Silence("decoder", ((0, 0), (5, 3))), Silence("vision", ((5, 1),)), Scale(2.5, Window(0, 3)), Cut("answer", ALL)],
)
def test_writing_and_reading_meet_the_same_changes(asked, step):
    """The new answer, read in one pass under the steps, has the scores that it was written from."""
    from ui.results.whatif import edits_to_read

    steps = (step,)
    found = what_if(asked, steps, LONGEST)
    ids = found.logits.argmax(-1)
    capture = ma.reread(asked.model, asked.inputs, ids.tolist(), edits=edits_to_read(asked.model, asked.asked, steps, len(ids)))
    first = len(asked.asked.rows) - 1
    assert log_softmax(capture.logits[first : first + len(ids)]) == pytest.approx(log_softmax(found.logits), abs=2e-3)
    assert not np.array_equal(found.logits[0], asked.answer.logits[0])


def test_steps_work_together_and_the_last_question_and_scale_count(asked, base, ball):
    both = what_if(asked, (Paint(ball), Cut("all text", ALL)), LONGEST)
    alone = what_if(asked, (Cut("all text", ALL),), LONGEST)
    changes = word_changes(base, both), word_changes(base, alone)
    assert both.text != what_if(asked, (Paint(ball),), LONGEST).text
    # What cannot be seen makes no difference: cut off in all layers, the text reads the same with and without the ball.
    assert changes[0].change == pytest.approx(changes[1].change, abs=1e-4)
    twice = what_if(asked, (Scale(0.1, ALL), Ask("is there a ball?"), Scale(3.0, ALL), Ask("what is on the left?")), LONGEST)
    once = what_if(asked, (Scale(3.0, ALL), Ask("what is on the left?")), LONGEST)
    assert np.array_equal(twice.logits, once.logits)


def test_what_cannot_be_done_is_refused_with_a_sentence(asked, ball):
    for steps, words in (
        ((Silence("decoder", ((9, 0),)),), "no such head"),
        ((Silence("lung", ((0, 0),)),), "no such head"),
        ((Cut("answer", Window(8, 9)),), "layers 0 to 5"),
        ((Paint(ball, image=2),), "picture 3"),
        ((Ask("what about the zebra?"),), "zebra"),
    ):
        with pytest.raises((ValueError, ma.AdapterError), match=words):
            what_if(asked, steps, LONGEST)


@pytest.mark.parametrize("name", ["llava_next", "qwen2_5_vl"])
def test_other_families_and_two_pictures(name):
    model = ma.wrap(*hf.build(name), name=f"hf:{name}", kind="lvlm")
    rng = np.random.default_rng(1)
    shown = tuple(Picture(f"upload:{n}", "", rng.integers(0, 255, (120, 180, 3), np.uint8)) for n in range(2))
    asked = answered(model, shown, "what is this?", longest=4, decoding=ma.Greedy())
    base = what_if(asked, (), 4)
    assert np.array_equal(base.logits, np.stack([token.logits for token in asked.generation.tokens]))
    mask = Mask.of(np.ones((4, 6), bool))
    steps = (Paint(mask, "noise", 0, 1), Cut("all text", Window(0, 0)), Scale(0.5, Window(1, 1)), Silence("decoder", ((0, 0),)))
    for step in steps:
        found = what_if(asked, (step,), 4)
        assert word_changes(base, found).change.any() and len(found.words) > 0
    found = what_if(asked, steps, 4)
    assert map_change(base, found, 0, 1).values.any() and map_change(base, found, 0, 0).size == (180, 120)


def test_the_python_that_is_taken_away_makes_the_same_numbers(asked, base, ball):
    steps = (Paint(ball), Cut("question", ALL))
    asking = Asking("bundled:lvlm", "pretrained", ("scene:3",), QUESTION, LONGEST, ma.Greedy())
    found = what_if(asked, steps, LONGEST)
    for snippet, right in (
        (whatif_snippet(asking, steps), word_changes(base, found).change),
        (whatif_snippet(asking, steps, place=(8, 0)), map_change(base, found, 8).values),
        (map_snippet(asking, (8, 0)), None),
    ):
        room: dict = {}
        exec(snippet, room)
        shown = room["shown"]
        values = shown.change if hasattr(shown, "change") else shown.values
        assert values == pytest.approx(right, abs=1e-6) if right is not None else values.max() > 0.01
    table = as_csv(word_changes(base, found)).decode().splitlines()
    assert len(table) == 19 and table[0].endswith('"log-probability before","log-probability after","change [nats]"')


def test_what_the_brush_tells_is_meant_for_one_picture():
    mask = Mask.of(np.eye(96, dtype=bool))
    assert read(f"7|{mask.text}", 7, (96, 96)) == mask
    assert read(f"6|{mask.text}", 7, (96, 96)) is None and read(f"7|{mask.text}", 7, (96, 64)) is None
    assert read("", 7, (96, 96)) is None and read(f"7|{EMPTY.text}", 7, (96, 96)) is None


def page(**query):
    return opened("words/whatif", model="bundled:lvlm", ask=QUESTION, longest="24", **query)


def texts(test):
    found = [element.value for kind in ("markdown", "info", "caption", "warning") for element in getattr(test, kind)]
    return " ".join(found).replace("\\", "")


def link(test):
    found = test.query_params["steps"]
    return found if isinstance(found, str) else found[0]


def button(test, label):
    return next(each for each in test.button if each.label == label)


def test_the_page_answers_at_once_and_takes_steps_back():
    test = settled(page(), lambda test: "Nothing is changed yet" in texts(test) and test.subheader)
    button(test, "Without the ball").click()
    settled(test, lambda test: "Change of log-probability" in texts(test))
    assert "painted over" in texts(test) and link(test).startswith("p:96x96")
    button(test, "Undo").click()
    settled(test, lambda test: "Nothing is changed yet" in texts(test))
    assert "steps" not in test.query_params and not button(test, "Redo").disabled
    button(test, "Redo").click()
    settled(test, lambda test: "Change of log-probability" in texts(test))
    button(test, "Start over").click()
    settled(test, lambda test: "Nothing is changed yet" in texts(test))
    assert button(test, "Redo").disabled


def test_a_link_brings_its_steps_and_a_broken_one_says_so():
    steps = (Cut("all text", ALL), Scale(0.5, Window(0, 2)))
    test = settled(page(steps=as_text(steps)), lambda test: "image attention times 0.5" in texts(test) and test.subheader, 30)
    assert steps_of(link(test)) == steps and "cut off from the image" in texts(test)
    test = settled(page(steps="zz"), lambda test: "Nothing is changed yet" in texts(test))
    assert "could not be read" in texts(test)


def test_every_editor_makes_its_step():
    test = settled(page(change="edges"), lambda test: test.subheader)
    button(test, "Cut these edges").click()
    settled(test, lambda test: "Change of log-probability" in texts(test))
    test.session_state["change"] = "attention"
    settled(test, lambda test: any(each.label == "Ask with it" for each in test.button))
    button(test, "Ask with it").click()
    settled(test, lambda test: "image attention times 0.5" in texts(test) and "Change of log-probability" in texts(test))
    test.session_state["change"] = "question"
    settled(test, lambda test: test.text_area)
    test.text_area(key="asked-instead").set_value("is there a ball?").run()
    button(test, "Ask this").click()
    settled(test, lambda test: "asked “is there a ball?”" in texts(test) and "Change of log-probability" in texts(test))
    assert len(steps_of(link(test))) == 3


def test_heads_of_other_pages_can_be_silenced():
    test = settled(page(change="heads", tower="decoder", heads="0.1,4.2"), lambda test: test.subheader)
    button(test, "Silence 2 heads").click()
    settled(test, lambda test: "Change of log-probability" in texts(test))
    assert steps_of(link(test)) == (Silence("decoder", ((0, 1), (4, 2))),)


def test_words_that_the_model_does_not_know_leave_a_way_back():
    test = settled(page(steps=as_text((Ask("what about the zebra?"),))), lambda test: test.info)
    assert "zebra" in test.info[0].value
    button(test, "Undo").click()
    settled(test, lambda test: "Nothing is changed yet" in texts(test))


@needs_chromium
@pytest.mark.browser
def test_painting_changes_the_answer_and_undo_restores_it():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as shown:
        shown.goto(f"{server}/words-whatif?model=bundled:lvlm&ask=describe+the+picture.", timeout=60_000)
        shown.get_by_text("Nothing is changed yet").wait_for(timeout=120_000)
        settle(shown)
        canvas = shown.locator(".brush canvas")
        box = canvas.bounding_box()
        asking = shown.get_by_role("button", name="Ask without it")
        assert asking.is_disabled()
        # The blue ball lies at 0.6, 0.25 of the scene; keys paint as the mouse does.
        shown.get_by_role("button", name="Rectangle").click()
        shown.mouse.move(box["x"] + 0.42 * box["width"], box["y"] + 0.05 * box["height"])
        shown.mouse.down()
        shown.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.45 * box["height"], steps=5)
        shown.mouse.up()
        shown.get_by_text("% painted").wait_for()
        before = float(shown.locator(".brush .said").inner_text().split()[0])
        assert 11 < before < 16
        canvas.focus()
        for key in ("p", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", " "):
            shown.keyboard.press(key)
        assert float(shown.locator(".brush .said").inner_text().split()[0]) > before
        shown.locator("button:not([disabled])", has_text="Ask without it").wait_for()
        settle(shown)
        asking.click()
        shown.get_by_text("Change of log-probability", exact=True).wait_for(timeout=60_000)
        settle(shown)
        address = shown.url
        assert "steps=p%3A96x96" in address and shown.locator(".brush .said").inner_text() == "nothing painted"
        answer = shown.get_by_test_id("stMain").get_by_text("a picture of a field with").first.inner_text()
        assert "ball" not in answer
        lost = shown.get_by_text("log-probability of what it said").inner_text()
        assert float(lost.split()[-2].replace("−", "-")) < -3
        shown.get_by_role("button", name="Undo").click()
        shown.get_by_text("Nothing is changed yet").wait_for(timeout=60_000)
        settle(shown)
        assert "steps=" not in shown.url
