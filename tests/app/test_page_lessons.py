"""Lessons: every task of every tour with a wrong answer and a right one found in another way; the pages; learners in Chromium."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import model_adapters as ma
from model_adapters.edits import Gate
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from ui import pictures, session
from ui.lessons.all_tours import TOURS
from ui.lessons.teaching import MATERIAL
from ui.lessons.tour import Tour

GRID, SIDE = 12, 32
"""Patches along a side of the bundled ViTs, and pixels of one."""


@cache
def model(name):
    return ma.load(f"bundled:{name}")


@cache
def weights(name, picture="scene:3"):
    """[L][H, Q, K]."""
    capture = ma.subject(model(name), pictures.picture(picture).array).capture()
    return [capture.weights[site] for site in capture.sites]


def best(values):
    return {"layer": str(int(np.argmax(values)) // 4), "head": str(int(np.argmax(values)) % 4)}


def distances():
    at = np.stack(np.divmod(np.arange(GRID * GRID), GRID), 1) * SIDE
    far = np.linalg.norm(at[:, None] - at[None], axis=-1)
    return np.array([[(head[1:, 1:] * far).sum(-1).mean() for head in layer] for layer in weights("vit")])


def entropies():
    def even(rows):
        return (-rows * np.log(np.maximum(rows, 1e-12))).sum(-1).mean()

    return np.array([[even(head[1:]) for head in layer] for layer in weights("vit")])


def along_rows(picture):
    """How much more attention stays in the row than in the column, for each head of a Swin's layer 3."""
    found = model("swin")
    capture = ma.subject(found, pictures.picture(picture).array).capture()
    site = capture.sites[3]
    boxes = capture.layouts[site].keys.boxes
    per = capture.weights[site].shape[-1]
    places = (boxes[:, :2] + boxes[:, 2:]) / 2
    total = []
    for head in capture.weights[site]:
        shares = []
        for row, values in enumerate(head):
            window = places[row // per * per : row // per * per + per]
            same = np.abs(window - places[row]) < 1
            shares.append((values * same[:, 1]).sum() - (values * same[:, 0]).sum())
        total.append(np.mean(shares))
    return np.array(total)


@cache
def losses(step=1.0):
    """[L, H]: rise of the loss when a head is turned down by this much, one run per head."""
    vit, picture = model("vit"), pictures.picture("scene:3")
    inputs = vit.prepare(image=picture.array)
    largest = max(picture.objects, key=lambda item: int(item[1].sum()))[0]

    def loss(edits=()):
        scores = ma.run(vit, inputs, edits)[0].double()
        return float(-scores.log_softmax(-1)[vit.labels.index(largest)])

    plain = loss()
    gates = [[Gate(ma.Where(sites=(site.name,), heads=(head,)), 1 - step) for head in range(4)] for site in vit.report.seen]
    return np.array([[(loss((gate,)) - plain) / step for gate in row] for row in gates])


def apart():
    """How far the exact ranking lies from that of slopes."""
    places = [np.argsort(np.argsort(-values.ravel())) for values in (losses(), losses(0.001))]
    return np.abs(places[0] - places[1]).reshape(-1, 4)


def several(order):
    return ",".join(f"{n // 4}.{n % 4}" for n in order)


def sink():
    return int(weights("vit-sinks")[4].mean((0, 1)).argmax())


def answers():
    """(tour, step) -> (what a wrong learner chooses, what a right one chooses), as the link says it."""
    whole = np.any([mask for _, mask in pictures.picture("scene:3").objects], 0)
    inside = whole.reshape(GRID, SIDE, GRID, SIDE).all((1, 3))
    on = 1 + int(np.flatnonzero(inside)[0])
    near, even, cost = distances(), entropies(), losses()
    order = np.argsort(np.abs(cost).ravel())
    parked = np.array([[head[1:, sink()].mean() for head in layer] for layer in weights("vit-sinks")])
    rows = {id: int(along_rows(id).argmax()) for id in ("scene:3", "scene:5")}
    columns = {id: int(along_rows(id).argmin()) for id in rows}
    dear, idle, odd, fit = best(cost), best(-np.abs(cost)), best(apart()), best(-apart())
    planted = {"model": "bundled:vit-sinks"}

    def silence(place):
        return {"differs": "edit", "edit": "head", "edit-layer": place["layer"], "edit-head": place["head"]}

    return {
        ("heads", 1): ({"query": "1"}, {"query": str(on)}),
        ("heads", 2): (best(near), best(-near)),
        ("heads", 3): (best(-even), best(even)),
        ("heads", 4): ({"query": "class", "layer": "0"}, {"query": "class", "layer": "5"}),
        ("heads", 5): tuple({"model": "bundled:swin", "layer": "3", "head": str(h["scene:3"])} for h in (columns, rows)),
        ("heads", 6): tuple(
            {"model": "bundled:swin", "layer": "3", "head": str(rows[id]), "image": id} for id in ("scene:3", "scene:5")
        ),
        ("matter", 1): (idle, dear),
        ("matter", 2): (dear, idle),
        ("matter", 3): (fit, odd),
        ("matter", 4): (silence(idle), silence(dear)),
        ("matter", 5): ({"heads": several(order[-6:])}, {"heads": several(order[:6])}),
        ("matter", 6): ({"heads": several(order[:1])}, {"heads": several(order[::-1][:8])}),
        ("sinks", 1): ({**planted, "at": "0"}, {**planted, "at": "4"}),
        ("sinks", 2): ({**planted, "query": "80"}, {**planted, "query": str(sink())}),
        ("sinks", 3): ({**planted, "query": str(sink())}, {**planted, "query": str(sink()), "image": "scene:5"}),
        ("sinks", 4): ({**planted, **best(-parked)}, {**planted, **best(parked)}),
        ("sinks", 5): ({**planted, "mode": "raw"}, {**planted, "mode": "sinks removed"}),
        ("sinks", 6): (planted, {"model": "bundled:vit-registers"}),
        ("believe", 1): ({"maps": "input_x_gradient"}, {"maps": "patch_ablation"}),
        ("believe", 2): ({"maps": "patch_ablation"}, {"maps": "input_x_gradient"}),
        ("believe", 3): ({"maps": "gradient_attention"}, {"maps": "rollout"}),
        ("believe", 4): ({"class": "ball"}, {"class": "house"}),
        ("believe", 5): tuple(
            {"differs": "method", "left-method": "patch_ablation", "right-method": n} for n in ("occlusion", "token_grad_cam")
        ),
    }  # fmt: skip


def checked(tour, step, page, link):
    """The panel after a click on Check."""
    test = settled(opened(page, tour=tour, step=str(step), **link), lambda t: any(b.key == "tour-check" for b in t.button))
    next(b for b in test.button if b.key == "tour-check").click()
    return settled(test, lambda t: told(t) is not None)


def told(test):
    """(whether it was passed, what was said); None before that."""
    for passed, kind in ((True, test.success), (False, test.warning)):
        for element in kind:
            if element.icon in (":material/check_circle:", ":material/replay:"):
                return passed, element.value
    return None


def page_of(tour, step):
    wanted = TOURS[tour].steps[step - 1].page
    return wanted if wanted.startswith("compare") else "lessons/tours"


@pytest.mark.parametrize("tour, step", [(t, n + 1) for t in TOURS if t != "words" for n in range(len(TOURS[t].steps))])
def test_a_wrong_answer_gets_the_hint_and_a_right_one_passes(tour, step):
    wrong, right = answers()[tour, step]
    hint = TOURS[tour].steps[step - 1].hint
    passed, said = told(checked(tour, step, page_of(tour, step), wrong))
    assert not passed and hint in said, said
    test = checked(tour, step, page_of(tour, step), right)
    assert told(test)[0], told(test)[1]
    assert any(b.label in ("Next", "Finish") for b in settled(test, lambda t: True).button)


def test_nothing_chosen_passes_nothing():
    for tour, step in (("heads", 1), ("sinks", 1), ("matter", 5), ("matter", 4), ("believe", 1), ("believe", 4), ("believe", 5)):
        assert not told(checked(tour, step, "lessons/tours", {}))[0], (tour, step)


def asked(tour_step, page="words/ask", **link):
    """The panel beside a page about words, checked once the answer is there."""
    query = {"model": "bundled:lvlm", "image": "scene:5", "tour": "words", "step": str(tour_step), **link}
    test = opened(page, **query)
    settled(test, lambda t: answer_there(t) and any(b.key == "tour-check" for b in t.button))
    next(b for b in test.button if b.key == "tour-check").click()
    return told(settled(test, lambda t: told(t) is not None))


def answer_there(test):
    question = test.session_state["asked before"] if "asked before" in test.session_state else None
    job = session.jobs().find(("answer", question))
    return job is not None and job.future.done()


def spoken(name="lvlm"):
    """The words of the answer by their number, and how likely each was, from the generation itself."""
    from analysis.words import answer_of

    found = model(name)
    inputs = found.prepare(image=pictures.picture("scene:5").array, text="what is in the picture?")
    return answer_of(ma.generate(found, inputs, max_new_tokens=32), ma.asked(found, inputs))


def test_words_are_told_true_from_made_up():
    there = set(pictures.picture("scene:5").scene.categories)
    words = {w.text: w.index for w in spoken().words}
    assert "boat" in words and "boat" not in there and "box" in there
    assert asked(1, word=str(words["box"])) [0]
    wrong = asked(2, word=str(words["box"]))
    assert not wrong[0] and TOURS["words"].steps[1].hint in wrong[1]
    assert asked(2, word=str(words["boat"]))[0]
    assert not asked(1, word=str(words["a"]))[0] and not asked(1)[0]


def test_the_least_sure_word_and_the_one_that_looked_least():
    answer = spoken()
    things = [w for w in answer.words if w.text in ("box", "boat", "cone")]
    probability = {w.index: np.prod([np.exp(answer.log_probabilities[s]) for s in w.steps]) for w in things}
    image = answer.image
    share = {w.index: np.mean([row[:, : len(image)][:, image].sum(-1).mean() for row in answer.rows[w.steps[0]]]) for w in things}
    for step, measured in ((3, probability), (4, share)):
        order = sorted(measured, key=measured.get)
        assert asked(step, word=str(order[0]))[0]
        assert not asked(step, word=str(order[-1]))[0]


def test_the_tuned_model_makes_nothing_up_here():
    assert not asked(5)[0]
    assert asked(5, model="bundled:lvlm-tuned")[0]


def test_both_models_held_together():
    link = {"model": "bundled:lvlm", "image": "scene:5", "differs": "model"}
    assert told(checked("words", 6, "compare/compare", {**link, "other-model": "bundled:lvlm-tuned"}))[0]
    assert not told(checked("words", 6, "compare/compare", {**link, "image": "scene:3", "other-model": "bundled:lvlm-tuned"}))[0]


def test_a_tour_goes_on_back_and_ends():
    test = opened("lessons/tours", tour="sinks", step="2").run()
    press = lambda key: next(b for b in test.button if b.key == key).click().run()  # noqa: E731
    assert "2 of 6" in " ".join(c.value for c in test.caption)
    press("tour-next")
    assert test.query_params["step"] == "3" and test.query_params["tour"] == "sinks"
    press("tour-back")
    assert "2 of 6" in " ".join(c.value for c in test.caption)
    press("tour-end")
    assert "tour" not in test.query_params and not any(b.key == "tour-check" for b in test.button)


@pytest.mark.parametrize("link", [{"tour": "nowhere"}, {"tour": "heads", "step": "99"}, {"tour": "heads", "step": "x"}])
def test_a_link_that_makes_no_sense_harms_nothing(link):
    test = opened("lessons/tours", **link).run()
    assert not test.exception and len([b for b in test.button if b.key.startswith("start-")]) == 5


def test_tours_are_long_enough_and_lead_to_pages_that_exist():
    from tests.app.pages import ROOT

    assert list(TOURS) == ["heads", "matter", "sinks", "words", "believe"]
    for tour in TOURS.values():
        for step in tour.steps:
            assert (ROOT / "pages" / f"{step.page}.py").is_file() and step.hint and step.task.endswith((".", "?"))
    with pytest.raises(ValueError, match="5 to 8"):
        Tour("short", "Short", "?", 5, TOURS["heads"].steps[:2])


@pytest.mark.parametrize("shown", MATERIAL, ids=lambda each: each.title)
def test_every_link_of_the_teacher_opens(shown):
    test = opened(shown.page, **shown.settings)
    last = {"trust/benchmark": lambda t: any("has no claim" in c.value for c in t.caption)}
    settled(test, last.get(shown.page, lambda t: any("How to read" in e.label for e in t.expander)))
    assert not test.error, [e.value for e in test.error]
    for name, value in shown.settings.items():
        if name in test.session_state:
            assert str(test.session_state[name]) == {"yes": "True"}.get(value, value)


def test_the_teachers_page_holds_these_links():
    test = opened("lessons/teacher").run()
    text = " ".join(m.value for m in test.markdown)
    assert all(each.title in text for each in MATERIAL) and all(tour.title in text for tour in TOURS.values())
    assert "model=bundled%3Alvlm" in text and "tour=believe" in text and not test.exception


@pytest.fixture(scope="module")
def app():
    with serving("app.py") as server, chromium() as browser:
        yield server, browser


def press_check(page, expected):
    page.locator(".st-key-tour-check button").click()
    page.wait_for_selector(f".st-key-tour [data-testid=stAlert]:has-text('{expected}')", timeout=60_000)


def patch(page, row):
    """The middle of a patch of the viewer."""
    box = page.locator(".viewer .stage .heat").first.bounding_box()
    y, x = divmod(row - 1, GRID)
    return box["x"] + (x + 0.5) * box["width"] / GRID, box["y"] + (y + 0.5) * box["height"] / GRID


@pytest.mark.browser
@needs_chromium
def test_a_learner_finds_a_patch_on_an_object(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/lessons-tours")
        page.locator(".st-key-start-heads button").click(timeout=60_000)
        page.wait_for_selector(".st-key-tour-check button", timeout=120_000)
        page.wait_for_selector(".viewer .thumbs", timeout=60_000)
        settle(page)
        page.mouse.click(*patch(page, 1))
        page.wait_for_function("() => location.search.includes('query=1')")
        settle(page)
        press_check(page, TOURS["heads"].steps[0].hint[:30])
        assert page.locator(".st-key-tour-next button").inner_text() == "Skip"
        page.mouse.click(*patch(page, 1))  # lets go
        page.mouse.click(*patch(page, int(answers()["heads", 1][1]["query"])))
        page.wait_for_function("() => /query=(?!1(&|$))/.test(location.search)")
        settle(page)
        press_check(page, "Objects cover 100")
        page.locator(".st-key-tour-next button", has_text="Next").click()
        page.wait_for_function("() => location.search.includes('step=2')")


@pytest.mark.browser
@needs_chromium
def test_a_learner_finds_the_made_up_word(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/words-ask?model=bundled:lvlm&image=scene:5&tour=words&step=2")
        page.locator("button.word:has-text('box')").first.click(timeout=120_000)
        page.wait_for_function("() => location.search.includes('word=')")
        page.wait_for_selector(".st-key-tour-check button", timeout=60_000)
        settle(page)
        press_check(page, "it is in the picture")
        page.locator("button.word:has-text('boat')").first.click()
        page.wait_for_timeout(500)
        settle(page)
        press_check(page, "it is not in the picture")
        assert page.locator(".st-key-tour-next button").inner_text() == "Next"


@pytest.mark.browser
@needs_chromium
def test_a_learner_stops_the_film_at_a_sink(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/tokens-sinks?model=bundled:vit-sinks&tour=sinks&step=1")
        slider = page.locator(".film input[type=range]").first
        slider.wait_for(timeout=120_000)
        page.wait_for_selector(".st-key-tour-check button", timeout=60_000)
        settle(page)
        press_check(page, "where it began")
        for key, layer, expected in (("Home", "0", "0 sinks"), ("End", "5", "1 sink")):
            slider.press(key)
            page.wait_for_function(f"() => location.search.includes('at={layer}')")
            settle(page)
            press_check(page, expected)
