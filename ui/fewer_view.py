"""The parts of the page Fewer tokens: pruner and budget, the surviving patches, the answer with what is left, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, link, page, session
from ui.asking_bar import plain
from ui.fix_view import asking_of, option_controls
from ui.results import fewer, fix_snippet
from ui.results.fewer import Pruner
from ui.results.fix import aligned

if TYPE_CHECKING:
    from analysis.words import Answer
    from model_adapters import Capture
    from ui.asking import Question
    from ui.jobs import Progress
    from ui.results.answering import Answered
    from ui.results.fewer import Costs, Reduced, Survival

START = "fastv"
QUARTER = 0.25
"""The share of visual tokens that is shown first."""
FIRST = {"window": 7, "exit": 2, "blind": 25}
"""What is shown first of pruners whose budget is another."""
HEIGHT = 400


@dataclass(frozen=True, eq=False)
class Bench:
    """One answered question, and what pruners read of its prompt."""

    question: Question
    answered: Answered
    capture: Capture

    @property
    def total(self) -> int:
        """How many visual tokens there are."""
        return fewer.visual_tokens(self.capture)


def bench(question: Question, answered: Answered) -> Bench:
    """Look at the prompt once; all budgets of all pruners are worked out from that."""
    capture = session.get(
        ("fewer-seen", question), lambda progress: fewer.seen(answered.model, answered.inputs),
        label="Looking at every visual token once",
    )  # fmt: skip
    return Bench(question, answered, capture)


def offered(bench: Bench) -> tuple[dict[str, str], dict[str, str]]:
    """Pruners that work here (name -> title), and why others do not (title -> sentence)."""

    def ask(progress: Progress) -> tuple[dict[str, str], dict[str, str]]:
        able, unable = {}, {}
        for method in fewer.pruners():
            reason = fewer.why_not(bench.capture, method)
            if reason:
                unable[method.title] = reason
            else:
                able[method.name] = method.title
        return able, unable

    return session.get(("fewer-offered", bench.question), ask, label="Asking which pruners work here")


def pick(bench: Bench, able: dict[str, str]) -> Pruner:
    """Pruner and options."""
    import analysis

    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=540):
            start = START if START in able else next(iter(able))
            name = controls.pick("pruner", "What stays is chosen by", list(able), default=start, format=lambda m: able[m])
        method = fewer.fitted(analysis.find(name), fewer.depth_of(bench.capture))
        with st.popover("Options", icon=":material/tune:", disabled=not method.options):
            options = option_controls(method, "fewer-")
    return Pruner(name, tuple(options.items()))


def survival(bench: Bench, pruner: Pruner) -> Survival:
    """The plans of all budgets."""
    return session.get(
        ("fewer-survival", bench.question, pruner),
        lambda progress: fewer.survival(bench.capture, pruner, progress.step),
        label="Working out what stays at every budget",
    )


def budget(bench: Bench, found: Survival) -> int:
    """The picture with its slider; the budget that was chosen."""
    from ui.fewer_survivors import survivors

    knob = found.pruner.knob
    name = "budget" if knob == "keep" else knob
    first = found.nearest({"keep": max(1, round(QUARTER * bench.total)), **FIRST}[knob])
    link.begin(name, first, link.number(1, None, True))
    key = f"survivors-{name}"

    def follow() -> None:
        amount = st.session_state[key].amount
        if amount is not None:
            st.session_state[name] = int(amount)

    pictures = [picture.image for picture in bench.answered.pictures]
    survivors(pictures, found, amount=st.session_state[name], key=key, height=HEIGHT, on_change=follow)
    amount = found.nearest(st.session_state[name])
    link.keep(name, amount, first)
    return amount


def reduced(bench: Bench, pruner: Pruner, amount: int) -> Reduced | None:
    """The answer with what is left; None while it is made."""
    answered, question = bench.answered, bench.question

    def make(progress: Progress) -> Reduced:
        plan = pruner.plan(bench.capture, amount)
        return fewer.reduced(answered.model, answered.inputs, plan, answered.generation, question.longest, question.decoding)

    label = f"Answering with {pruner.said(amount, bench.total)}"
    return session.part(("fewer-answer", question, pruner, amount), make, label=label)


def costs(bench: Bench, pruner: Pruner, amount: int) -> Costs | None:
    """What the prompt and each new token cost with and without; None while that is measured."""
    answered = bench.answered
    return session.part(
        ("fewer-costs", bench.question, pruner, amount),
        lambda progress: fewer.costs_of(answered.model, answered.inputs, pruner.plan(bench.capture, amount)),
        label="Measuring what it costs", estimate="The prompt and a few new tokens, several times, with and without.",
        lane="long",
    )  # fmt: skip


def show_plan(bench: Bench, pruner: Pruner, amount: int) -> None:
    """What was said of the plan, and what can be taken away."""
    from ui.figures import draw

    plan = pruner.plan(bench.capture, amount)
    left, right = st.columns([7, 1], vertical_alignment="center")
    faded = (
        "Faded patches are gone; half faded ones were merged into another."
        if plan.rounds is None
        else "Faded patches go round the layer and are there again behind it."
    )
    left.caption(f"{faded} {plan.left_out.replace('`', '')}")
    with right:
        page.take_away(
            plan, lambda: draw(plan), key="fewer-plan", title=f"{pruner.title}, {amount}",
            snippet=fix_snippet.fewer_snippet(asking_of(bench.question), pruner, amount),
        )  # fmt: skip


def show_answers(bench: Bench, said: Reduced | None) -> None:
    """The full answer, and the one with what is left; words that the full one does not have are marked."""
    answer = bench.answered.answer
    st.markdown(f"**All {bench.total}** · {plain(answer.text)}")
    if said is None:
        return
    st.markdown(f"**{said.plan.kept} left** · {marked(answer, said.generation.text)}")


def marked(answer: Answer, other: str) -> str:
    """Another answer as Markdown: its words that the first one does not have are marked."""
    words = fewer.words_in(other)
    same = aligned([word.text for word in answer.words], [word.text for word in words]).same
    text, end = "", 0
    for word, kept in zip(words, same, strict=True):
        text += plain(other[end : word.start])
        text += plain(word.text) if kept else f":orange-background[{plain(word.text)}]"
        end = word.end
    return text


COSTS = (
    ("FLOPs", "flops", lambda n: f"{n / 1e9:.2f} G"), ("Cache", "cache_bytes", lambda n: in_bytes(n)),
    ("Prompt", "prefill_seconds", lambda n: _milliseconds(n)), ("Per token", "token_seconds", lambda n: _milliseconds(n)),
)  # fmt: skip
"""What a run costs: label, field, how it is written."""


def show_numbers(bench: Bench, said: Reduced | None, paid: Costs | None) -> None:
    """What is left of the answer, and what is left to compute, beside the model as it is."""
    rows = [] if said is None else _of_answer(said)
    if paid is not None:
        rows += [(label, written(getattr(paid.fewer, name)), _change(paid, name)) for label, name, written in COSTS]
    if rows:
        head = f"| | {said.plan.kept if said else 'Fewer'} left | against all |\n| :-- | --: | --: |\n"
        st.markdown(head + "\n".join(f"| {label} | **{value}** | {change} |" for label, value, change in rows))
    if paid is not None:
        whole = ", ".join(f"{label.lower()} {written(getattr(paid.whole, name))}" for label, name, written in COSTS)
        st.caption(
            f"With all {bench.total}: {whole.replace('flops', 'FLOPs')}. FLOPs of the prompt, counted by torch; times measured "
            "here in turn, the shortest of several rounds, through the hooks that drop."
        )
    if said is not None:
        st.caption(_really_dropped(said))


def _of_answer(said: Reduced) -> list[tuple[str, str, str]]:
    kl = "< 0.001" if 0 < said.kl < 0.001 else f"{said.kl:.2g}"
    same = "the same" if said.agrees else f"parts at token {said.same + 1}"
    return [("KL (nats)", kl, ""), ("Answer", same, "")]


def _change(paid: Costs, name: str) -> str:
    """In percent; grey where the rounds disagree about its sign."""
    share = paid.share(name)
    if share != share:
        return "lost in noise"
    text = f"{100 * (share - 1):+.0f} %".replace("-", "−")
    if name in paid.unsure:
        return f":gray[{text}, unsure]"
    return f":{'green' if share < 1 else 'red' if share > 1 else 'gray'}[{text}]"


def _milliseconds(seconds: float) -> str:
    if seconds != seconds:
        return "–"
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def in_bytes(count: float) -> str:
    """A size as people write it."""
    return f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _really_dropped(said: Reduced) -> str:
    """That tokens are gone rather than hidden, with what shows it."""
    if said.plan.window:
        return "Nothing is dropped here: pairs of visual tokens are masked, which spares no operation without a kernel for it."
    if said.plan.blind or said.plan.cut:
        return "Nothing is dropped here: some heads give visual tokens no weight; a kernel made for it would spare operations."
    first, last = said.sequence
    text = (
        f"Really dropped, not masked: of {len(said.plan.rows)} tokens of the prompt the first layer reads {first} and the last "
        f"one {last}; positions stay."
    )
    if said.masked_differs is None:
        return f"{text} Merged tokens have no masked counterpart to compare with."
    moved = f"moves no log-probability of the next token by more than {max(said.masked_differs, 1e-6):.6f}"
    return f"{text} Hiding the same tokens instead {moved}."


def refused(unable: dict[str, str]) -> None:
    """Which pruners are not offered here, and why."""
    if unable:
        count = "1 pruner is" if len(unable) == 1 else f"{len(unable)} pruners are"
        with st.expander(f"{count} not offered for this model"):
            st.markdown("\n".join(f"- {sentence}" for sentence in unable.values()))
