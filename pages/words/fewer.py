"""Words / Fewer tokens: how few visual tokens are enough for this answer?"""

import streamlit as st

from ui import asking, fewer_cache, fewer_more, fewer_view, notes, page

page.header("Fewer tokens", "How few visual tokens are enough?", about=("picture",))
question = asking.bar()
answered = asking.answered(question)
bench = fewer_view.bench(question, answered)
able, unable = fewer_view.offered(bench)
pruner = fewer_view.pick(bench, able)
left, right = st.columns([3, 2], gap="medium")
with left:
    amount = fewer_view.budget(bench, fewer_view.survival(bench, pruner))
    fewer_view.show_plan(bench, pruner, amount)
with right:
    answers, numbers = st.container(), st.container()
    with answers:
        said = fewer_view.reduced(bench, pruner, amount)
        fewer_view.show_answers(bench, said)
    paid = fewer_view.costs(bench, pruner, amount)
    with numbers:
        fewer_view.show_numbers(bench, said, paid)
fewer_view.refused(unable)
several, layers, search, cache, family = st.tabs(["Several pruners", "Layers", "Search", "In the cache", "The family"])
with several:
    fewer_more.curves(bench, pruner, able)
with layers:
    fewer_more.layers(bench)
with search:
    fewer_more.search(bench)
with cache:
    fewer_cache.forgetting(bench)
with family:
    fewer_more.family(able, unable)
notes.how_to_read(pruner.method, "ranking_similarity", "search_budgets", "map_rank", fewer_cache.METHOD)
