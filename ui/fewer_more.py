"""The lower half of the page Fewer tokens: curves over budgets, what the layers need, and the family of pruners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, page, session
from ui.fewer_view import Bench
from ui.fix_view import asking_of
from ui.results import fewer, fewer_curves, fix_snippet
from ui.results.fewer import Pruner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_adapters.answer_cost import AnswerCost

ASK: dict[fewer_curves.Ask, str] = {"question": "This question", "pope": "Is it there? (POPE)"}
STREAMS = {"scene": "Scenes", "biased": "Biased scenes", "coco": "A folder of yours"}
LOOKED_AT = ("fastv", "faster_vlm")
MOST = 5


def curves(bench: Bench, pruner: Pruner, able: Mapping[str, str]) -> None:
    """Several pruners over the five budgets of the benchmark, on several pictures."""
    import analysis
    from ui.set_jobs import span

    with st.container(horizontal=True, vertical_alignment="bottom"):
        start = list(dict.fromkeys(name for name in (pruner.method, *LOOKED_AT) if name in able and name != "visual_window"))
        names = [name for name in able if fewer.knob_of(name) == "keep" and name not in fewer_curves.BASELINES]
        chosen = controls.pick_many("few-pruners", "Pruners", names, default=start, most=MOST, format=lambda m: able[m])
        with st.popover("Asked", icon=":material/photo_library:"):
            ask = controls.pick("few-asked", "Question", list(ASK), format=lambda a: ASK[a])
            stream = controls.pick("few-pictures", "Pictures", list(STREAMS), format=lambda s: STREAMS[s])
            count = int(controls.slide("few-n", "How many", 4, 96, 12, step=4))
    annotations, folder = _annotations() if stream == "coco" else ("", "")
    if not chosen:
        st.caption("Choose a pruner to see what it leaves of the answers.")
        return
    if stream == "coco" and not annotations:
        st.info("Say where the annotations lie, such as /data/coco/annotations/instances_val2014.json.", icon=":material/folder:")
        return
    over = (stream, count, annotations, folder)
    # The options that are set above hold for the pruner that is looked at; others have their defaults.
    wanted = [pruner if name == pruner.method else fewer.usual(analysis.find(name), bench.capture) for name in chosen]
    wanted += [Pruner(name) for name in fewer_curves.BASELINES if name in able]
    longest = bench.question.longest if ask == "question" else fewer_curves.LONGEST_ANSWER[stream]
    prompts = count * (1 if ask == "question" else 2)
    answers = prompts * (1 + len(wanted) * len(fewer_curves.SHARES))
    cost = _answer_seconds(bench, longest)
    found = session.asked(
        ("fewer-curves", bench.question, tuple(wanted), ask, over),
        lambda progress: fewer_curves.curves(
            bench.answered.model, wanted, fewer_curves.prompts_of(ask, bench.question.text, *over), longest, progress
        ),
        label="Answering at every budget", button="Compare pruners",
        estimate=f"{answers} answers of at most {longest} tokens, about {span(answers * cost)}.",
    )  # fmt: skip
    if found is not None:
        snippet = fix_snippet.curves_snippet(asking_of(bench.question), wanted, ask, over, longest)
        _show(found, ask, snippet)


def _annotations() -> tuple[str, str]:
    """Where a user's own images and what is on them lie."""
    left, right = st.columns(2)
    with left:
        annotations = controls.write("few-annotations", "Annotations, in COCO's format", help="A file on the server.")
    with right:
        folder = controls.write("few-folder", "Folder of the images", help="Left out: images/ beside the annotations.")
    return annotations.strip(), folder.strip()


def _show(found: fewer_curves.FewerCurves, ask: fewer_curves.Ask, snippet: str) -> None:
    """One measure against one cost."""
    from ui.figures.fewer import fewer_curves as drawn

    with st.container(horizontal=True, vertical_alignment="bottom"):
        measures = [m for m in fewer_curves.MEASURES if m != "accuracy" or ask == "pope"]
        measure = controls.pick("few-curve", "Shown", measures, format=lambda m: fewer_curves.MEASURES[m])
        against = controls.pick("few-against", "Against", list(fewer_curves.AGAINST), format=lambda a: AGAINST_SHORT[a])
    figure = drawn(found, measure, against)
    st.plotly_chart(figure, key="fewer-curves", width="stretch", config={"displayModeBar": False})
    page.take_away(found, figure, key="fewer-curves-away", title="Fewer visual tokens", snippet=snippet)
    st.caption(f"{found.said} Grey: what every pruner has to beat. {fewer.BUDGETS_DIFFER}")


AGAINST_SHORT = {"read": "Read per layer", "budget": "Budget", "flops": "FLOPs"}


def _answer_seconds(bench: Bench, longest: int) -> float:
    """About how long one answer takes; measured once."""
    from model_adapters.answer_cost import answer_cost

    answered = bench.answered
    cost: AnswerCost = session.get(
        ("fewer-pace", bench.question), lambda progress: answer_cost(
            answered.model, answered.inputs, max_new_tokens=bench.question.longest, repeats=1
        ),
        label="Timing one answer",
    )  # fmt: skip
    more = 0.0 if cost.token_seconds != cost.token_seconds else cost.token_seconds * (min(longest, cost.tokens) - 1)
    return cost.first_seconds * 1.5 + more


def layers(bench: Bench) -> None:
    """How many patterns each head's map holds, and whether layers rank the visual tokens alike."""
    import analysis
    from ui.figures import draw

    asked = asking_of(bench.question)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**How many patterns does each head's map hold?** (ARank)")
        ranks = session.get(
            ("fewer-ranks", bench.question), lambda progress: analysis.find("map_rank").function(bench.capture, tower="decoder"),
            label="Ranks of the maps",
        )  # fmt: skip
        st.plotly_chart(draw(ranks), key="fewer-ranks", width="stretch", config={"displayModeBar": False})
        page.take_away(
            ranks, lambda: draw(ranks), key="fewer-ranks-away", title="Rank of the maps",
            snippet=fix_snippet.layers_snippet(asked, "map_rank", {"tower": "decoder"}),
        )  # fmt: skip
        st.caption("A layer whose maps hold few patterns is one that could read fewer tokens: gamma-MoD chooses layers so.")
    with right:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Do layers rank the visual tokens alike?** (after G-Search)", width="stretch")
            statistic = controls.pick("few-alike", "By", ("spearman", "kendall", "overlap"), format=str.capitalize)
        alike = session.get(
            ("fewer-alike", bench.question, statistic),
            lambda progress: analysis.find("ranking_similarity").function(bench.capture, statistic=statistic),
            label="Comparing layers",
        )  # fmt: skip
        st.plotly_chart(draw(alike), key="fewer-alike", width="stretch", config={"displayModeBar": False})
        page.take_away(
            alike, lambda: draw(alike), key="fewer-alike-away", title="Do layers rank visual tokens alike",
            snippet=fix_snippet.layers_snippet(asked, "ranking_similarity", {"statistic": statistic}),
        )  # fmt: skip
        st.caption("Where they do, the tokens that a shallow layer passes over are those that deeper ones would.")


def search(bench: Bench) -> None:
    """How few visual tokens each layer needs for this very answer."""
    from ui.figures import draw
    from ui.results import fewer_search

    if not bench.answered.answer.ids.size:
        st.caption("The answer is empty, so nothing of it can be lost.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        losses = fewer_search.ALLOWED
        allowed = float(controls.pick("few-allowed", "May change by", losses, default=0.05, format=lambda a: f"{a:g} nats"))
        st.caption("Mean KL of what the answer's tokens are chosen from. Layers are searched from the first to the last.")
    depth = fewer.depth_of(bench.capture)
    passes = fewer_search.passes_of(bench.total, depth)
    found = session.asked(
        ("fewer-search", bench.question, allowed),
        lambda progress: fewer_search.searched(bench.answered, bench.capture, bench.total, allowed, progress),
        label="Searching layer by layer", button="Search",
        estimate=f"Prompt and answer are read about {passes} times.",
    )  # fmt: skip
    if found is None:
        return
    st.plotly_chart(draw(found.plan), key="fewer-search", width="stretch", config={"displayModeBar": False})
    page.take_away(
        found.plan, lambda: draw(found.plan), key="fewer-search-away", title="As few visual tokens as each layer needs",
        snippet=fix_snippet.search_snippet(asking_of(bench.question), allowed, fewer_search.precision_of(bench.total)),
    )  # fmt: skip
    st.caption(
        f"A layer reads {found.plan.mean_kept:.0f} of {bench.total} on average, and the answer changed by {found.loss:.3f} nats, "
        f"after {len(found.tried)} tries. Another question may need others."
    )


def family(able: Mapping[str, str], unable: Mapping[str, str]) -> None:
    """Every pruner among its relatives: where it works, what ranks the tokens, whose attention is read, what happens."""
    import analysis
    from analysis.visual_tokens import FAMILY

    titles = [analysis.find(member.name).title if member.here else member.name for member in FAMILY]
    shorts = [title.split(":")[0] for title in titles]
    rows = []
    for member, title, short in zip(FAMILY, titles, shorts, strict=True):
        rows.append(
            {
                "Member": short if shorts.count(short) == 1 else title,
                "Here": "not built in" if not member.here else "refused" if title in unable else "works",
                "Where": member.stage, "Tokens are ranked by": member.score, "Whose rows": member.rows or "–",
                "The others are": member.action, "Reads the question": "yes" if member.reads_text else "no",
            }
        )  # fmt: skip
    st.dataframe(rows, key="family", hide_index=True, width="stretch", height="content")
    st.caption("LOOK-M forgets the prompt only once it is read, so it has no place on the picture above: see In the cache.")
