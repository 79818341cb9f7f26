"""The pieces of the page Trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import again, controls, page, pickers, pictures, session, set_jobs
from ui.jobs import Progress
from ui.pictures import Picture
from world.trust.table import Score, table

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = {
    "map": "Maps", "importance": "Importances of heads", "types": "Types of heads", "signal": "Signals of made-up words",
    "fix": "Fixes", "pruner": "Pruners",
}  # fmt: skip
BARE: Any = {"displayModeBar": False}
EXAMPLE_SCENES = tuple(f"scene:{number}" for number in range(12))


def benchmark() -> None:
    """The benchmark: one question as a figure, all questions as a table that can be sorted."""
    from ui.figures import draw_forest

    rows = table()
    if not rows:
        st.info("The benchmark has not been run here. `make trust` writes it in about ten minutes.", icon=":material/info:")
        return
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in rows)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = controls.pick("kind", "What is scored", kinds, format=lambda each: KINDS[each])
        models = list(dict.fromkeys(row.model for row in rows if row.kind == kind))
        model = controls.pick("on", "On the model", models, format=lambda each: f"bundled:{each}")
        asked = list(dict.fromkeys((row.score, row.against) for row in rows if (row.kind, row.model) == (kind, model)))
        names = [" · ".join(filter(None, each)) for each in asked]
        question = controls.pick("score", "Question", names)
    here = [row for row in rows if (row.kind, row.model) == (kind, model)]
    shown = sorted((r for r in here if (r.score, r.against) == asked[names.index(question)]), key=lambda r: -_number(r.value))
    with st.container(key="one-below-the-other"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        chance = next((row.chance for row in shown if row.chance == row.chance), None)
        figure = draw_forest(
            [row.title for row in shown], [row.value for row in shown], [row.low for row in shown], [row.high for row in shown],
            chance=chance, label=question, baselines=[row.title for row in shown if row.baseline],
        )  # fmt: skip
        st.plotly_chart(figure, key="forest", width="stretch", config=BARE)
        st.caption(f"95 % intervals over {max(row.count for row in shown)} images. Grey: there to be beaten.")
        page.take_away(_columns(shown), figure, key="forest-away", title=question, snippet=_score_snippet(shown[0]))
    with right:
        st.dataframe(
            _wide(here, [row.title for row in shown]), key="scores", width="stretch", height=560, hide_index=True,
            column_config={name: st.column_config.NumberColumn(format="%.2f") for name in names},
        )  # fmt: skip
        st.caption("Every question of this kind; click a column to sort by it. Intervals stand in docs/trust.md.")


def _number(value: float) -> float:
    return value if value == value else float("-inf")


def _columns(rows: Sequence[Score]) -> dict[str, list[Any]]:
    """One question as a table."""
    names = ("title", "value", "low", "high", "chance", "count")
    return {name: [getattr(row, name) for row in rows] for name in names}


def _score_snippet(row: Score) -> str:
    wanted = (row.kind, row.model, row.score, row.against)
    return "\n".join([
        "from world.trust.table import table", "", f"wanted = {wanted!r}",
        "shown = [row for row in table() if (row.kind, row.model, row.score, row.against) == wanted]",
    ])  # fmt: skip


def _wide(rows: Sequence[Score], first: Sequence[str]) -> dict[str, list[Any]]:
    """Methods down, in the order of the figure beside it; questions across."""
    titles = list(dict.fromkeys([*first, *(row.title for row in rows)]))
    columns: dict[str, list[Any]] = {"Method": titles}
    for score, against in dict.fromkeys((row.score, row.against) for row in rows):
        values = {row.title: row.value for row in rows if (row.score, row.against) == (score, against)}
        columns[" · ".join(filter(None, (score, against)))] = [_rounded(values.get(title)) for title in titles]
    return columns


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 3)


class Asked:
    """The map that is put to the test: the model before the picture, the method, and the class."""

    def __init__(self, name: str, weights: str, picture: Picture) -> None:
        """Ask for the method; the page stops here where no map can be made."""
        from ui.looking_parts import offered
        from ui.results.looking import START

        self.picture = picture
        self.subject = session.subject(name, weights, picture)
        self.tower = pickers.tower(self.subject.model)
        self.able, _ = offered(self.subject)
        if not self.able or not self.subject.classes:
            lacking = self.subject.refusals.get("logits", "No map can be made of it.")
            st.info(f"A map is held against scores. {lacking}", icon=":material/block:")
            st.stop()
        start = next(one for one in (*START["global"], *self.able) if one in self.able)
        self.method = controls.pick("method", "Map", list(self.able), default=start, format=lambda each: self.able[each])
        self.target = pickers.target_index(self.subject.model, self.subject.scores)
        self.chosen = name, weights
        self.key = (name, weights, picture.key, str(self.subject.text), self.tower, self.method, self.target)

    @property
    def title(self) -> str:
        """What the method is called."""
        return self.able[self.method]

    def explained(self, subject: str, method: str) -> str:
        """The Python that makes a map of the chosen class."""
        return again.called("analysis.explain", subject, method, target=self.target, tower=self.tower)

    def snippet(self, *lines: str, imports: Sequence[str] = ()) -> str:
        """Python that begins with what is chosen."""
        return again.of_picture(self.chosen, self.picture.id, pickers.text(self.subject.model), lines, imports)


def this_picture(asked: Asked) -> None:
    """Deletion and insertion curves of the map under every fill, and the other measures."""
    from ui.figures import draw
    from ui.results import trusting
    from ui.results.heads import pass_seconds
    from ui.results.looking import mask_of

    mask = mask_of(asked.subject, asked.picture, asked.target)

    def judge(progress: Progress) -> Any:
        return trusting.judged(asked.subject, asked.method, asked.target, asked.tower, mask, progress)

    seconds = trusting.passes() * pass_seconds(asked.subject)
    what = f"{trusting.passes()} pictures are shown to the model"
    found = set_jobs.begin(
        ("faithfulness", *asked.key), judge, label="How faithful is it?", what=what, seconds=seconds, button="Measure"
    )
    if found is None:
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        fill = controls.pick("fill", "Patches give way to", list(found.deletion), format=lambda each: _FILLS[each])
        for name, course in (("deletion", found.deletion[fill]), ("insertion", found.insertion[fill])):
            figure = draw(course)
            figure.update_layout(height=270)
            st.plotly_chart(figure, key=f"course-{name}", width="stretch", config=BARE)
            page.take_away(
                course, figure, key=f"course-{name}", title=f"{name} by {asked.title}".capitalize(),
                snippet=_course_snippet(asked, name, fill),
            )  # fmt: skip
    with right:
        _measures(found)


def _course_snippet(asked: Asked, name: str, fill: str) -> str:
    from ui.results import trusting

    given = {"steps": trusting.STEPS, "orders": trusting.ORDERS, "samples": trusting.SAMPLES}
    return asked.snippet(
        f"map = {asked.explained('subject', repr(asked.method))}",
        "placed = map.rows.boxes[map.rows.placed]",
        "sides = np.median(placed[:, 2:] - placed[:, :2], axis=0)",
        "grid = int(np.clip(round(max(map.size) / max(min(sides), 1)), 4, 32))  # cells of about one token",
        f"found = {again.called('analysis.faithful', 'subject', 'map', 'grid=grid', target=asked.target, **given)}",
        f"shown = found.{name}[{fill!r}]",
        imports=["import numpy as np"],
    )


def _measures(found: Any) -> None:
    for fill, deletion in found.deletion.items():
        insertion = found.insertion[fill]
        with st.container(border=True):
            st.markdown(f"**Patches give way to: {_FILLS[fill]}**")
            st.markdown(
                f"Deletion area **{deletion.area:.2f}**, random {deletion.random_areas.mean():.2f} ± "
                f"{deletion.random_areas.std():.2f}: beats {deletion.better_than_random:.0%} of random orders.  \n"
                f"Insertion area **{insertion.area:.2f}**, random {insertion.random_areas.mean():.2f} ± "
                f"{insertion.random_areas.std():.2f}: beats {insertion.better_than_random:.0%}."
            )
    if found.infidelity is not None:
        st.caption(f"Infidelity {found.infidelity:.3g} (0 is best).")
    if found.energy is not None:
        st.caption(f"{found.energy.value:.0%} of the map on the object; chance {found.energy.chance:.0%}.")


_FILLS = {"mean": "the mean colour", "blur": "a blurred picture", "shuffle": "other patches"}


def shuffled_model(asked: Asked) -> None:
    """The same map while layers are shuffled, as a film."""
    from ui.figures import draw
    from ui.results import trusting
    from ui.viewer import map_view

    def make(progress: Progress) -> trusting.Film:
        return trusting.film(asked.subject, asked.method, asked.target, asked.tower, progress)

    found = session.part(("film", *asked.key), make, label="Shuffling layers", lane="long")
    if found is None:
        return
    for column, shown, count in zip(st.columns(len(found.maps), gap="small"), found.maps, found.shuffled, strict=True):
        with column:
            st.caption("trained" if not count else f"{count} shuffled")
            map_view(asked.picture.image, shown, key=f"film-{count}", height=210, title="")
    figure = draw(found.curve)
    st.plotly_chart(figure, key="film-curve", width="stretch", config=BARE)
    st.caption("A map that stays alike while the weights are destroyed shows the picture, not what the model has learnt.")
    made = asked.explained("subject.shuffled(stage) if stage else subject", repr(asked.method))
    snippet = asked.snippet(
        f"maps = [{made} for stage in {found.shuffled}]",
        "shown = [similarity(maps[0], each) for each in maps]",
        imports=["from analysis.map_agreement import similarity"],
    )
    page.take_away(found.curve, figure, key="film", title=f"Shuffled layers, {asked.title}", snippet=snippet)


def agreement(asked: Asked) -> None:
    """How alike the maps of all methods are."""
    from ui.figures import draw
    from ui.results import trusting

    names = [name for name in trusting.CHEAP if name in asked.able]

    def compare(progress: Progress) -> Any:
        return trusting.agreement(asked.subject, names, asked.target, asked.tower, progress)

    key = ("agreement", *asked.key[:5], asked.target)
    found = session.part(key, compare, label="Comparing maps", estimate=f"{len(names)} maps", lane="long")
    if found is not None:
        figure = draw(found)
        st.plotly_chart(figure, key="agreement", width="stretch", config=BARE)
        st.caption("Rank correlation of two maps of this picture. Methods can agree and all be wrong.")
        snippet = asked.snippet(
            f"maps = {{name: {asked.explained('subject', 'name')} for name in {names}}}",
            "shown = analysis.map_agreement.map_agreement(maps)",
        )
        page.take_away(found, figure, key="agreement", title="Agreement of maps", snippet=snippet)


def examples(asked: Asked) -> None:
    """Scenes where the map lies best and worst on the named object; one click shows them."""
    from ui.results import trusting

    def look(progress: Progress) -> Any:
        return trusting.examples(asked.subject, asked.method, asked.tower, EXAMPLE_SCENES, progress)

    found = session.part(("examples", *asked.key[:2], asked.tower, asked.method), look, label="Looking at scenes", lane="long")
    if found is None:
        return
    table = {name: [getattr(one, name) for one in found] for name in ("picture", "label", "share", "chance")}
    for title, chosen in (("Best", found[:3]), ("Worst", found[::-1][:3])):
        st.markdown(f"**{title} of {len(found)} scenes**")
        for column, one in zip(st.columns(3), chosen, strict=False):
            with column:
                st.image(pictures.thumbnail(pictures.picture(one.picture), 160), width=160)
                st.caption(f"“{one.label}”: {one.share:.0%} on it, chance {one.chance:.0%}")
                if st.button("Look", key=f"look-{title}-{one.picture}", icon=":material/visibility:"):
                    st.session_state["wanted image"] = one.picture
                    st.rerun()
    page.take_away(table, None, key="examples-away", title=f"On the object, {asked.title}", snippet=_example_snippet(asked))


def _example_snippet(asked: Asked) -> str:
    """The shares of every scene whose object the model names."""
    each = again.called("analysis.explain", "seen", repr(asked.method), target="TARGET", tower=asked.tower)
    return again.of_pictures(asked.chosen, EXAMPLE_SCENES, pickers.text(asked.subject.model), [
        "shown = {}",
        f"for number, seen in zip(range({len(EXAMPLE_SCENES)}), subjects):",
        "    named, drawn = model.labels[seen.predicted], render(TEST_UNBIASED[number], 384)",
        "    masks = [drawn.mask(n) for n, each in enumerate(TEST_UNBIASED[number].objects) if each.category == named]",
        "    if masks and (mask := np.any(masks, axis=0)).any():",
        f"        map = {each.replace(repr('TARGET'), 'seen.predicted')}",
        "        shown[number] = analysis.localisation.energy_in_mask(map, mask).value",
    ], imports=["import numpy as np"])  # fmt: skip
