"""How things may be called: their names, plurals, and synonyms from a file; and which of them a text mentions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from analysis.evaluation.coco_rules import RULES, RuleSet
from analysis.words.words import Names, Word, mentions, words_of

IRREGULAR = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "knife": "knives", "leaf": "leaves", "loaf": "loaves", "shelf": "shelves", "scarf": "scarves",
    "wolf": "wolves", "calf": "calves", "sheep": "sheep", "deer": "deer", "aircraft": "aircraft", "ox": "oxen", "die": "dice",
}  # fmt: skip


def names_of(
    categories: Iterable[str],
    synonyms: Path | str | Mapping[str, Iterable[str]] | None = None,
    rules: RuleSet = "release",
) -> Names:
    """Every way to call a category (lower case, plurals too) -> the category.

    Args:
        categories: names of things, of one or several words.
        synonyms: names for each category, or a file of them: JSON {"dog": ["puppy"]}, or a line "dog, puppy" for each, as
            CHAIR has it. A line that holds no category is left out, as what it names is not annotated.
        rules: the fixed rules of CHAIR's release on pairs of words (`coco_rules`: a baby elephant is no person, a train track
            no train), or none.
    """
    if rules not in RULES:
        raise ValueError(f"rules must be 'release' or 'none'. Got {rules!r} instead.")
    found: dict[str, str] = {}
    known = [name.lower() for name in categories]
    for name in known:
        found |= dict.fromkeys(forms_of(name), name)
    groups = [] if synonyms is None else _groups(synonyms)
    matched = 0
    for group in groups:
        own = [form for form in group if form in known][:1]
        matched += len(own)
        for name in own:
            found = {spelling: name for form in group for spelling in forms_of(form)} | found
    if groups and not matched:
        raise ValueError(
            f"none of the {len(groups)} groups of synonyms holds a category. They begin with {[g[0] for g in groups[:3]]}; "
            f"the categories are {known[:5]} ..."
        )
    return _ruled(found, rules)


def _ruled(found: dict[str, str], rules: RuleSet) -> Names:
    """The same names with the pairs and the silent words of a rule set, plurals too."""
    chosen = RULES[rules]
    compounds = {form: found.get(meant, "") for pair, meant in chosen.pairs.items() for form in forms_of(pair)}
    silent = {form: frozenset(forms_of(louder)) for word, louder in chosen.silent.items() for form in forms_of(word)}
    return Names(found, compounds, silent)


def mentioned(text: str, names: Mapping[str, str]) -> tuple[Word, ...]:
    """Where a text names things, each time anew; the longest name wins ("hot dog" before "dog").

    >>> [(word.text, word.name) for word in mentioned("Two hot-dogs.", {"dog": "dog", "hot dogs": "hot dog"})]
    [('hot-dogs', 'hot dog')]
    """
    return mentions(words_of(text, np.zeros((0, 2), int)), names)


def forms_of(name: str) -> tuple[str, ...]:
    """A name, and how it is said of more or fewer of the thing.

    >>> forms_of("wine glass"), forms_of("skis"), forms_of("person")
    (('wine glass', 'wine glasses'), ('skis', 'ski', 'skises'), ('person', 'people', 'persons'))
    """
    *before, last = re.split(r"\s+", name.strip().lower().replace("_", " "))
    return tuple(dict.fromkeys(" ".join((*before, form)) for form in (last, *_plurals(last))))


def _plurals(word: str) -> tuple[str, ...]:
    if word in IRREGULAR:
        return (IRREGULAR[word], "persons") if word == "person" else (IRREGULAR[word],)
    if word.endswith("man"):
        return (word[:-3] + "men",)
    if word.endswith("s") and not word.endswith("ss"):
        return (word[:-1], word + "es")  # skis are many already, a bus is not: what nobody writes does no harm
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return (word + "es",)
    if len(word) > 1 and word.endswith("y") and word[-2] not in "aeiou":
        return (word[:-1] + "ies",)
    return (word + "s", word + "es") if word.endswith("o") else (word + "s",)


def _groups(synonyms: Path | str | Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    if isinstance(synonyms, Mapping):
        return [_cleaned((name, *forms)) for name, forms in synonyms.items()]
    path = Path(synonyms)
    if not path.is_file():
        raise ValueError(f"{path} is not there: give a file of synonyms, a line such as 'dog, puppy' for each thing.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} holds no text: {error}.") from error
    if path.suffix.lower() == ".json":
        return _groups(_listed(text, path))
    groups = [_cleaned(line.split(",")) for line in text.splitlines() if line.strip()]
    if not groups:
        raise ValueError(f"{path.name} holds no synonyms: a line such as 'dog, puppy' is needed for each thing.")
    return groups


def _listed(text: str, path: Path) -> Mapping[str, Iterable[str]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} holds no JSON: {error}.") from error
    if not isinstance(found, dict) or not all(isinstance(forms, list) for forms in found.values()):
        raise ValueError(f'{path.name} must hold synonyms as {{"dog": ["puppy", ...]}}.')
    return found


def _cleaned(forms: Iterable[object]) -> tuple[str, ...]:
    return tuple(form for form in (str(one).strip().lower() for one in forms) if form)
