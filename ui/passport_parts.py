"""The pieces of the page Passport: which head, its sentence, its portrait, its worth, its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, head_choice, importance_asked, overlays, page, sentences, session, set_jobs, state
from ui.jobs import Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model, Site
    from ui.importance_asked import Asked
    from ui.results.importance_metrics import Importances
    from ui.results.passport import Kind, Portraits, Without

BARE = {"displayModeBar": False}
PRINT = """<style>@media print{[data-testid=stSidebar],header,
[data-testid=stToolbar],[data-testid=stPopover],[data-testid=stExpander],.st-key-passport-controls{display:none!important}
[data-testid=stMainBlockContainer]{padding:0!important}}</style>"""


@dataclass(frozen=True, eq=False)
class Papers:
    """Everything that is known of the head, as far as it is there."""

    asked: Asked
    site: Site
    head: int
    portraits: Portraits | None
    kind: Kind | None
    importances: Importances | None
    without: Without | None


def papers(model: Model, name: str, weights: str, picture: Picture) -> Papers:
    """Draw the controls and gather what is known; what is still being made shows its progress."""
    st.html(PRINT)
    asked = importance_asked.of_picture(model, name, weights, picture)
    with st.container(key="passport-controls"):
        count = _controls(asked)
    site, head = head_choice.chosen_head(model, asked.tower)
    found = _portraits(asked, count)
    importances = without = None
    if "logits" not in asked.subject.refusals:
        importances = importance_asked.found(asked)
        without = _without(asked, site, head)
    from ui.results import passport

    kind = passport.kind_of(found, site, head) if found is not None else None
    return Papers(asked, site, head, found, kind, importances, without)


def _controls(asked: Asked) -> int:
    from ui.results.heads import row_of, sites_of

    sites = sites_of(asked.model, asked.tower)
    site, head = head_choice.chosen_head(asked.model, asked.tower)
    st.session_state["passport-layer"], st.session_state["passport-head"] = row_of(sites, site), head
    widths = [1, 1, 2, 2] if asked.spoken is None else [1, 1, 1.5, 2, 1.5]
    layers, heads, *words, scenes, print_it = st.columns(widths, vertical_alignment="bottom")
    with layers:
        st.selectbox("Layer", range(len(sites)), key="passport-layer", on_change=_choose)
    with heads:
        st.selectbox("Head", range(site.heads), key="passport-head", on_change=_choose)
    for place in words:
        with place:
            importance_asked.word(asked)
    with scenes:
        count = controls.slide("portrait", "Scenes it is judged on", 8, 64, 16, step=8)
    with print_it:
        st.caption("Made to be printed: the browser's print command leaves the controls out.")
    return count


def _choose() -> None:
    state.choose(layer=st.session_state["passport-layer"], head=st.session_state["passport-head"])


def _portraits(asked: Asked, count: int) -> Portraits | None:
    from ui.results import passport
    from ui.results.heads import scene_ids

    ids = scene_ids(count)

    def ask(progress: Progress) -> str:
        return passport.why_no_portraits(asked.model, asked.picture, asked.text, asked.tower)

    reason = session.get(("why no portraits", *asked.key), ask, label="Asking where its tokens lie")
    if reason:
        st.info(reason, icon=":material/block:")
        return None

    def make(progress: Progress) -> Portraits:
        return passport.portraits(asked.model, ids, asked.text, asked.tower, progress)

    return set_jobs.begin(
        ("portraits", *asked.names, asked.tower, asked.text, ids), make, label="Drawing the portraits of all heads",
        what=f"{count} scenes", seconds=8 * asked.seconds * count, button="Draw the portraits",
    )  # fmt: skip


def _without(asked: Asked, site: Site, head: int) -> Without | None:
    from ui.results import passport

    def make(progress: Progress) -> Without:
        return passport.without(asked.model, asked.subject, asked.text, site, head, asked.label)

    return session.part(("without", *asked.key, site, head), make, label="Running the model without this head")


def sentence(known: Papers) -> None:
    """The head in one sentence, made of its figures."""
    from ui.results.heads import number_of
    from ui.results.importance_metrics import LOSS

    told = []
    if known.kind is not None:
        kind = known.kind
        told.append(sentences.looks(kind.type, kind.parts, kind.offset, kind.evidence[0][0]))
    if known.without is not None:
        names, before, after = known.without.names, known.without.before, known.without.after
        firsts = (names[before.index(max(before))], names[after.index(max(after))])
        target = known.without.target
        told.append(sentences.effect(names[target], before[target], after[target]) + sentences.flip(*firsts))
    if known.importances is not None and LOSS in known.importances.each:
        number = number_of(known.importances.matrix(LOSS), known.site, known.head)
        if number is not None:
            told.append(sentences.rank(number.place, number.of))
    if told:
        title = head_choice.title(known.asked.model, known.asked.tower)
        with st.container(border=True):
            st.markdown(f"##### {sentences.passport(title, told)}")


def portrait(known: Papers) -> None:
    """Type and why, mean pattern, rings."""
    from ui.figures.head_pages import evidence, pattern, ring_curve
    from ui.passport_snippets import portrait as portrait_of
    from ui.results import passport
    from ui.results.heads import row_of

    found, kind = known.portraits, known.kind
    if found is None:
        return
    if kind is None:
        st.info("In this layer no patch attends to patches, so the head has no pattern and no type.", icon=":material/block:")
        return
    left, middle, right = st.columns(3, gap="medium")
    with left:
        parts = "" if len(kind.parts) < 2 else f" ({' + '.join(kind.parts)})"
        figure = evidence(kind)
        text = f"Type: {kind.type}{parts}, confidence {kind.confidence:.2f}"
        with head_choice.titled(text, found.types, figure, key="away-type", help=_TYPE_HELP, snippet=portrait_of(known, "types")):
            st.plotly_chart(figure, key="evidence", width="stretch", config=BARE)
    drawn = passport.pattern(found, known.site, known.head)
    if drawn is not None:
        with middle:
            figure = pattern(drawn)
            snippet = portrait_of(known, "maps")
            with head_choice.titled("Mean pattern around the query", found.maps, figure, key="away-pattern", snippet=snippet):
                st.plotly_chart(figure, key="pattern", width="stretch", config=BARE)
    row = row_of(found.profile.sites, known.site)
    if row is not None:
        with right:
            figure = ring_curve(found.profile, row, known.head)
            snippet = portrait_of(known, "profile")
            with head_choice.titled("How far it looks", found.profile, figure, key="away-rings", snippet=snippet):
                st.plotly_chart(figure, key="own-rings", width="stretch", config=BARE)
            st.caption(_reach(found, row, known))


_TYPE_HELP = (
    "Each measure is corrected for chance: 0 is what even attention would give, 1 is all. A head is of a type where its "
    "measure passes the threshold; of several it is a hybrid, of none unclear. The thresholds are ours: see Patterns."
)


def _reach(found: Portraits, row: int, known: Papers) -> str:
    width = known.asked.picture.array.shape[1]
    far, even = found.distance.values[row, known.head], found.entropy.values[row, known.head]
    return f"{sentences.distance(far, width)}; entropy {even:.2f} of 1. Over {len(found.ids)} scenes."


def worth(known: Papers) -> None:
    """Its rank by every metric, and the answer with and without it."""
    from ui.figures.head_pages import before_after, rank_dots
    from ui.passport_snippets import ranks, without
    from ui.results.heads import number_of
    from ui.results.importance_metrics import BY_NAME

    reason = known.asked.subject.refusals.get("logits")
    if reason:
        st.info(f"What the head is worth shows in an answer. {reason}", icon=":material/block:")
        return
    left, middle, right = st.columns(3, gap="medium")
    title = head_choice.title(known.asked.model, known.asked.tower)
    with left:
        st.markdown("**Importance for this answer, by every metric**")
        if known.importances is not None:
            numbers = {n: number_of(known.importances.matrix(n), known.site, known.head) for n in known.importances.names()}
            there = {name: number for name, number in numbers.items() if number is not None}
            shorts, places = [BY_NAME[n].short for n in there], [number.place for number in there.values()]
            figure = rank_dots(shorts, places, known.asked.heads, [BY_NAME[n].is_exact for n in there])
            st.plotly_chart(figure, key="ranks", width="stretch", config=BARE)
            table, snippet = {"metric": shorts, "place": places}, ranks(known, list(there))
            page.take_away(table, figure, key="away-ranks", title=f"Places of {title}", snippet=snippet)
    with middle:
        st.markdown("**The answer with and without it**")
        if known.without is not None:
            figure = before_after(known.without)
            st.plotly_chart(figure, key="without", width="stretch", config=BARE)
            table = {"class": known.without.names, "before": known.without.before, "after": known.without.after}
            page.take_away(table, figure, key="away-without", title=f"Answer without {title}", snippet=without(known))
    with right:
        relatives(known)


def relatives(known: Papers) -> None:
    """The heads whose patterns are most like this one's; a click goes there."""
    from ui.results import passport
    from ui.results.heads import sites_of

    st.markdown("**Nearest relatives**", help="By the cosine of what sets each mean pattern apart from the mean of all heads.")
    if known.portraits is None:
        return
    sites = sites_of(known.asked.model, known.asked.tower)
    found = passport.relatives(known.portraits, sites, known.site, known.head)
    if not found:
        st.caption("None: it has no pattern to compare.")
    for each in found:
        drawn = passport.pattern(known.portraits, sites[each.layer], each.head)
        with st.container(horizontal=True, vertical_alignment="center"):
            if drawn is not None:
                st.image(overlays.thumbnail(drawn), width=44)
            st.button(
                f"Layer {each.layer}, head {each.head}", key=f"relative-{each.layer}-{each.head}", on_click=state.choose,
                kwargs={"layer": each.layer, "head": each.head}, type="tertiary",
            )  # fmt: skip
            st.caption(f"likeness {each.alike:.2f}")
