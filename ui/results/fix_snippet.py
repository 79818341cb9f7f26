"""The Python that gives an answer again: as it is, under a fix, or with fewer visual tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import analysis
from model_adapters.decoding import Contrast, Decoding, Greedy, Sample
from ui.snippets import picture_lines

if TYPE_CHECKING:
    from ui.results.fewer import Pruner
    from ui.results.fix import Fix
    from ui.results.fix_pictures import Wish


@dataclass(frozen=True)
class Asking:
    """What a question is, as the pages know it."""

    model: str
    weights: str
    pictures: tuple[str, ...]
    """Ids of pictures."""
    text: str
    longest: int
    decoding: Decoding
    film: bool = False

    @property
    def loading(self) -> str:
        """The line that makes `model`."""
        weights = "" if self.weights == "pretrained" else f", weights={self.weights!r}"
        return f"model = ma.load({_quoted(self.model)}{weights})"

    def lines(self) -> tuple[list[str], list[str]]:
        """Imports, and the lines that make `model` and `inputs`."""
        parts = [picture_lines(id) for id in self.pictures]
        imports = sorted({line for found, _ in parts for line in found})
        images = [expression for _, expression in parts]
        image = images[0] if len(images) == 1 else f"[{', '.join(images)}]"
        given = f"{'video' if self.film else 'image'}={image}, " if images else ""
        return imports, [self.loading, f"inputs = model.prepare({given}text={_quoted(self.text)})"]


def fix_snippet(asking: Asking, fix: Fix, *, word: int | None = None) -> str:
    """The answer under a fix as `generation`; with a word its map as `shown`, otherwise its words' log-probabilities."""
    imports, lines = asking.lines()
    own = fix.keywords(asking.decoding).get("decoding")
    options = f"analysis.fixes.{fix.method}({_given(fix.options)})"
    if isinstance(asking.decoding, Greedy):
        lines.append(f"options = {options}")
    else:
        lines.append(f'options = {{"decoding": ma.{asking.decoding!r}}} | {options}')
        if isinstance(own, Contrast) and isinstance(asking.decoding, Sample):
            imports.append("from dataclasses import replace")
            lines.append(f'options["decoding"] = replace(options["decoding"], then=ma.{asking.decoding!r})')
    return _of_words(asking, imports, lines, "**options", word)


def plain_snippet(asking: Asking, word: int | None = None) -> str:
    """The same without a fix."""
    return _of_words(asking, *asking.lines(), f"decoding=ma.{asking.decoding!r}", word)


def _of_words(asking: Asking, imports: list[str], lines: list[str], options: str, word: int | None) -> str:
    lines += [
        f"generation = ma.generate(model, inputs, max_new_tokens={asking.longest}, {options})",
        "answer = analysis.words.answer_of(generation, ma.asked(model, inputs))",
    ]
    if word is None:
        lines.append("shown = [(w.text, float(answer.log_probabilities[list(w.steps)].sum())) for w in answer.words]")
    else:
        lines.append(f"shown = analysis.words.word_maps.word_map(answer, answer.words[{word}])")
    return _script(["import analysis.fixes", "import analysis.words", "import model_adapters as ma", *imports], lines)


def change_snippet(asking: Asking, fix: Fix, word: int, plain_word: int) -> str:
    """What a fix changes of the map of a word, as `shown`."""
    first = fix_snippet(asking, fix, word=word).replace("shown = ", "fixed = ")
    lines = plain_snippet(asking, plain_word).split("\n")
    again = [line for line in lines if line.startswith(("generation", "answer"))]
    last = lines[-1].replace("shown = ", "plain = ")
    return "\n".join([first, *again, last, "shown = fixed.values - plain.values"])


def measured_snippet(asking: Asking, fix: Fix, wish: Wish) -> str:
    """The figures of a fix over many pictures."""
    given = {name: value for name, value in vars(wish).items() if value != getattr(type(wish)(), name)}
    return _script(
        [
            "import model_adapters as ma", "from ui.jobs import Progress", "from ui.results.fix import Fix",
            "from ui.results.fix_measured import measured", "from ui.results.fix_pictures import Wish",
        ],
        [
            asking.loading,
            f"fix = Fix({fix.method!r}, {fix.options!r})",
            f"shown = measured(model, fix, ma.{asking.decoding!r}, Wish({_given(tuple(given.items()))}), Progress())",
            "for pair in shown.pairs:", "    print(pair.name, pair.plain.value, pair.fixed.value)",
        ],
    )  # fmt: skip


def fewer_snippet(asking: Asking, pruner: Pruner, amount: int) -> str:
    """The plan at one budget as `shown`, and the answer with what is left as `generation`."""
    function: Any = analysis.find(pruner.method).function
    imports, lines = asking.lines()
    budget = _given(((pruner.knob, amount), *pruner.options))
    imports += ["from analysis.visual_tokens import dropping", f"from {function.__module__} import {function.__name__}"]
    lines += [
        'capture = ma.capture(model, inputs, want=("hidden", "queries"))',
        f"shown = {function.__name__}(capture, {budget})",
        f"generation = ma.generate(model, inputs, max_new_tokens={asking.longest}, edits=dropping(shown), "
        f"decoding=ma.{asking.decoding!r})",
    ]
    return _script(["import model_adapters as ma", *imports], lines)


def cache_snippet(asking: Asking, method: str, options: dict[str, Any], merge: str) -> str:
    """What the cache remembers as `shown`, and the answer that is written from it as `found`."""
    function: Any = analysis.find(method).function
    imports, lines = asking.lines()
    imports += [
        f"from {function.__module__} import {function.__name__}", "from model_adapters.shrunk_cache import generate_from_less"
    ]
    lines += [
        "capture = ma.capture(model, inputs)",
        f"shown = {function.__name__}(capture, {_given(tuple(options.items()))})",
        f"found = generate_from_less(model, inputs, shown.kept, merge={merge!r}, max_new_tokens={asking.longest})",
    ]
    return _script(["import model_adapters as ma", *imports], lines)


def layers_snippet(asking: Asking, method: str, options: dict[str, Any]) -> str:
    """What layers say about themselves on one prompt."""
    function: Any = analysis.find(method).function
    imports, lines = asking.lines()
    imports.append(f"from {function.__module__} import {function.__name__}")
    lines += [
        'capture = ma.capture(model, inputs, want=("hidden", "queries"))',
        f"shown = {function.__name__}(capture, {_given(tuple(options.items()))})",
    ]
    return _script(["import model_adapters as ma", *imports], lines)


def search_snippet(asking: Asking, allowed: float, precision: int) -> str:
    """The plan that a search over layers finds, as `shown`."""
    imports, lines = asking.lines()
    lines += [
        'capture = ma.capture(model, inputs, want=("hidden", "queries"))',
        f"generation = ma.generate(model, inputs, max_new_tokens={asking.longest}, decoding=ma.{asking.decoding!r})",
        "ids = [token.id for token in generation.tokens]",
        "scores = answer_runner(ma.run, model, ma.continued(model, inputs, ids), len(ids))",
        f"found = search_budgets(capture, answer_loss(scores), allowed={allowed!r}, precision={precision})",
        "shown = found.plan",
    ]
    imports += ["from analysis.visual_tokens import answer_loss, search_budgets", "from analysis.words import answer_runner"]
    return _script(["import model_adapters as ma", *imports], lines)


def curves_snippet(
    asking: Asking, pruners: Sequence[Pruner], ask: str, over: tuple[str, int, str, str], longest: int
) -> str:
    """Curves of several pruners; `over` is where the pictures come from, how many, annotations and folder."""
    made = ", ".join(f"Pruner({pruner.method!r}, {pruner.options!r})" for pruner in pruners)
    return _script(
        [
            "import model_adapters as ma", "from ui.jobs import Progress", "from ui.results.fewer import Pruner",
            "from ui.results.fewer_curves import curves, prompts_of",
        ],
        [
            asking.loading,
            f"asked = prompts_of({ask!r}, {_quoted(asking.text)}, {', '.join(repr(part) for part in over if part)})",
            f"shown = curves(model, [{made}], asked, {longest}, Progress())",
        ],
    )  # fmt: skip


def _given(options: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options)


def _script(imports: Sequence[str], lines: Sequence[str]) -> str:
    plain = sorted(line for line in imports if line.startswith("import "))
    return "\n".join([*plain, *sorted({line for line in imports if not line.startswith("import ")}), "", *lines])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
