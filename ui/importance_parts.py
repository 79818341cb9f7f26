"""The pieces of the page Importance: matrices, exact against cheap, the inspector, and what lies below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import controls, head_choice, importance_snippets, page, session, set_jobs, state
from ui.jobs import Progress

if TYPE_CHECKING:
    from ui.importance_asked import Asked
    from ui.results.importance_agreement import Correlation
    from ui.results.importance_metrics import Importances

_PAGES = Path(__file__).resolve().parents[1] / "pages"
_WIDTHS: Any = {"Metric": {"width": 128}, "Place": {"width": 48}, "Value": {"width": 150}}
_BARE: Any = {"displayModeBar": False}
BELOW = ("Remove heads", "Agreement", "By class")


def methods(asked: Asked) -> list[str]:
    """The registered methods of what is shown, beside the exact one."""
    from ui.results.importance_metrics import BY_NAME

    names = dict.fromkeys(BY_NAME[name].method for name in (*asked.shown, asked.against))
    return [name for name in names if name != BY_NAME["loss change"].method]


def matrices(asked: Asked, result: Importances) -> None:
    """The chosen metrics side by side; what cannot be shown says why."""
    from ui.figures import draw
    from ui.results.importance_metrics import BY_NAME

    there = [name for name in asked.shown if name in result.each] or result.names()[:1]
    for column, name in zip(st.columns(len(there)), there, strict=True):
        with column:
            matrix = result.matrix(name)
            figure = draw(matrix, chosen=head_choice.outlined(matrix.sites, asked.model, asked.tower))
            figure.update_traces(colorbar={"title": {"text": matrix.unit}}, selector={"type": "heatmap"})
            with head_choice.titled(
                BY_NAME[name].heading, matrix, figure, key=f"away-{name}", help=_help(name),
                snippet=importance_snippets.of_metric(asked, name),
            ):  # fmt: skip
                head_choice.chart(figure, f"matrix-{name}", matrix.sites, asked.model, asked.tower)
    for name in asked.shown:
        if name in result.refused:
            st.caption(f":material/block: {BY_NAME[name].title}: {result.refused[name]}")


def _help(name: str) -> str:
    import analysis
    from ui.results.importance_metrics import BY_NAME

    method = analysis.find(BY_NAME[name].method)
    return f"{method.summary}\n\nRange: {method.range}. {method.misleads}"


def scatter(asked: Asked, result: Importances, verdicts: Mapping[str, Correlation] | None) -> None:
    """The exact effect against the cheap metric, and whether the cheap one may be believed here."""
    from ui.figures import draw_scatter
    from ui.results.importance_metrics import BY_NAME

    metric = BY_NAME[asked.against]
    if asked.against in result.refused:
        st.info(f"{metric.title} is not offered here: {result.refused[asked.against]}", icon=":material/block:")
        return
    if metric.truth not in result.each:
        st.caption("The exact effect is not there yet.")
        return
    exact, cheap = result.matrix(metric.truth), result.matrix(asked.against)
    figure = draw_scatter(exact, cheap, chosen=head_choice.outlined(exact.sites, asked.model, asked.tower))
    figure.update_layout(height=250).update_xaxes(title={"text": metric.title})
    head_choice.chart(figure, "scatter", exact.sites, asked.model, asked.tower)
    _scatter_away(asked, (exact, cheap), figure)
    if verdicts:
        st.caption(f"{metric.title} is held to: {BY_NAME[metric.truth].title.lower()}. {verdicts[asked.against].sentence}.")


def _scatter_away(asked: Asked, both: tuple[Any, Any], figure: Any) -> None:
    """The menu of the scatter: both numbers of every head."""
    from ui import again
    from ui.results.importance_metrics import BY_NAME

    names = BY_NAME[asked.against].truth, asked.against
    heads = [(row, head) for row, head in np.argwhere(np.isfinite(both[0].values) & np.isfinite(both[1].values)).tolist()]
    table: dict[str, list[float]] = {"layer": [row for row, _ in heads], "head": [head for _, head in heads]}
    table |= {said: [float(each.values[place]) for place in heads] for said, each in zip(("exact", "cheap"), both, strict=True)}
    exact, cheap = (importance_snippets.of_metric(asked, name) for name in names)
    snippet = again.joined(exact, cheap, ("exact", "cheap"))
    page.take_away(table, figure, key="away-scatter", title=f"{BY_NAME[asked.against].title} against the exact", snippet=snippet)


def correlations(asked: Asked, result: Importances) -> Mapping[str, Correlation] | None:
    """How each cheap metric agrees with its truth, once both are there."""
    from ui.results.importance_agreement import correlation
    from ui.results.importance_metrics import BY_NAME

    names = [name for name in result.names(exact=False) if BY_NAME[name].truth in result.each]

    def make(progress: Progress) -> Mapping[str, Correlation]:
        return {name: correlation(result, name) for name in names}

    if not names:
        return {}
    return session.part(("correlations", *asked.key, *names), make, label="Comparing rankings")


def inspector(asked: Asked, result: Importances) -> None:
    """What every metric says of the chosen head."""
    from ui.results.heads import number_of
    from ui.results.importance_metrics import BY_NAME

    site, head = head_choice.chosen_head(asked.model, asked.tower)
    rows = []
    for name in result.names():
        number = number_of(result.matrix(name), site, head)
        if number is not None:
            exact = "exact: " if BY_NAME[name].is_exact else ""
            rows.append({"Metric": exact + BY_NAME[name].short, "Place": number.place, "Value": _value(number)})
    with st.container(border=True):
        st.markdown(f"**{head_choice.title(asked.model, asked.tower)}**")
        st.dataframe(rows, hide_index=True, height=212, width="stretch", column_config=_WIDTHS)
        st.caption(f"Place among {asked.heads} heads: 1 is the highest. Brackets: 95 % over scenes.")
        head_choice.link("heads/passport", "Its passport", "badge")
    _send(asked, result)


def _send(asked: Asked, result: Importances) -> None:
    """The least important quarter of heads goes to Prune, to see what it costs without them."""
    from ui.results.heads import row_of, sites_of
    from ui.results.importance_metrics import BY_NAME

    name = next((each for each in asked.shown if each in result.each), result.names()[0])
    ranked = result.matrix(name).ranking()
    least = ranked[-max(len(ranked) // 4, 1) :]
    sites = sites_of(asked.model, asked.tower)
    heads = tuple((row, head) for site, head in least if (row := row_of(sites, site)) is not None)
    label = f"Send the {len(heads)} least important to Prune"
    if st.button(label, icon=":material/content_cut:", help=f"By: {BY_NAME[name].short}.", disabled=not heads):
        state.choose(heads=heads)
        st.switch_page(_PAGES / "change" / "prune.py")


def _value(number: Any) -> str:
    from ui.figures.frame import humane

    text = humane(number.value)
    return text if number.low is None else f"{text} ({humane(number.low)} to {humane(number.high)})"


def below(asked: Asked, result: Importances, verdicts: Mapping[str, Correlation] | None) -> None:
    """One of three deeper looks."""
    which = controls.pick("below", "Look deeper", BELOW)
    if which == BELOW[0]:
        _removal(asked, result)
    elif which == BELOW[1]:
        _agreement(asked, result, verdicts)
    else:
        _by_class(asked, result)


def _removal(asked: Asked, result: Importances) -> None:
    from ui.figures import draw
    from ui.results import importance_agreement as agreement
    from ui.results.heads import each_subject
    from ui.results.importance_metrics import BY_NAME, COMPARED, LOSS

    names = [name for name in dict.fromkeys([*COMPARED, *asked.shown]) if name in result.each]
    if LOSS not in names:
        st.caption("Heads are removed once the exact metrics are there.")
        return
    count = min(asked.scenes, 16) if asked.over_set else 1

    def make(progress: Progress) -> Any:
        subjects = [asked.subject]
        if asked.over_set:
            subjects = [subject for _, subject in each_subject(asked.model, asked.ids[:count], asked.text, progress, (0, 0.05))]
        return agreement.removed(subjects, result.first(count), names, LOSS, progress)

    passes = agreement.removal_passes(names, count)
    curves = set_jobs.begin(
        ("removal", *asked.key, *names), make, label="Removing heads from the most to the least important",
        what=f"{passes} passes", seconds=passes * asked.seconds, button="Remove heads",
    )  # fmt: skip
    if curves is not None:
        figure = draw(curves)
        snippet = importance_snippets.of_removal(asked, result, names, LOSS, count)
        with head_choice.titled("Heads removed together", curves, figure, key="away-removal", snippet=snippet):
            st.plotly_chart(figure, key="removal", width="stretch", config=_BARE)
        kinds = ", ".join(BY_NAME[name].title.lower() for name in names)
        about = f"{count} scenes" if asked.over_set else "this picture"
        st.caption(
            f"Rise of the loss when the most important heads are silent together, on {about}; heads ordered by {kinds}. "
            f"The band holds {agreement.RANDOM_ORDERS} random orders: a metric inside it knows nothing."
        )


def _agreement(asked: Asked, result: Importances, verdicts: Mapping[str, Correlation] | None) -> None:
    from ui.figures import draw, draw_forest
    from ui.results import importance_agreement as agreement
    from ui.results.importance_metrics import BY_NAME

    if verdicts:
        st.markdown("**May a cheap metric be believed here?**")
        names = [f"{BY_NAME[n].short} → {BY_NAME[BY_NAME[n].truth].short}" for n in verdicts]
        found = list(verdicts.values())
        figure = draw_forest(
            names, [c.value for c in found], [c.low for c in found], [c.high for c in found], chance=0.0, label="Spearman"
        )
        st.plotly_chart(figure, key="believed", width="stretch", config=_BARE)
        table = {"metric": names, **{end: [getattr(c, end) for c in found] for end in ("value", "low", "high")}}
        snippet = importance_snippets.of_agreement(asked, result, "correlation", list(verdicts))
        page.take_away(table, figure, key="away-believed", title="Cheap metrics against exact ones", snippet=snippet)
        st.caption(f"Each is held to the exact effect that it can predict, after the arrow; {found[0].drawn} drawn anew.")
    alike = agreement.agreement(result, result.names())
    figure = draw(alike)
    snippet = importance_snippets.of_agreement(asked, result, "agreement", result.names())
    with head_choice.titled("How alike are the rankings of heads?", alike, figure, key="away-alike", snippet=snippet):
        st.plotly_chart(figure, key="alike", width="stretch", config=_BARE)


def _by_class(asked: Asked, result: Importances) -> None:
    from ui.figures import draw
    from ui.results import importance_agreement as agreement
    from ui.results.heads import name_of
    from ui.results.importance_metrics import BY_NAME

    if not asked.over_set:
        st.info("Classes are told apart over a set of scenes: choose it above.", icon=":material/category:")
        return
    name = next((n for n in asked.shown if n in result.each), result.names()[0])
    grouped = agreement.by_class(result, name)
    figure = draw(grouped)
    told = [f"{name_of(asked.model, asked.text, int(c))} ({n})" for c, n in zip(grouped.classes, grouped.images, strict=True)]
    figure.update_yaxes(tickvals=list(range(len(told))), ticktext=told)
    snippet, title = importance_snippets.of_classes(asked, result, name), f"{BY_NAME[name].title}, class by class"
    with head_choice.titled(title, grouped, figure, key="away-classes", snippet=snippet):
        st.plotly_chart(figure, key="classes", width="stretch", config=_BARE)
    st.caption(
        f"{BY_NAME[name].title}, averaged over the scenes of each class (how many in brackets). Few scenes make a noisy row."
    )
