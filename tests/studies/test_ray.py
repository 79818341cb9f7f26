"""Ray runs the same shards to the same rows, loses workers and whole nodes, and gives up with a sentence."""

from __future__ import annotations

import random
import sys
import time

import psutil
import pytest

from studies import StudyError
from studies.conduct import conduct
from studies.engine import engine_named
from studies.store import Store
from studies.work import Shard, Work
from tests.studies.small import equal, folder_of, study

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
STORE_BYTES = 80 * 2**20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return {"kind": "images", "path": str(folder_of(tmp_path_factory.mktemp("data"), 40, (7, 23)))}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    store = tmp_path_factory.mktemp("whole")
    conduct(study(store, data, ("strength", "sinks"), shard=4))
    return store


@pytest.fixture(scope="module")
def engine():
    from studies.ray_engine import RayEngine

    ray.shutdown()
    made = RayEngine(workers=2)
    yield made
    made.close()


def workers() -> list[psutil.Process]:
    """Of this process alone: others may use Ray on this machine too."""
    return [p for p in psutil.Process().children(recursive=True) if "ray::_Worker" in _command(p)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # it ended meanwhile


def test_two_workers_write_the_rows_of_one_process(engine, data, undisturbed, tmp_path):
    found = conduct(study(tmp_path / "store", data, ("strength", "sinks"), shard=4), engine)
    assert (found.records, found.broken, found.done) == (38, 2, 10)
    equal(tmp_path / "store", undisturbed)


@pytest.mark.parametrize("seed", [0, *[pytest.param(n, marks=pytest.mark.slow) for n in range(1, 10)]])
def test_killed_workers_cost_their_shards_only(seed, engine, data, undisturbed, tmp_path):
    chance, killed = random.Random(seed), []

    def kill(progress) -> None:
        if progress.last is not None and len(killed) < 2 and chance.random() < 0.6:
            time.sleep(chance.random() * 0.05)
            killed.append(chance.choice(sorted(workers(), key=lambda p: p.pid)))
            killed[-1].kill()

    conduct(study(tmp_path / "store", data, ("strength", "sinks"), shard=4), engine, kill)
    assert killed
    equal(tmp_path / "store", undisturbed)


def test_a_study_that_cannot_go_on_ends_with_its_sentence(engine, data, tmp_path):
    store = tmp_path / "store"
    small = study(store, data, shard=4)

    class Stopped(Exception):
        pass

    def stop(progress) -> None:
        if progress.last is not None:
            raise Stopped

    with pytest.raises(Stopped):
        conduct(small, engine, stop)
    assert 1 <= len(list(Store(str(store)).done())) < 10
    until = time.time() + 20
    while workers() and time.time() < until:
        time.sleep(0.1)
    assert not workers()  # a run that was ended leaves nobody at work
    work = Work(small, str(store), ("0" * 64,))  # hashes of other weights
    with pytest.raises(StudyError, match="not those that the study began with"):
        list(engine.map(work, [Shard(0, 0, 0, ())]))


def test_a_store_in_one_process_is_refused(engine, data):
    with pytest.raises(StudyError, match="lives in one process"):
        conduct(study("memory://ray", data, shard=4), engine)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("auto", "the Ray cluster at auto cannot be reached or started: nobody answers"),
        ("ray://127.0.0.1:1", "ray://127.0.0.1:1 cannot be reached .*refused"),
        ("127.0.0.1:1", "127.0.0.1:1 cannot be reached .*refused"),
        ("127.0.0.1", "an address is auto, HOST:6379 or ray://HOST:10001"),
    ],
)
def test_a_cluster_that_is_not_there_is_named_at_once(monkeypatch, address, said):
    from studies.ray_engine import RayEngine

    def refuse(**asked):
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(StudyError, match=said):
        RayEngine(address=address).identify(())


def test_studies_and_pages_each_end_only_their_own_part(engine, monkeypatch):
    """The connection lives until its last user leaves, and one that somebody else began is left alone."""
    from studies.ray_cluster import Membership
    from studies.ray_engine import RayEngine

    ended, pages, other = [], Membership(), RayEngine(workers=1)
    engine._connect()
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    pages.join(None, 1)
    other._connect()
    with pytest.raises(StudyError, match="cannot join 10.0.0.1:6379 too"):
        RayEngine(address="10.0.0.1:6379")._connect()
    other.close()
    other.close()
    assert ray.is_initialized() and not ended
    assert pages in Membership._members and engine._cluster in Membership._members
    pages.leave()
    assert not ended  # the engine of these tests has it still
    monkeypatch.setattr(Membership, "_begun", False)
    monkeypatch.setattr(Membership, "_members", {other._cluster})
    other.close()
    assert not ended


def test_without_ray_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "studies.ray_engine", raising=False)
    with pytest.raises(StudyError, match="requirements-cluster.txt"):
        engine_named("ray")


@pytest.mark.slow
def test_a_node_that_is_lost_costs_its_shards_only(data, undisturbed, tmp_path):
    from ray.cluster_utils import Cluster

    from studies.ray_engine import RayEngine

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES})
    lost = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    cluster.wait_for_nodes()
    try:
        engine, gone = RayEngine(address=cluster.address), []

        def lose(progress) -> None:
            if progress.last is not None and progress.done >= 3 and not gone:
                cluster.remove_node(lost, allow_graceful=False)
                cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
                gone.append(True)

        conduct(study(tmp_path / "store", data, ("strength", "sinks"), shard=4), engine, lose)
        assert gone
        equal(tmp_path / "store", undisturbed)
    finally:
        ray.shutdown()
        cluster.shutdown()
