"""Files of a study that are lost, cut short or exchanged: told wherever it is read, and mended by going on with it."""

from __future__ import annotations

import json

import fsspec
import pytest

from studies import StudyError
from studies.__main__ import main
from studies.conduct import conduct, resume
from studies.damage import Damage, sentences
from studies.errors import DamagedStudy
from studies.reading import query
from studies.store import Store, read_table
from studies.telling import listed, report, status
from studies.totals import Totals
from tests.studies.small import TABLES, equal, folder_of, rows, same, study

SHARD, OTHER = "00-000001", "00-000002"
FILE = f"rows/heads/{SHARD}.parquet"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return {"kind": "images", "path": str(folder_of(tmp_path_factory.mktemp("data"), 14, (5,)))}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    store = tmp_path_factory.mktemp("whole")
    conduct(study(store, data, ("strength", "sinks"), shard=4))
    return store


def copied(source, url: str) -> Store:
    """The same study at another place."""
    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(path, exist_ok=True)
    for file in (f for f in source.rglob("*") if f.is_file()):
        place = f"{path}/{file.relative_to(source)}"
        fs.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        fs.pipe_file(place, file.read_bytes())
    return Store(url)


def lose(store: Store, file: str) -> None:
    (store.root / file).remove()


def cut(store: Store, file: str) -> None:
    place = store.root / file
    place.write(place.read()[:-100])


def exchange(store: Store, file: str) -> None:
    """With another shard's rows, in a file that is no shorter."""
    place = store.root / file
    other = (store.root / file.replace(SHARD, OTHER)).read()
    place.write(other)


SAID = {lose: "is missing", cut: "is cut short", exchange: "is cut short|is not the one that was written"}


@pytest.fixture(params=["here", "memory"])
def store(request, undisturbed, tmp_path):
    url = str(tmp_path / "s") if request.param == "here" else "memory://damaged-study"
    yield copied(undisturbed, url)
    if request.param == "memory":
        fsspec.filesystem("memory").rm("/damaged-study", recursive=True)


@pytest.mark.parametrize("harm", [lose, cut, exchange])
def test_a_damaged_file_is_noticed_wherever_it_is_read_and_mended(harm, store, undisturbed):
    whole = len(rows(undisturbed, "heads"))
    lost = len(read_table(store.file_of("heads", SHARD)))
    assert not store.damage() and not status(store).lacking
    harm(store, FILE)
    (found,) = store.damage()
    assert (found.table, found.shard, found.rows) == ("heads", SHARD, lost)
    (told,) = status(store).lacking
    assert f"{lost:,} rows are lacking in the table heads: of shard {SHARD} the file" in told and found.fault in SAID[harm]
    with pytest.warns(DamagedStudy, match=f"{lost:,} rows are lacking"):
        assert query(store, "SELECT count(*) FROM heads")[1] == [(whole - lost,)]
    assert query(store, "SELECT count(*) FROM images")[1] == [(13,)]  # the rest is read without a word
    assert told in report(store)
    done = resume(store.url)
    assert (done.done, done.records + done.broken) == (4, 4)  # that shard, and no other
    assert not store.damage(whole=True) and status(store).state == "finished"
    for table in TABLES:
        same(rows(undisturbed, table), rows(store.url, table))
    for table in ("heads", "layers"):
        same(read_table(Store(str(undisturbed)).statistics(table)), read_table(store.statistics(table)))


def test_several_shards_are_done_again_and_equal_an_undisturbed_run(undisturbed, tmp_path):
    store = copied(undisturbed, str(tmp_path / "s"))
    lose(store, f"rows/totals/{OTHER}.parquet")
    cut(store, "rows/images/00-000000.parquet")
    lose(store, f"done/{SHARD}.json")
    assert {(each.table, each.shard) for each in store.damage()} == {("totals", OTHER), ("images", "00-000000")}
    done = resume(store.url)
    assert done.records + done.broken == 12
    equal(tmp_path / "s", undisturbed)


def test_a_change_inside_a_file_is_found_before_a_study_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr("studies.damage._END", 64)  # these files are small: all of them would count as their end
    store = Store(str(tmp_path / "s"))
    conduct(study(tmp_path / "s", data, shard=8))
    before, place = rows(store.url, "heads"), store.root / FILE
    content = bytearray(place.read())
    content[len(content) // 3] ^= 0xFF
    place.write(bytes(content))
    assert not store.damage()
    assert [each.shard for each in store.damage(whole=True)] == [SHARD]
    assert resume(store.url).records == 6
    same(before, rows(store.url, "heads"))


def test_statistics_that_are_damaged_are_left_out_and_made_again(undisturbed, tmp_path):
    store = copied(undisturbed, str(tmp_path / "s"))
    cut(store, "tables/heads.parquet")
    mended = "Going on with the study (resume) mends it."
    assert status(store).lacking == (f"The file of the statistics heads_all is cut short. {mended}",)
    with pytest.warns(DamagedStudy, match="heads_all"), pytest.raises(StudyError, match="heads_all"):
        query(store, "SELECT * FROM heads_all")
    assert resume(store.url).records == 0
    equal(tmp_path / "s", undisturbed)


def test_marks_and_manifests_that_cannot_be_read_hide_nothing_else(undisturbed, tmp_path):
    for name in ("one", "two", "three"):
        copied(undisturbed, str(tmp_path / name))
    (tmp_path / "one" / "manifest.json").write_text("{}")
    (tmp_path / "two" / "manifest.json").write_text('{"format": 1, "study": {}}')
    (tmp_path / "three" / "done" / f"{SHARD}.json").write_text("[]")
    found = {each.name if each.state == "unreadable" else "study": each for each in listed(str(tmp_path))}
    assert {name: each.state for name, each in found.items()} == {"one": "unreadable", "two": "unreadable", "study": "finished"}
    assert "says nothing of identity, shards" in found["two"].lacking[0]
    assert f"of shard {SHARD} the mark cannot be read" in found["study"].lacking[0]
    resume(str(tmp_path / "three"))
    equal(tmp_path / "three", undisturbed)


def test_a_study_of_an_earlier_version_opens_and_its_lost_files_are_told(undisturbed, tmp_path):
    store = copied(undisturbed, str(tmp_path / "s"))
    for file in (tmp_path / "s" / "done").iterdir():
        mark = json.loads(file.read_text())
        file.write_text(json.dumps({**mark, "tables": list(mark["tables"])}))
    told = json.loads((tmp_path / "s" / "manifest.json").read_text())
    (tmp_path / "s" / "manifest.json").write_text(json.dumps({k: v for k, v in told.items() if k != "statistics"}))
    assert not store.damage()
    equal(tmp_path / "s", undisturbed)
    lose(store, FILE)
    assert status(store).lacking[0].startswith(f"Rows are lacking in the table heads: of shard {SHARD} the file is missing.")
    resume(store.url)
    equal(tmp_path / "s", undisturbed)


def test_the_command_line_tells_it(undisturbed, tmp_path, capsys):
    store = copied(undisturbed, str(tmp_path / "s"))
    lose(store, FILE)
    for command in (["status", store.url], ["list", str(tmp_path)], ["report", store.url], ["query", store.url, "TABLE heads"]):
        assert main(command) == 0
        assert "rows are lacking in the table heads" in capsys.readouterr().out, command
    assert main(["query", store.url, "TABLE images"]) == 0
    assert "lacking" not in capsys.readouterr().out


def test_statistics_of_a_study_that_runs_leave_out_what_is_damaged(undisturbed, tmp_path):
    store = copied(undisturbed, str(tmp_path / "s"))
    lose(store, f"rows/totals/{SHARD}.parquet")
    totals = Totals(store)
    totals.update()
    counted = totals.table("heads").to_pandas()
    assert counted["count"].max() == 13 - len(read_table(store.file_of("images", SHARD)))


def test_sentences_gather_shards():
    found = [Damage("heads", f"00-{n:06d}", "is missing", 100) for n in range(6)]
    (told,) = sentences(found)
    assert told.startswith("600 rows are lacking in the table heads: of shards 00-000000, 00-000001")
    assert "00-000003 and 2 more the file is missing" in told
