"""Words / What if: what would it say if the picture, the question or its attention were another?"""

import streamlit as st

from ui import asking, notes, page, whatif_asked, whatif_edit, whatif_state, whatif_view

page.header("What if", "What would it say if …?", about=("picture",))
question = asking.bar()
answered = asking.answered(question)
if not answered.answer.words:
    st.info("The answer holds no word, so nothing can become of its words. Another question works.", icon=":material/info:")
    st.stop()
history = whatif_state.history(question)
kind = whatif_edit.pick(answered)
left, right = st.columns([2, 3], gap="medium")
with left:
    whatif_edit.draw(kind, answered, history)
with right:
    number, before = asking.word(answered), st.container()
    base = whatif_asked.outcome(question, answered, ())
    whatif_view.moves(history)
    now = whatif_asked.outcome(question, answered, history.now) if history.now else base
    with before:
        whatif_view.said(answered, number, now)
    if base is not None and now is not None:
        if history.now:
            whatif_view.card(question, answered, number, base, now)
        else:
            whatif_view.nothing_yet(question, answered, number, base)
if base is not None:
    whatif_view.steps(question, history, base)
notes.how_to_read("painted_over", "knockout", "word_map")
