"""The pieces of the page Strength: the matrix of a metric, profiles by hop, rings around a patch, layers by hops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import again, controls, head_choice, page, pickers, pictures, session, set_jobs, state
from ui.jobs import Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from analysis.registry import Method
    from analysis.results import HeadMatrix, Profile
    from model_adapters import Capture, Model, Subject

ONE, SET = "picture", "scenes"
BARE = {"displayModeBar": False}


@dataclass(frozen=True, eq=False)
class Asked:
    """What the controls say."""

    model: Model
    names: tuple[str, str]
    picture: Picture
    subject: Subject
    capture: Capture
    tower: str
    text: Any
    over_set: bool
    scenes: int
    method: Method
    options: dict[str, Any]
    per_pair: bool
    seconds: float

    @property
    def key(self) -> tuple:
        """What strengths depend on."""
        return (*self.names, self.text, self.tower, self.scenes if self.over_set else self.picture.key)

    @property
    def ids(self) -> tuple[str, ...]:
        """The scenes of the set."""
        from ui.results.heads import scene_ids

        return scene_ids(self.scenes)


def asked(model: Model, name: str, weights: str, picture: Picture) -> Asked:
    """Draw the controls, in one row."""
    from ui.results.heads import pass_seconds
    from ui.results.strength import strengths
    from ui.results.windows import joined_windows

    subject = session.subject(name, weights, picture)
    text = pickers.text(model)

    def look(progress: Progress) -> tuple[Any, float]:
        return joined_windows(subject.capture()), pass_seconds(subject)

    capture, seconds = session.get(("attention", name, weights, picture.key, text), look, label="Looking at every head")
    methods = {method.name: method for method in strengths()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        is_set = controls.pick("over", "Average over", (ONE, SET)) == SET
        scenes = 0
        if is_set:
            with st.container(width=150):
                scenes = controls.slide("scenes", "Scenes", 8, 128, 24, step=8)
        with st.container(width=230):
            chosen = controls.pick("strength", "Strength", list(methods), format=lambda n: methods[n].title)
        with st.popover("Options", icon=":material/tune:"):
            options = controls.for_method(methods[chosen], without=("tower",))
            if not options:
                st.caption("This metric has no options.")
        per_pair = controls.flag(
            "per_pair", "Rings per patch", help="Rings as the weight of one patch, not of the whole ring: far rings hold more."
        )
    return Asked(
        model, (name, weights), picture, subject, capture, pickers.tower(model), text, is_set, scenes,
        methods[chosen], options, per_pair, seconds,
    )  # fmt: skip


def matrix(asked: Asked) -> HeadMatrix | None:
    """The matrix of the metric, or the sentence that says why there is none."""
    from ui.figures import draw
    from ui.results import strength

    method = asked.method
    shown = pictures.picture(asked.ids[0]) if asked.over_set else asked.picture
    if reason := strength.why_not(method, asked.capture, asked.tower, shown, asked.options):
        st.info(reason, icon=":material/block:")
        return None
    result = _strength(asked)
    if result is not None:
        figure = draw(result, chosen=head_choice.outlined(result.sites, asked.model, asked.tower))
        figure.update_traces(colorbar={"title": {"text": result.unit}}, selector={"type": "heatmap"})
        help = f"{method.summary}\n\nRange: {method.range}. {method.misleads}"
        snippet = _script(asked, method.name, asked.options)
        with head_choice.titled(method.title, result, figure, key="away-strength", help=help, snippet=snippet):
            head_choice.chart(figure, "strength-matrix", result.sites, asked.model, asked.tower)
    return result


def _strength(asked: Asked) -> HeadMatrix | None:
    from ui.results import strength

    key = ("strength", *asked.key, asked.method.name, *sorted(asked.options.items()))
    if asked.over_set:

        def over(progress: Progress) -> HeadMatrix:
            return strength.strength_over(asked.model, asked.ids, asked.text, asked.method, asked.tower, asked.options, progress)

        return _over_set(asked, key, over, f"{asked.method.title}, scene by scene")

    def one(progress: Progress) -> HeadMatrix:
        return strength.strength(asked.subject, asked.picture, asked.method, asked.tower, asked.options)

    return session.part(key, one, label=asked.method.title)


def _over_set(asked: Asked, key: tuple, function: Any, label: str) -> Any:
    seconds = 4 * asked.seconds * asked.scenes
    return set_jobs.begin(key, function, label=label, what=f"{asked.scenes} scenes", seconds=seconds, button="Start")


def profile(asked: Asked) -> Profile | None:
    """Every head's rings as small curves."""
    from analysis import find
    from ui.figures import draw_sparklines
    from ui.results import strength

    what = "Weight of a patch by hops" if asked.per_pair else "Weight of a ring by hops"
    method = find("ring_profile")
    if reason := strength.why_not(method, asked.capture, asked.tower, asked.picture, {}):
        st.info(reason, icon=":material/block:")
        return None
    key = ("profile", *asked.key, asked.per_pair)
    if asked.over_set:

        def over(progress: Progress) -> Profile:
            return strength.profile_over(asked.model, asked.ids, asked.text, asked.tower, asked.per_pair, progress)

        result = _over_set(asked, key, over, "Rings, scene by scene")
    else:
        result = session.part(key, lambda progress: strength.profile(asked.subject, asked.tower, asked.per_pair), label="Rings")
    if result is not None:
        figure = draw_sparklines(result, chosen=head_choice.outlined(result.sites, asked.model, asked.tower))
        with head_choice.titled(
            what, result, figure, key="away-rings", help=f"{method.summary} {method.misleads}",
            snippet=_script(asked, method.name, {"per_pair": asked.per_pair}),
        ):  # fmt: skip
            head_choice.chart(figure, "strength-rings", result.sites, asked.model, asked.tower)
    return result


def _script(asked: Asked, method: str, options: dict[str, Any]) -> str:
    """The Python of one method for every head: of the picture, or the mean over the scenes."""
    from analysis import find

    wanted = find(method)
    if "mask" in wanted.needs:
        return ""
    own = [option for option in wanted.options if option.name != "tower"]
    changed = {o.name: options[o.name] for o in own if options.get(o.name, o.default) != o.default}
    tower = None if asked.tower == "vision" else asked.tower
    call = again.called(f"analysis.METHODS[{method!r}].function", "capture", tower=tower, **changed)
    if not asked.over_set:
        return again.of_picture(asked.names, asked.picture.id, asked.text, ["capture = subject.capture()", f"shown = {call}"])
    each = call.replace("capture", "subject.capture()", 1)
    lines = [
        f"each = [{each} for subject in subjects]",
        "shown = replace(each[0], values=sum(one.values for one in each) / len(each))",
    ]
    return again.of_pictures(asked.names, asked.ids, asked.text, lines, ["from dataclasses import replace"])


def inspector(asked: Asked, found: HeadMatrix | None) -> None:
    """The chosen head's number, and its rings around one patch of the picture."""
    with st.container(border=True):
        st.markdown(f"**{head_choice.title(asked.model, asked.tower)}**")
        if found is not None:
            _number(asked, found)
        _rings(asked)
        head_choice.link("heads/passport", "Its passport", "badge")


def _number(asked: Asked, found: HeadMatrix) -> None:
    from ui.figures.frame import humane
    from ui.results.heads import number_of

    site, head = head_choice.chosen_head(asked.model, asked.tower)
    number = number_of(found, site, head)
    if number is None:
        st.caption(f"{asked.method.title} says nothing of this head.")
        return
    interval = "" if number.low is None else f", 95 % over scenes {humane(number.low)} to {humane(number.high or 0)}"
    value = humane(number.value, found.unit)
    st.caption(f"{asked.method.title}: **{value}**{interval}; place {number.place} of {number.of}, the highest first")


def _rings(asked: Asked) -> None:
    from ui.figures.head_pages import ring_bars, rings_on_image
    from ui.results import strength
    from ui.results.token_names import patch_name
    from ui.sentences import share

    site, head = head_choice.chosen_head(asked.model, asked.tower)
    capture = asked.capture
    if site not in capture.weights or not len(strength.rows_of(capture, site)) or not _placed_keys(capture, site):
        st.info("No token of this layer lies on the picture, so it has no rings.", icon=":material/block:")
        return
    row = strength.row_at(capture, site, state.chosen().query, asked.picture)
    found = strength.rings(capture, site, head, row)
    rows = capture.layouts[site].queries
    figure = rings_on_image(found, rows, asked.picture.array, strength.rows_of(capture, site).tolist())
    st.plotly_chart(figure, key="rings", on_select=_choose_patch, selection_mode="points", width="stretch", config=BARE)
    beside = f" {share(found.elsewhere)} goes to tokens without a place." if found.elsewhere > 0.0005 else ""
    st.caption(f"Weight of one patch of each ring, seen from {patch_name(rows, row)}; click another patch.{beside}")
    bars = ring_bars(found)
    st.plotly_chart(bars, key="ring-bars", width="stretch", config=BARE)
    title = head_choice.title(asked.model, asked.tower)
    snippet = _rings_snippet(asked, site, head, row)
    with st.container(horizontal=True):
        page.take_away(found.map, figure, key="rings-away", title=f"Rings of {title}", snippet=snippet)
        table = {"hops": list(range(len(found.mass))), "this_patch": found.mass, "mean_patch": found.usual}
        page.take_away(table, bars, key="ring-bars-away", title=f"Rings by hops, {title}", snippet=snippet)


def _rings_snippet(asked: Asked, site: Any, head: int, row: int) -> str:
    """What one patch gives to every ring around it; of attention within windows there is no such row of the whole picture."""
    layout = asked.capture.layouts[site]
    if layout.windows != 1:
        return ""
    lines = [
        "capture = subject.capture()",
        f"site = next(site for site in capture.sites if site.label == {site.label!r})",
        f"layout, row = capture.layouts[site], {row}",
        f"given = capture.weights[site][{head}, row]",
        "away = hops(layout.queries, layout.keys)",
        "shown = [given[away[row] == hop].sum() for hop in range(away.max() + 1)]",
    ]
    return again.of_picture(asked.names, asked.picture.id, asked.text, lines, ["from analysis.strength_rows import hops"])


def _placed_keys(capture: Capture, site: Any) -> bool:
    return bool(capture.layouts[site].keys.placed.any())


def _choose_patch() -> None:
    place = head_choice.clicked(st.session_state.get("rings"))
    if place is not None:
        state.choose(query=str(place[0]))


def trends(asked: Asked, found: HeadMatrix | None, profiles: Profile | None) -> None:
    """How all this changes with depth."""
    from analysis.trends import layer_trend
    from ui.figures import draw
    from ui.figures.head_pages import trend_map
    from ui.results import strength

    left, right = st.columns(2)
    if profiles is not None:
        with left:
            mean = strength.trend(profiles)
            figure = trend_map(mean)
            options = {"per_pair": True} if asked.per_pair else {}
            made = _script(asked, "ring_profile", options)
            snippet = again.followed(made, "shown = profile_trend(shown)", "from analysis.trends import profile_trend")
            with head_choice.titled("Layer by layer: how far?", mean, figure, key="away-trend", snippet=snippet):
                st.plotly_chart(figure, key="trend", width="stretch", config=BARE)
    if found is not None:
        with right:
            course = layer_trend(found)
            figure = draw(course)
            figure.update_layout(height=260)
            made = _script(asked, asked.method.name, asked.options)
            snippet = again.followed(made, "shown = layer_trend(shown)", "from analysis.trends import layer_trend")
            title = f"{asked.method.title} over depth"
            with head_choice.titled(title, course, figure, key="away-depth", snippet=snippet):
                st.plotly_chart(figure, key="depth", width="stretch", config=BARE)
            st.caption("Mean over a layer's heads; the band spans its lowest to its highest head.")
