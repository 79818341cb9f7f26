"""Change / Prune: what can go, and what does it cost?"""

import streamlit as st

from ui import controls, notes, page, pickers, prune_more, prune_state, prune_tokens, prune_tried, prune_view, session
from ui.results import prune, prune_effect, prune_rank
from ui.results.heads import sites_of

page.header("Prune", "What can go, and what does it cost?", about=("model", "picture"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
model = session.model(name, weights)
subject = session.subject(name, weights, picture)
prune_view.refuse(subject.refusals.get("logits", ""))
with st.container(horizontal=True, vertical_alignment="bottom"):
    what = controls.pick("what", "What goes", tuple(prune_view.WHAT), format=lambda w: prune_view.WHAT[w])
    metric = next(iter(prune_rank.METRICS))
    if what == "parts":
        with st.container(width=260):
            metric = controls.pick("rank", "Heads coloured by", list(prune_rank.METRICS), format=lambda m: prune_rank.METRICS[m])
    kind, count = prune_view.pick_set(model)
text, tower = pickers.text(model), pickers.tower(model)
asked = prune_view.ask(name, weights, model, text, kind, count)
bench = prune_view.Bench(name, weights, model, text, sites_of(model, tower), kind, count, asked)
if what == "tokens":
    prune_view.refuse(prune.why_no_tokens(model))
    prune_tokens.show(bench, subject, picture)
    st.stop()

now = prune_state.parts(bench.sites)
judged = session.get(
    ("prune-judged", *bench.key, now), lambda progress: prune_effect.judge_parts(model, asked, now, bench.sites, progress),
    label=f"Asking the model {now.words}",
)  # fmt: skip
strip = st.container()
left, right = st.columns([2, 1], gap="medium")
with left:
    ranking = prune_view.ranked(bench, metric)
    prune_view.recipes(bench, now, ranking)
    prune_view.show_switches(bench, now, ranking, metric)
costs = session.part(
    ("prune-costs", *bench.key, now), lambda progress: prune_effect.cost_parts(model, asked, now, bench.sites),
    label="Making the smaller model and measuring both",
)  # fmt: skip
current = prune_state.Tried(now, judged, costs)
prune_state.remember(bench.key, current)
with strip:
    prune_view.show_strip(bench, judged, costs)
with right, st.container(border=True):
    prune_tried.show_tried(bench, prune_tokens.restore, now)
left, right = st.columns(2, gap="medium")
with left, st.container(border=True):
    prune_more.show_curves(bench)
with right, st.container(border=True):
    prune_more.show_search(bench, costs.refused if costs is not None else prune.why_not_sliced(model))
with st.container(border=True):
    prune_more.show_save(bench, now, current)
notes.how_to_read("pruning_curve", "greedy_search")
