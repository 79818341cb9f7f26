"""The tab In the cache of the page Fewer tokens: the prompt is read whole, and most of it is forgotten before the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import streamlit as st

from ui import controls, page, session
from ui.asking_bar import plain
from ui.fewer_view import Bench, in_bytes, marked
from ui.fix_view import asking_of, option_controls
from ui.results import fix_snippet

if TYPE_CHECKING:
    from analysis.visual_tokens.in_cache import CachePlan
    from model_adapters.shrunk_cache import FromLess, Merge
    from ui.jobs import Progress

METHOD = "look_m"


def forgetting(bench: Bench) -> None:
    """How much of the cache stays, which visual tokens are remembered, and the answer that is written from them."""
    import analysis
    from model_adapters.shrunk_cache import Merge

    left, right = st.columns([2, 3], gap="medium")
    with left:
        options = option_controls(analysis.find(METHOD), "few-")
        merge: Merge = controls.pick("few-merge", "What is forgotten is", get_args(Merge), format=lambda m: MERGED[m])
    with right:
        # Adding up the attention of every layer takes a while on a large model: not at every run of the page.
        plan: CachePlan | None = session.part(
            ("fewer-remembered", bench.question, tuple(options.items())),
            lambda progress: analysis.find(METHOD).function(bench.capture, **options), label="Choosing what is remembered",
        )  # fmt: skip
        if plan is not None:
            _show_plan(bench, plan, options, merge)
            _answer(bench, plan, options, merge)


MERGED = {"pivotal": "half merged", "averaged": "averaged", "dropped": "gone"}


def _show_plan(bench: Bench, plan: CachePlan, options: dict, merge: Merge) -> None:
    from ui.figures import draw

    figure = draw(plan)
    st.plotly_chart(figure, key="fewer-cache", width="stretch", config={"displayModeBar": False})
    page.take_away(
        plan, figure, key="fewer-cache-away", title="Visual tokens that each layer remembers",
        snippet=fix_snippet.cache_snippet(asking_of(bench.question), METHOD, options, merge),
    )  # fmt: skip
    st.caption(
        f"{plan.share:.0%} of the cache stays: {len(plan.kept[0])} of {len(plan.rows)} tokens in each layer, the last ones and "
        f"those that were attended to most. {plan.left_out}"
    )


def _answer(bench: Bench, plan: CachePlan, options: dict, merge: Merge) -> None:
    from model_adapters.shrunk_cache import generate_from_less

    answered, longest = bench.answered, bench.question.longest

    def make(progress: Progress) -> FromLess:
        return generate_from_less(answered.model, answered.inputs, plan.kept, merge=merge, max_new_tokens=longest)

    found: FromLess | None = session.asked(
        ("fewer-cache", bench.question, tuple(options.items()), merge), make, label="Answering from a smaller cache",
        button="Answer from this cache", estimate=f"One answer of at most {longest} tokens, the likeliest one each time.",
    )  # fmt: skip
    if found is None:
        return
    answer, said = answered.answer, found.generation
    st.markdown(f"**Whole cache** · {plain(answer.text)}")
    st.markdown(f"**{plan.share:.0%} of it** · {marked(answer, said.text)}")
    st.caption(
        f"Keys and values of the prompt: {in_bytes(found.cache_bytes)} instead of {in_bytes(found.whole_bytes)}. The first "
        "token is read off the whole prompt; positions stay."
    )
