"""Words / Ask: where did it look when it said that? The answer as words, each with its map, its shares and its alternatives."""

from ui import asking, page
from ui.words_line import words_line

page.header("Ask", "Where did it look when it said that?", about=("picture",))
question = asking.bar()
answered = asking.answered(question)
words_line(asking.chips(answered), key="ask-words", chosen=asking.word(answered), on_choose=asking.choose_word)
