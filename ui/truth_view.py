"""The pieces of the page Truth: the distributions, what they say of the chosen word, and the combined score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import asking, page, truth_asked, truth_sentences

if TYPE_CHECKING:
    from ui.asking import Question
    from ui.results.truth import Known, Places, Signals, Truth
    from ui.truth_asked import Judge

_BARE = {"displayModeBar": False}
_MOST = 5
"""So many sentences stand beside the picture."""


def show_signals(question: Question, found: Signals, index: int, judged: Judge) -> None:
    """The chosen word among words whose truth is known, or its bare numbers where there are none."""
    if found.row(index) is None:
        st.info("This is a mark, which names nothing and has no signals. Choose a word of the answer.", icon=":material/info:")
        return
    placed = truth_asked.places(found, index, judged)
    if placed is None:
        show_bare(found, index)
    else:
        show_places(question, placed)


def show_places(question: Question, found: Places) -> None:
    """Every signal as a dot on two distributions."""
    import ui.truth_tables  # noqa: F401 (registers its table)
    from ui.figures.truth import places_figure
    from ui.results.truth import titles
    from ui.results.truth_snippet import places_snippet

    figure = places_figure(found, titles())
    st.plotly_chart(figure, key="places", width="stretch", config=_BARE)
    text, menu = st.columns([9, 1])
    text.caption(
        f"Held against {len(found.reference.words)} words of {found.reference.model}: {found.reference.about}. Each signal has a "
        "scale of its own."
    )
    with menu:
        snippet = places_snippet(question, found.word)
        page.take_away(found, figure, key="places", title=f"Signals of {found.word}", snippet=snippet)


def show_bare(found: Signals, index: int) -> None:
    """The numbers of a word where nothing says what they mean."""
    from ui.results.truth import titles

    name, _ = asking.language_model()
    st.info(
        f"There is no reference for {name}: nothing measured says what these numbers mean for a word of this model. Measure "
        "one on pictures whose content is known: below, choose “a folder of mine” with annotations in COCO's format.",
        icon=":material/straighten:",
    )
    row = found.row(index)
    if row is None:
        return
    named = titles()
    values = found.table.values
    ranks = [int((values[:, n] > values[row, n]).sum()) + 1 for n in range(len(found.names))]
    st.dataframe(
        {
            "Signal": [named[name] for name in found.names],
            f"“{found.table.words[row].text}”": [round(float(v), 3) for v in values[row]],
            f"Place among the {len(values)} words (1: most doubtful)": ranks,
        },
        hide_index=True, width="stretch", key="bare-signals",
    )  # fmt: skip


def show_word(found: Signals, index: int, judged: Judge, truth: dict[int, Truth], known: Known | None) -> None:
    """What the signals say of the chosen word, and whether it is right."""
    from ui.results.truth import titles

    row = found.row(index)
    if row is None:
        return
    word, doubt = found.table.words[row].text, float(judged.doubts(found)[row])
    st.subheader(f"“{word}”", anchor=False)
    st.markdown(_verdict(truth.get(index), known))
    if not _is_judged(found, index, known):
        st.caption("It names nothing that can be there or not. The words it is held against all name things: read with care.")
    st.markdown(_doubt(judged, doubt))
    placed = truth_asked.places(found, index, judged)
    if placed is not None:
        _sentences(placed, titles())
    _refused(found, titles())


def _is_judged(found: Signals, index: int, known: Known | None) -> bool:
    from ui.results.truth import word_numbers

    return index in word_numbers(found.table.words, known)


def _verdict(truth: Truth | None, known: Known | None) -> str:
    if known is None:
        return ":material/help: Nobody says what is on this picture, so right and wrong are not marked."
    if truth is None:
        return f":material/remove: {known.source.capitalize()} does not say whether this word is right."
    said = {"true": ":material/check_circle: :green[**Right**]", "false": ":material/cancel: :red[**Wrong**]"}[truth]
    return f"{said}, says {known.source}."


def _doubt(judged: Judge, doubt: float) -> str:
    from ui.results.truth import COMBINED, titles

    if judged.by == COMBINED and judged.score is not None:
        return f"Combined score: **{truth_sentences.doubt(doubt)}**."
    title = titles()[judged.by]
    if judged.reference is not None:
        return f"{title}: doubted more than **{truth_sentences.share(doubt)}** of true words."
    return f"{title}: **{doubt:.2f}** between the least (0) and the most (1) doubted word of this answer."


def _sentences(placed: Places, titles: dict[str, str]) -> None:
    """In words: what tells, and what fails."""
    apart = placed.reference.separation
    works = [n for n, name in enumerate(placed.names) if apart[name][1] > 0.5]
    among = placed.among_true
    lines = [truth_sentences.place(placed.names[n], titles[placed.names[n]], *among[n]) for n in works[:_MOST]]
    if lines:
        st.markdown("It has\n" + "\n".join(f"- {line}" for line in lines))
    failed = [(titles[name], truth_sentences.separates(*apart[name])) for name in placed.names if not apart[name][1] > 0.5]
    if failed:
        told = "; ".join(f"{title} {why}" for title, why in failed)
        st.caption(f":material/warning: {told}.")


def _refused(found: Signals, titles: dict[str, str]) -> None:
    if found.table.refused:
        with st.expander(f"{len(found.table.refused)} signals are missing", icon=":material/block:"):
            for name, why in found.table.refused.items():
                st.markdown(f"- **{titles[name]}**: {why}")


def show_score(found: Signals, index: int, judged: Judge) -> None:
    """The combined score: why this word, what it weighs, saved and opened."""
    from ui.figures import draw
    from ui.figures.truth import parts_figure
    from ui.results.truth import titles, usable

    name, weights = asking.language_model()
    named = titles()
    if judged.score is None:
        st.caption(f"No combined score is known for {name}. Open one from a file, or fit one on labelled pictures below.")
    elif not usable(judged.score, found.names):
        missing = [named[each] for each in judged.score.names if each not in found.names]
        st.caption(f"The score weighs signals that could not be measured here: {', '.join(missing)}.")
    else:
        row = found.row(index)
        why, weigh = st.tabs(["Why this word", "What it weighs"])
        with why:
            if row is not None:
                values = found.table.values[row, [found.names.index(each) for each in judged.score.names]]
                parts = judged.score.explain(np.asarray(values))
                st.plotly_chart(parts_figure(parts, named), key="score-parts", width="stretch", config=_BARE)
                st.caption("What each signal adds to the logarithm of the odds that the word is made up.")
        with weigh:
            figure = draw(judged.score)
            st.plotly_chart(figure, key="score-weights", width="stretch", config=_BARE)
            page.take_away(judged.score, figure, key="score-weights", title="Combined score", snippet=_score_snippet(name))
        st.caption(_told(judged.score))
    _save_and_open(judged, name)


def _told(score: Any) -> str:
    return (
        f"A logistic regression on {score.words} words of {score.model}, {score.made_up} of them made up. AUROC "
        f"{score.auroc:.2f} on pictures that were left out of the fit ({score.folds} folds)."
    )


def _score_snippet(name: str) -> str:
    return "\n".join(
        [
            "from world.signal_reference import fitted, reference", "", f"words = reference({name!r})", "shown = fitted(words)",
        ]
    )  # fmt: skip


def _save_and_open(judged: Judge, name: str) -> None:
    from ui.results.truth import titles

    with st.container(horizontal=True, vertical_alignment="center"):
        if judged.score is not None:
            st.download_button(
                "Save", lambda: truth_asked.saved_score(judged.score), file_name="combined-score.json", mime="application/json",
                key="save-score", icon=":material/download:", on_click="ignore",
            )  # fmt: skip
        if truth_asked.own_score(name) is not None:
            st.button("Use the first one again", key="drop-score", on_click=truth_asked.use_score, args=(None,))
        with st.popover("Open", icon=":material/upload:", key="open-score"):
            file = st.file_uploader("A combined score (JSON)", type="json", key="score-file", max_upload_size=1)
    if file is None or st.session_state.get("opened score") == file.file_id:
        return
    try:
        truth_asked.use_score(truth_asked.opened_score(file.getvalue(), file.name, name, titles()))
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state["opened score"] = file.file_id
    st.rerun()
