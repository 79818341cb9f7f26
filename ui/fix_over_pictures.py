"""What a fix is worth over many pictures, on the page Fix: POPE and CHAIR with intervals, and recall beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import streamlit as st

from ui import controls, page, session
from ui.results import fix_measured, fix_snippet
from ui.results.fix_pictures import Source, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.evaluation.pope import Kind
    from model_adapters.answer_cost import AnswerCost
    from ui.asking import Question
    from ui.results.answering import Answered
    from ui.results.fix import Fix

SOURCES = {"scene": "Scenes", "biased": "Biased scenes", "coco": "A folder of yours"}
TEXTS = {"scene": "describe the picture.", "coco": "Please describe this image in detail."}
LONGEST = {"scene": (40, 3), "coco": (64, 16)}


def wish() -> Wish:
    """Over what it is measured."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source: Source = controls.pick("fix-over", "Pictures", get_args(Source), format=lambda s: SOURCES[s])
        with st.container(width=240):
            count = int(controls.slide("fix-n", "How many", 8, 200, 24, step=8))
        kinds: tuple[Kind, ...] = ("random", "popular", "adversarial")
        kind = controls.pick("fix-kind", "Asked about what is not there", kinds, default="adversarial", format=str.capitalize)
        with st.popover("How it is asked", icon=":material/tune:"):
            given = _asked("coco" if source == "coco" else "scene")
    annotations = folder = ""
    if source == "coco":
        left, right = st.columns(2)
        with left:
            annotations = controls.write("fix-annotations", "Annotations, in COCO's format", help="A file on the server.")
        with right:
            folder = controls.write("fix-folder", "Folder of the images", help="Left out: images/ beside the annotations.")
    return Wish(source, count, kind, annotations=annotations.strip(), folder=folder.strip(), **given)


def _asked(kind: str) -> dict[str, Any]:
    """Prompt, lengths, rule: everything a figure depends on."""
    longest, longest_answer = LONGEST[kind]
    return {
        "describe": controls.write(f"fix-describe-{kind}", "Descriptions", default=TEXTS[kind]),
        "longest": int(controls.slide(f"fix-longest-{kind}", "Tokens of a description", 8, 256, longest, step=8)),
        "longest_answer": int(controls.slide(f"fix-short-{kind}", "Tokens of a yes or no", 1, 32, longest_answer)),
        "pairs": int(controls.slide("fix-pairs", "Pairs of questions per picture", 1, 3, 1)),
        "rule": controls.pick(
            "fix-rule", "Yes and no are read by the rule", ("official", "strict"), format=str.capitalize,
            help="Official: whatever is no clear no is a yes. Strict: the first word must say so, anything else is wrong.",
        ),
    }  # fmt: skip


def show(question: Question, answered: Answered, fixes: Sequence[Fix], costs: dict[Fix | None, AnswerCost | None]) -> None:
    """Choose a fix, see what it would take, and what it is worth."""
    from ui.set_jobs import span

    if not fixes:
        st.caption("Choose a fix above to measure what it is worth.")
        return
    with st.container(horizontal=True):
        by_name = {fix.method: fix for fix in fixes}
        chosen = by_name[controls.pick("fix-measured-one", "The fix", list(by_name), format=lambda m: by_name[m].title)]
    wanted = wish()
    if wanted.source == "coco" and not wanted.annotations:
        st.info("Say where the annotations lie, such as /data/coco/annotations/instances_val2014.json.", icon=":material/folder:")
        return
    both = [costs.get(None), costs.get(chosen)]
    known = [cost for cost in both if cost is not None]
    if len(known) < len(both):
        st.caption("What it takes is told once the answers above have been timed.")
        return
    found = session.asked(
        ("fix-measured", question.model, question.weights, question.decoding, chosen, wanted),
        lambda progress: fix_measured.measured(answered.model, chosen, question.decoding, wanted, progress),
        label=f"{chosen.title} over {wanted.count} pictures", button="Measure",
        estimate=f"{wanted.count} pictures, {2 * (1 + 2 * wanted.pairs)} answers for each, about "
        f"{span(fix_measured.seconds_of(known, wanted))}.",
    )  # fmt: skip
    if found is not None:
        _show(question, found)


def _show(question: Question, found: fix_measured.FixMeasured) -> None:
    from ui.figures import draw
    from ui.fix_view import asking_of

    left, right = st.columns([2, 3], gap="medium")
    figure = draw(found)
    with left:
        st.plotly_chart(figure, key="fix-measured", width="stretch", config={"displayModeBar": False})
    with right:
        rows = fix_measured.table_of(found)
        st.dataframe(rows, key="fix-figures", hide_index=True, width="stretch", height="content")
    left, right = st.columns([12, 1], vertical_alignment="center")
    left.caption(found.sentence)
    with right:
        page.take_away(
            found, figure, key="fix-measured-away", title=f"{found.fix.title} over pictures",
            snippet=fix_snippet.measured_snippet(asking_of(question), found.fix, found.wish),
        )  # fmt: skip
    with st.expander(f"All {len(found.described)} descriptions", icon=":material/list:"):
        rows = [
            {"Picture": d.name, "There": ", ".join(d.there), "Without": d.plain, "With the fix": d.fixed} for d in found.described
        ]
        st.dataframe(rows, key="fix-described", hide_index=True, width="stretch")
