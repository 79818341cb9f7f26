"""Words / Ask: where did it look when it said that? The answer as words, each with its map, its shares and its alternatives."""

import streamlit as st

from ui import ask_view, asking, notes, page

page.header("Ask", "Where did it look when it said that?", about=("picture", "head"))
question = asking.bar()
answered = asking.answered(question)
if not answered.answer.words:
    ask_view.nothing_said(answered)
    st.stop()
word = asking.word(answered)
led = ask_view.hop(question, answered)
left, right = st.columns([5, 2], gap="medium")
with left:
    sheet = ask_view.chosen_sheet(answered, led)
    ask_view.show(answered, sheet, led, word)
with right:
    ask_view.inspect(question, answered, sheet, word)
notes.how_to_read("word_map", "word_shares", "word_confidence", "answer_lens")
