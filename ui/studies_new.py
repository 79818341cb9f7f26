"""A study that is to be: put together, estimated, started, watched, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import pickers, session
from ui.jobs import Progress
from ui.set_jobs import span

if TYPE_CHECKING:
    from studies.spec import Study

_DATA: Mapping[str, str] = {
    "world": "count: 100, seed: 2", "images": "path: photos", "coco": "annotations: instances.json, images: photos",
    "questions": "path: questions.jsonl", "shards": "path: shards", "dataset": "path: dataset",
}  # fmt: skip
_POLL = 2.0


def draft(kind: str) -> str:
    """A study file to begin with: the chosen model, this kind of data, and measures that the model has."""
    from studies.measures import MEASURES

    name, weights = pickers.model_name(), pickers.weights()
    model = session.model(name, weights)
    own = [each.name for each in MEASURES.values() if not each.why_not(model) and each.name not in _SLOW]
    told = name if weights == "pretrained" else f"{{name: {name}, weights: {weights}, seed: 0}}"
    listed = "\n".join(f"  - {_WRITTEN_OUT if each == 'matches' and kind in _NAMELESS else each}" for each in own)
    title = f"{name.split(':')[-1].split('/')[-1]}-{kind}"
    return (
        f"name: {title}\nmodels: [{told}]\ndata: {{kind: {kind}, {_DATA[kind]}}}\nmeasures:\n{listed}\n"
        "batch: 16\nshard: 25\n"
    )


_NAMELESS = ("images", "shards", "dataset")
"""Data that names no things of its own: captions are written out."""
_WRITTEN_OUT = "matches: {captions: [a picture of a ball, a picture of a star]}"
_SLOW = ("importance_exact", "budgets")


def form() -> None:
    """The study file, what it would take, and its start."""
    from studies.errors import StudyError
    from studies.spec import study_of

    left, right = st.columns([3, 2], gap="medium")
    with left:
        kind = st.segmented_control("Data", list(_DATA), key="study-data", default="world", required=True)
        text = st.text_area("Study", value=draft(kind), height=240, key=f"study-text-{kind}-{pickers.model_name()}")
        runs = ""
        try:
            study = _placed(study_of(_read(text)))
            runs = _run(study)
        except StudyError as error:
            st.error(str(error), icon=":material/error:")
    with right:
        if runs:
            _watch(runs)
        else:
            _measures()


def _read(text: str) -> Any:
    import yaml

    from studies.errors import StudyError

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise StudyError(f"this is no YAML: {' '.join(str(error).split())}.") from error


def _placed(study: Study) -> Study:
    """In the server's folder, where the file names no store of its own; by its whole path, as whoever opens it names it."""
    from dataclasses import replace

    from studies.places import place
    from ui.results.studying import folder

    usual = study.store == f"studies-results/{study.name}"
    return replace(study, store=place(f"{folder()}/{study.name}" if usual else study.store).url)


def _measures() -> None:
    """What the chosen model can be asked, and below it the rest."""
    from studies.measures import MEASURES

    kind = session.model(pickers.model_name(), pickers.weights()).kind
    st.markdown("**What can be measured**")
    st.markdown("\n".join(f"- `{each.name}`: {each.summary}" for each in MEASURES.values() if kind in each.kinds))
    others = [f"`{each.name}` ({', '.join(sorted(each.kinds))})" for each in MEASURES.values() if kind not in each.kinds]
    st.caption(f"On other kinds of models: {', '.join(others)}.")


def _run(study: Study) -> str:
    """What it would take, its start, and how far it is; the folder of its results while it runs, else nothing."""
    from studies.store import Store
    from studies.telling import status
    from ui.results import studying

    store = Store(study.store)
    now = status(store) if store.has_manifest() else None
    if now is not None and now.state == "finished" and not now.lacking and studying.study_in(store) == study:
        _finished(now.done)
        return ""
    priced = session.part(("study cost", study), lambda _: studying.cost(study), label="Trying two batches", lane="long")
    if priced is None:
        return ""
    told = f"{priced.records:,} records at most, about {span(priced.seconds)} in all · results in {study.store}"
    told = f"{now.done} of {now.shards} shards are done · {told}" if now is not None else told
    done = session.asked(
        key_of(study), lambda progress: conducted(study, progress), label=study.name, estimate=told,
        button="Start" if now is None else "Go on", lane="study",
    )  # fmt: skip
    if done is not None:
        _finished(done.done)
        return ""
    job = session.jobs().find(key_of(study))
    return study.store if job is not None and not job.future.done() else ""


def _finished(shards: int) -> None:
    st.success(f"Finished: {shards} shards. It is among the studies under Open.", icon=":material/check:")


def key_of(study: Study) -> tuple:
    """The key of the job that runs a study."""
    return "study", study


def conducted(study: Study, progress: Progress) -> Any:
    """Run a study, and tell how far it is."""
    from studies.conduct import conduct

    before: list[int] = []

    def report(now: Any) -> None:
        before.append(now.done)
        own = (now.done - before[0]) / max(now.shards - before[0], 1)
        broken = f", {now.broken} broken" if now.broken else ""
        progress.step(own, f"{now.done} of {now.shards} shards, {now.rate:.1f} records/s{broken}")

    return conduct(study, report=report)


@st.fragment(run_every=_POLL)
def _watch(url: str) -> None:
    """The figures of the shards that are there so far."""
    from studies.store import Store
    from ui.figures import draw
    from ui.results import studying

    store = Store(url)
    shown = studying.so_far(store) if store.has_manifest() else None
    if shown is None:
        st.caption("Figures come with the first shard.")
        return
    shards = len(store.done())
    st.caption(f"So far, over {shards} shard{'s' if shards != 1 else ''}")
    st.plotly_chart(draw(shown), key="study-so-far", width="stretch", config={"displayModeBar": False})
