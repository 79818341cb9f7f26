"""The pages' runs on workers: the answers of this process, fair turns, one retry for a lost worker, clear refusals."""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import psutil
import pytest

import model_adapters as ma
from studies import serving
from studies.crew import Server, ServingError, WorkerLost
from studies.requests import worked
from studies.serving import elsewhere, named
from studies.turns import Turns
from ui import pictures
from ui.jobs import Cancelled, Jobs, Progress
from ui.results import looking
from ui.results.answering import answered

SILENCED = ma.edits.Gate(value=0.0, where=ma.Where(tower="decoder", layers=(1,), heads=(0,)))
QUESTION = "what is in the picture?"


class Crew:
    """Workers of this process; `run` is what they do."""

    def __init__(self, run, count=1):
        self.run, self.hired, self._count = run, 0, count

    def count(self):
        return self._count

    def hire(self):
        self.hired += 1
        return self


def watcher(visit=""):
    made = Progress()
    made.visit = visit
    return made


def square(ticket):
    time.sleep(0.002)
    return ticket.asked**2


# -- turns ---------------------------------------------------------------------------------------------------------------


def served_in_order(turns, count):
    found = []
    for _ in range(count):
        found.append(turns.take())
        turns.done(found[-1])
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_place_that_is_told_is_the_order_that_follows(seed):
    chance, turns = random.Random(seed), Turns()
    running = None
    if chance.random() < 0.5:
        turns.enter("a", 0)
        running = turns.take()
    tickets = [turns.enter(chance.choice("abcd"), n) for n in range(chance.randint(1, 15))]
    told = {ticket: turns.place(ticket) for ticket in tickets}
    if running is not None:
        turns.done(running)
    order = served_in_order(turns, len(tickets))
    assert [told[ticket] for ticket in order] == list(range(len(tickets)))


def test_somebody_new_waits_for_the_request_that_runs_and_no_other():
    turns = Turns()
    many = [turns.enter("greedy", n) for n in range(20)]
    assert turns.take() is many[0]
    new = turns.enter("new", 0)
    assert turns.place(new) == 0
    turns.done(many[0])
    assert turns.take() is new


def test_nobody_starves_however_many_come():
    turns = Turns()
    patient = [turns.enter("patient", n) for n in range(3)]
    begun = []
    for n in range(30):
        turns.enter(f"newcomer {n}", n)
        begun.append(turns.take())
        turns.done(begun[-1])
    places = [begun.index(ticket) for ticket in patient]
    assert places[0] == 0 and places[2] <= 6  # row by row: the newcomers that stood there, then its next


def test_idle_workers_serve_one_visit_alone():
    turns = Turns()
    tickets = [turns.enter("alone", n) for n in range(3)]
    assert [turns.take(), turns.take(), turns.take()] == tickets


def test_who_leaves_is_not_begun():
    turns = Turns()
    first, second, third = (turns.enter(visit, 0) for visit in "aab")
    turns.leave(first)
    assert (turns.place(second), turns.place(third)) == (0, 1)
    assert served_in_order(turns, 2) == [second, third]


# -- the server ----------------------------------------------------------------------------------------------------------


def test_thirty_at_once_on_one_worker_get_their_own_answers_and_wait_fairly():
    order = []

    def run(ticket):
        order.append(ticket.visit)
        return square(ticket)

    server, all_there = Server(Crew(run)), threading.Barrier(30)

    def ask(n):
        all_there.wait()
        return server.ask(n, watcher(f"visit {n}"))

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(ask, range(30))) == [n**2 for n in range(30)]
    waits = [order.index(f"visit {n}") + 1 for n in range(30)]
    assert max(waits) <= 2 * np.mean(waits)


def test_one_visit_that_asks_much_holds_up_the_others_for_one_request_at_most():
    release, order = threading.Event(), []

    def run(ticket):
        release.wait(5)
        order.append(ticket.visit)
        return square(ticket)

    server = Server(Crew(run))
    with ThreadPoolExecutor(30) as pool:
        much = [pool.submit(server.ask, n, watcher("much")) for n in range(20)]
        while not server.turns._running:
            time.sleep(0.005)
        others = [pool.submit(server.ask, n, watcher(f"other {n}")) for n in range(5)]
        until = time.monotonic() + 5
        while len(server.turns._waiting) < 6 and time.monotonic() < until:
            time.sleep(0.005)
        release.set()
        assert [f.result(10) for f in (*much, *others)] == [n**2 for n in (*range(20), *range(5))]
    assert order[0] == "much" and "much" not in order[1:6]


def test_the_place_and_the_tokens_are_told_while_one_waits():
    first = threading.Event()

    def run(ticket):
        if ticket.asked == "first":
            first.wait(5)
        else:
            ticket.said = (7, 8)
            time.sleep(0.3)
        return ticket.asked

    server, notes, heard = Server(Crew(run)), [], []

    class Noting(Progress):
        def step(self, done, note=""):
            notes.append(note)
            super().step(done, note)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(server.ask, "first", watcher("a"))]
        while not server.turns._running:
            time.sleep(0.005)
        jobs.append(pool.submit(server.ask, "second", watcher("b")))
        while not server.turns._waiting:
            time.sleep(0.005)
        jobs.append(pool.submit(server.ask, "third", Noting(), heard.append))
        while not notes:
            time.sleep(0.005)
        first.set()
        assert [job.result(5) for job in jobs] == ["first", "second", "third"]
    assert notes[0] == "waiting behind 1 other" and notes[-1] == "on a worker"
    assert heard == [[7, 8]]


def test_a_lost_worker_costs_one_retry_and_two_a_sentence():
    tried = []

    def run(ticket):
        tried.append(ticket.asked)
        if ticket.asked == 3 and tried.count(3) == 1 or ticket.asked == 13:
            raise WorkerLost("the process died")
        if ticket.asked == 5:
            raise ValueError("5 is refused")
        return square(ticket)

    crew = Crew(run)
    server = Server(crew)
    assert server.ask(3, watcher()) == 9 and (tried.count(3), crew.hired) == (2, 2)
    with pytest.raises(ServingError, match=r"lost 2 times \(the process died\)"):
        server.ask(13, watcher())
    assert tried.count(13) == 2
    with pytest.raises(ValueError, match="5 is refused"):
        server.ask(5, watcher())
    assert server.ask(4, watcher()) == 16 and crew.hired == 4  # two for 13 were lost, the last one still serves


def test_a_cluster_that_comes_back_is_used_again():
    down = [True]

    class Gone(Crew):
        def hire(self):
            if down[0]:
                raise ServingError("the cluster is gone")
            return super().hire()

    server = Server(Gone(square))
    with pytest.raises(ServingError, match="is gone"):
        server.ask(2, watcher())
    down[0] = False
    assert server.ask(2, watcher()) == 4


def test_who_cancels_waits_no_longer_and_the_worker_is_told():
    told = threading.Event()

    def run(ticket):
        while not ticket.left:
            time.sleep(0.005)
        told.set()

    server, tired = Server(Crew(run)), watcher()
    threading.Timer(0.15, tired.cancel).start()
    with pytest.raises(Cancelled):
        server.ask(1, tired)
    assert told.wait(5)


def test_jobs_know_whose_they_are_and_those_elsewhere_do_not_wait_for_each_other():
    release, visits = threading.Event(), iter(["one", "two", "three", "four"])
    jobs = Jobs(visit=lambda: next(visits))
    found = [jobs.start((n,), lambda progress: release.wait(5) and progress.visit, label="", lane="elsewhere") for n in range(4)]
    until = time.monotonic() + 5
    while any(job.waiting for job in found) and time.monotonic() < until:
        time.sleep(0.005)
    assert not any(job.waiting for job in found)
    release.set()
    assert [job.future.result(5) for job in found] == ["one", "two", "three", "four"]


# -- what the variable says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "local"])
def test_by_default_everything_runs_here(monkeypatch, value):
    monkeypatch.setenv(serving.ENGINE, value)
    assert serving.server() is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HEADLIGHT_ENGINE", "rya", "must be local, ray, auto .* Got 'rya' instead"),
        ("HEADLIGHT_ENGINE", "ray://host", "Got 'ray://host' instead"),
        ("HEADLIGHT_WORKERS", "0", "whole number from 1 to 9999. Got '0' instead"),
        ("HEADLIGHT_WORKERS", "many", "Got 'many' instead"),
    ],
)
def test_a_wrong_variable_is_told(monkeypatch, name, value, sentence):
    monkeypatch.setenv(serving.ENGINE, "ray")
    monkeypatch.setenv(name, value)
    with pytest.raises(ServingError, match=sentence):
        serving.server()


def test_without_ray_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setenv(serving.ENGINE, "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "studies.ray_serving", raising=False)
    serving._server.cache_clear()
    with pytest.raises(ServingError, match="requirements-cluster.txt"):
        serving.server()


# -- models --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def lvlm():
    return ma.load("bundled:lvlm")


@pytest.fixture
def here(monkeypatch):
    """A worker of this process, for what needs no other; what it was asked."""
    requests = []

    def run(ticket):
        requests.append(ticket.asked)
        return worked(ticket.asked, lambda ids: setattr(ticket, "said", tuple(ids)))

    made = Server(Crew(run))
    monkeypatch.setattr(serving, "server", lambda: made)
    return requests


def test_a_model_is_named_as_it_was_loaded(lvlm):
    other = ma.load("timm:test_vit", weights="random", seed=3, dtype="bfloat16")
    spec = named(other)
    assert (spec.name, spec.weights, spec.seed, spec.dtype) == ("timm:test_vit", "random", 3, "bfloat16")
    assert named(lvlm).weights == "pretrained"
    assert named(ma.wrap(other.module, name="mine", verify=False)) is None


def test_other_weights_are_refused(here, lvlm):
    copied = replace(ma.load("bundled:lvlm"), name=lvlm.name)
    next(p for p in copied.module.parameters() if p.numel() > 100).data.mul_(1.01)
    there = elsewhere(copied)
    inputs = copied.prepare(image=pictures.picture("scene:3").image, text=QUESTION)
    with pytest.raises(ServingError, match="other weights for bundled:lvlm"):
        there.generate(inputs, watcher(), longest=2, decoding=ma.Greedy())


def same_views(one, other):
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for n, layer in enumerate(one.layers):
        np.testing.assert_allclose(one.weights(n), other.weights(n), atol=1e-5)
        np.testing.assert_array_equal(layer.keys.boxes, other.layers[n].keys.boxes)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


def same_answers(one, other):
    assert one.answer.text == other.answer.text and len(one.answer) > 2
    np.testing.assert_allclose(one.answer.logits, other.answer.logits, atol=1e-4)
    for mine, yours in zip(one.answer.rows, other.answer.rows, strict=True):
        for a, b in zip(mine, yours, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def asked(lvlm, progress=None, **more):
    return answered(lvlm, [pictures.picture("scene:3")], QUESTION, longest=24, decoding=ma.Greedy(), progress=progress, **more)


def test_large_views_are_fetched_layer_by_layer(here, vit, monkeypatch):
    subject, picture = ma.subject(vit, pictures.picture("scene:3").array), pictures.picture("scene:3")
    whole = looking.view_of_subject(subject, picture, watcher())
    assert len(here) == 1
    monkeypatch.setattr(looking, "LARGEST", 1)
    lazy = looking.view_of_subject(subject, picture, watcher())
    for n in range(len(whole.layers)):
        np.testing.assert_allclose(whole.weights(n), lazy.weights(n), atol=1e-3)  # kept in half precision
    assert len(here) == 2 + len(whole.layers)


@pytest.fixture(scope="module")
def expected(vit, lvlm):
    """What this process says, before anything else is asked."""
    picture = pictures.picture("scene:3")
    view = looking.view_of_subject(ma.subject(vit, picture.array), picture, watcher())
    return view, asked(lvlm), asked(lvlm, edits=SILENCED)


@pytest.fixture(scope="module")
def on_ray(expected):
    ray = pytest.importorskip("ray")
    ray.shutdown()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(serving.ENGINE, "ray")
        patch.setenv(serving.WORKERS, "1")
        yield
    ray.shutdown()
    serving._server.cache_clear()


@pytest.fixture
def not_here(monkeypatch):
    monkeypatch.setattr(ma.Subject, "capture", lambda *given: pytest.fail("it ran here"))
    monkeypatch.setattr(ma, "generate", lambda *given, **more: pytest.fail("it ran here"))


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_answers_of_this_process(on_ray, expected, not_here, vit, lvlm):
    picture, (view, said, silenced) = pictures.picture("scene:3"), expected
    assert said.answer.text != silenced.answer.text or not np.allclose(said.answer.logits, silenced.answer.logits, atol=1e-3)
    found = looking.view_of_subject(ma.subject(vit, picture.array), picture, watcher())
    same_views(view, found)
    assert found.weights(0).flags.writeable
    same_answers(said, asked(lvlm))
    same_answers(silenced, asked(lvlm, edits=SILENCED))
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1"):
        elsewhere(lvlm).generate(said.inputs, watcher(), longest=0, decoding=ma.Greedy())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_actor_that_is_killed_in_the_middle_costs_one_retry(on_ray, expected, not_here, lvlm):
    same_answers(expected[1], asked(lvlm))
    holders = [p for p in psutil.Process().children(recursive=True) if "ray::_Holder" in " ".join(p.cmdline())]
    assert len(holders) == 1
    holders[0].suspend()  # so that it dies in the middle
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(asked, lvlm)
        while not serving.server().turns._running:
            time.sleep(0.01)
        time.sleep(0.3)
        assert not late.done()
        holders[0].kill()
        same_answers(expected[1], late.result(300))
