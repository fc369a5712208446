"""A first experiment file for a set of images: from earlier trials where there are some, else from the literature."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ganray.errors import DataError, GanrayError
from ganray.recipe import space
from ganray.recipe.experiment import load_experiment
from ganray.recipe.plain import as_written, objective_as_written
from ganray.recipe.recipe import Recipe
from ganray.report.known import Known, best_known
from ganray.report.practice import LABELLED_FROM, PARTS, VERY_FEW, Budget, Facts, Option, choose_budget, practice
from ganray.store.store import Store

Space = dict[str, list[Option]]
"""The options of each part of the recipe."""

MOST_KNOWN = 3
"""Earlier recipes that a file starts from."""
USUAL_LEAST = 10
"""`data.min_images` where a file does not set it."""


@dataclass(frozen=True)
class Advice:
    """An experiment file and why it is as it is."""

    name: str
    """Of the experiment."""
    text: str
    reasons: tuple[str, ...]
    """One sentence each."""


def advise(facts: Facts, store: Store, name: str, kimg: float | None = None) -> Advice:
    """An experiment file for these images; the same facts and store give the same file.

    It is called `name`, or `name-2` and so on where the store holds an experiment of that name.
    Raises DataError where no image can be read.
    """
    if not facts.n_images:
        raise DataError(f"no image in {facts.source} can be read, so there is nothing to advise on")
    budget = choose_budget(facts, kimg)
    known = best_known(store, facts.fingerprints, facts.n_images, facts.resolution)
    known = sorted(known, key=lambda each: each.protocol != facts.protocol)[:MOST_KNOWN]
    options = practice(facts, budget)
    usual = {part: options[part][0] for part in PARTS}
    whole = [recipe for each in known if (recipe := _of_trial(each, options, facts, budget))]
    found, starts = _compatible([*whole, usual], options, facts, budget)
    reasons = tuple(_reasons(facts, budget, known, len(whole), store))
    name = _free_name(name, store.experiments())
    header = ["# Written by `ganray advise`: a place to begin, to be changed as you learn."]
    header += [f"# - {reason}" for reason in reasons]
    body = _body(facts, budget, found, options, starts)
    return Advice(name, "\n".join([*header, f"name: {name}", *body]) + "\n", reasons)


def _free_name(name: str, taken: Sequence[str]) -> str:
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(each for each in names if each not in taken)


def _of_trial(known: Known, options: Space, facts: Facts, budget: Budget) -> dict[str, Option] | None:
    """An earlier recipe as options, fitted to this set; None where it makes no sense here."""
    trees = {part: as_written(getattr(known.recipe, part)) for part in PARTS}
    trees["objective"] = objective_as_written(known.recipe.objective)
    trees["objective"].pop("conditioning", None)
    if facts.conditional:
        trees["objective"]["conditioning"] = as_written(known.recipe.objective.conditioning) or {"name": "projection"}
    for network in ("generator", "discriminator"):
        rate = {"lr": getattr(known.recipe.optimizers, network).lr}
        trees["optimizers"][network] = rate | trees["optimizers"].get(network, {})
    recipe = _recipe(trees, facts, budget)
    if recipe is None:
        return None
    why = f"of trial {known.trial_id} ({known.experiment})"
    own = {part: Option(tree, why) for part, tree in trees.items()}
    full = recipe.model_dump(mode="json")
    for part in PARTS:
        for option, drawn in _draws(options[part], full[part]):
            same = _recipe({**trees, part: drawn}, facts, budget)
            if same and getattr(same, part) == getattr(recipe, part):
                own[part] = replace(option, start=drawn)
                break
    return own


def _draws(options: Sequence[Option], wanted: Any) -> Iterator[tuple[Option, Any]]:
    """Options that can be drawn so that every value that they give is the wanted one, and these draws."""
    for option in options:
        for params in space.parameters_of(option.value, wanted):
            yield option, space.draw(option.value, space.FixedSuggest(params)).value


def _compatible(
    whole: Sequence[Mapping[str, Option]], options: Space, facts: Facts, budget: Budget
) -> tuple[Space, list[Mapping[str, Option]]]:
    """As many options as go together, each with each; and those of the `whole` recipes that they can make."""
    kept: Space = {part: [] for part in PARTS}
    starts = []
    for recipe in whole:
        wider = {part: _with(kept[part], recipe[part]) for part in PARTS}
        if all(_recipe(tree, facts, budget) for tree in _combinations(wider)):
            kept = wider
            starts.append(recipe)
    for part in PARTS:
        for option in options[part]:
            narrowed = {**kept, part: [option]}
            if all(_recipe(tree, facts, budget) for tree in _combinations(narrowed)):
                kept = {**kept, part: _with(kept[part], option)}
    return kept, starts


def _with(options: list[Option], option: Option) -> list[Option]:
    return options if any(o.value == option.value for o in options) else [*options, option]


def _combinations(options: Space) -> Iterator[dict[str, Any]]:
    for chosen in itertools.product(*(options[part] for part in PARTS)):
        yield {part: option.first for part, option in zip(PARTS, chosen)}


def _recipe(parts: Mapping[str, Any], facts: Facts, budget: Budget) -> Recipe | None:
    """The recipe of these parts; None where they do not go together."""
    try:
        return Recipe.model_validate({**_frame(facts, budget), **parts})
    except ValidationError:
        return None


def _frame(facts: Facts, budget: Budget) -> dict[str, Any]:
    """What of the recipe is not searched."""
    data: dict[str, Any] = {"source": facts.source, "resolution": facts.resolution}
    if facts.n_unreadable:
        data["on_corrupt"] = "skip"
    if facts.n_images < USUAL_LEAST:
        data["min_images"] = facts.n_images
    if facts.conditional:
        data["labels"] = "folders"
    return {
        "data": data,
        "budget": {"kimg": budget.kimg, "batch_size": budget.batch_size},
        "evaluation": {"protocols": [facts.protocol], "every_kimg": budget.kimg / 4},
    }


def _reasons(facts: Facts, budget: Budget, known: Sequence[Known], n_used: int, store: Store) -> list[str]:
    reasons = [
        f"{facts.n_images} images at {facts.resolution} px: {facts.resolution_why}",
        *(_what_is_known(each) for each in known),
        f"judged by {facts.protocol}: {facts.protocol_why}",
        f"{budget.kimg:g} kimg a trial, {budget.why}",
    ]
    if not known:
        reasons.insert(
            1, f"the store {store.uri} knows no completed trial on these images or similar ones: published practice"
        )
    elif not n_used:
        reasons.insert(1 + len(known), "those recipes make no sense here, so the file starts from published practice")
    if facts.class_folders:
        reasons.append(_what_of_the_classes(facts))
    if facts.n_images <= VERY_FEW:
        reasons.append("so few images are easily copied, and the distance rewards it: look at the samples")
    if facts.n_unreadable:
        reasons.append(f"{facts.n_unreadable} files cannot be read and are left out")
    return reasons


def _what_of_the_classes(facts: Facts) -> str:
    there = f"{len(facts.class_folders)} class folders, the smallest of {min(facts.class_folders.values())} images"
    if facts.conditional:
        return f"{there}: trained with labels (conditioning: null and labels: none train without)"
    return (
        f"{there}: trained without labels, as on small classes (we say: under {LABELLED_FROM}) conditional GANs "
        f"collapse where others do not (arXiv 2201.06578)"
    )


def _what_is_known(known: Known) -> str:
    on = "these very images" if known.same_set else f"the {known.n_images} images of {known.dataset}, a similar set"
    recipe = known.recipe
    parts = f"{recipe.generator.name} against {recipe.discriminator.name}, {recipe.objective.loss.name}"
    times = "1 trial" if known.n_trials == 1 else f"the mean of {known.n_trials} trials"
    return (
        f"best so far on {on}: {known.protocol} {known.distance:.4g} ({times}) by {parts} "
        f"(trial {known.trial_id} of {known.experiment})"
    )


TITLES = {
    "generator": "Generators.",
    "discriminator": "Discriminators.",
    "objective": "What they minimise.",
    "tricks": "Tricks: each option is a whole list. Take `flips` out where left and right differ (text, hearts).",
    "optimizers": "Learning rates.",
}


def _body(
    facts: Facts, budget: Budget, found: Space, offered: Space, starts: Sequence[Mapping[str, Option]]
) -> Iterator[str]:
    """The lines of the file below its name."""
    frame = _frame(facts, budget)
    yield from ("", f"data: {_flow(frame['data'])}")
    for part in PARTS:
        yield from ("", f"# {TITLES[part]}", *_part(part, found[part], offered[part]))
    yield from ("", _comment(budget.why), f"budget: {_flow(frame['budget'])}")
    yield from (_comment(facts.protocol_why), f"evaluation: {_flow(frame['evaluation'])}")
    trials = 20 if facts.gpu else 12
    yield from ("", "search:", f"  trials: {trials}", f"  startup_trials: {trials // 2}")
    yield from ("  # Weak trials stop at the second evaluation.", "  scheduler: {name: asha, reduction_factor: 3}")
    yield "  start_from:  # first, so that the others have something to beat"
    for start in starts:
        values = {part: start[part].first for part in PARTS if space.holds_distribution(_node(found[part]))}
        yield from _entry(values)
    if facts.gpu:
        yield from ("", "runtime: {device: auto, precision: bf16, channels_last: true}")


def _part(part: str, options: Sequence[Option], offered: Sequence[Option]) -> Iterator[str]:
    """A part of the recipe, and as comments what does not go with every option of the other parts."""
    if len(options) == 1:
        yield from (f"# {options[0].why}", f"{part}: {_flow(options[0].value)}")
    else:
        yield from (f"{part}:", "  choice:")
        for option in options:
            yield from (f"  # {option.why}", f"  - {_flow(option.value)}")
    left_out = [option for option in offered if not any(option.value == o.value for o in options)]
    if left_out:
        yield "  # Left out, for these do not go with every option of the other parts:"
    for option in left_out:
        yield f"  # - {_flow(option.value)}  # {option.why}"


def _node(options: Sequence[Option]) -> Any:
    values = [option.value for option in options]
    return values[0] if len(values) == 1 else {"choice": values}


def _entry(parts: Mapping[str, Any]) -> list[str]:
    """An item of `start_from`, one part of the recipe to a line."""
    lines = [f"    {part}: {_flow(value)}" for part, value in parts.items()]
    return [lines[0].replace("    ", "  - ", 1), *lines[1:]]


def _comment(text: str) -> str:
    return f"# {text[0].upper()}{text[1:]}."


class _Plain(yaml.SafeDumper):
    """Writes a value out wherever it stands, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _flow(node: Any) -> str:
    """YAML on one line."""
    text: str = yaml.dump(
        node, Dumper=_Plain, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def name_for(text: str) -> str:
    """A folder's or a zip's name as an experiment may be called."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")
    return name[:80] or "images"


def write_new(advice: Advice, path: Path) -> Path:
    """Write the file where there is none yet, check it, and return its path. Raises GanrayError where one is there."""
    if path.exists():
        raise GanrayError(f"{path} is there already and may hold your changes; name another file with -o")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(advice.text, encoding="utf-8")
    load_experiment(path)
    return path
