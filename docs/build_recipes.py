"""Writes docs/recipes.md: the recipe book with what has been measured.    make docs

Made from the docstrings of the specs, the table of refused combinations, the baselines of experiments/*.yaml, and
benchmarks/results/switches.json where that is there: experiment to the output of `ganray effects NAME --format json`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scipy.special import ndtri

from ganray.recipe.book import Component, components
from ganray.recipe.combinations import REFUSALS
from ganray.recipe.conflicts import LISTS
from ganray.recipe.experiment import Experiment, load_experiment
from ganray.recipe.recipe import Recipe
from ganray.report.effects import Effect, Effects
from ganray.report.render_book import Key, book_to_markdown, rules_to_markdown
from ganray.report.render_effects import difference, effects_to_markdown, interval, stars

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recipes.md"
MEASURED = ROOT / "benchmarks" / "results" / "switches.json"
EXPERIMENTS = ("hacks", "losses", "discriminators")
OPTIMIZERS = "optimizers.generator and optimizers.discriminator"


def page(measured: Path = MEASURED) -> str:
    """The whole page."""
    book, found = components(), read(measured) if measured.exists() else {}
    effects = by_component(found, {name: baseline(load(name)) for name in found}) if found else None
    intro = [head(book), limits(load("hacks"), found), results(found)]
    parts = [*intro, book_to_markdown(book, effects), rules_to_markdown()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def load(name: str) -> Experiment:
    return load_experiment(ROOT / "experiments" / f"{name}.yaml", check=False)


def baseline(experiment: Experiment) -> Recipe:
    """The recipe that every switch is compared with."""
    assert experiment.design is not None, f"{experiment.name} is no designed experiment"
    return experiment.fixed(experiment.design[0])


def n_switches(experiment: Experiment) -> int:
    """How many recipes of the design are not the baseline."""
    recipes = {tuple(sorted((k, v) for k, v in params.items() if k != "seed")) for params in experiment.design or ()}
    return len(recipes) - 1


def read(path: Path) -> dict[str, Effects]:
    """Experiment to what `ganray effects` said of it."""
    texts: dict[str, Any] = json.loads(path.read_text())
    return {name: _effects(text) for name, text in texts.items()}


def _effects(text: dict[str, Any]) -> Effects:
    rows = {"baseline": _effect(text["baseline"]), "effects": tuple(_effect(row) for row in text["effects"])}
    return Effects(**{**text, **rows, "notes": tuple(text["notes"])})


def _effect(row: dict[str, Any]) -> Effect:
    return Effect(**{**row, "seeds": tuple(row["seeds"]), "diagnoses": tuple(row["diagnoses"])})


def head(book: list[Component]) -> str:
    families = len({component.family for component in book})
    return f"""\
<!-- Made by `make docs` from the code and benchmarks/results/switches.json. Changes by hand are lost. -->

# The recipe book

{len(book)} components in {families} families, and {len(REFUSALS)} rules on what does not go together.
A component is a typed part of a recipe, and can be searched like any value ([experiments.md](experiments.md)).

`ganray recipes` prints the list, `ganray recipes lecam` one component. Under "Refused" stands what `ganray validate`
refuses, found by asking the rules with each component in a plain recipe: DCGAN at 64 px, the hinge, FID.

In the formulas D(x) is D's logit of an image (with several heads or a grid, of each place), sigma the logistic
function, E the mean over the batch and the logits, x a real image, z a latent, theta a network's weights and g their
gradient, grad D the gradient of an image's logit by the image, and |.| a length.
"""


def limits(experiment: Experiment, found: Mapping[str, Effects]) -> str:
    """What the small experiments can tell; the numbers are the file's own."""
    recipe, of_baseline = baseline(experiment), len(experiment.space["seed"]["choice"])
    seeds = experiment.settings.search.seeds_per_switch or of_baseline
    kimg, batch = recipe.budget.kimg, recipe.budget.batch_size
    steps = round(kimg * 1000 / batch)
    spreads = float(ndtri(0.975)) * (1 / seeds + 1 / of_baseline) ** 0.5
    not_run = "" if any(name.endswith("_256") for name in found) else "; they have not been run"
    switches = n_switches(experiment)
    return f"""\
## What a small run on a CPU can tell

The experiments `hacks`, `losses` and `discriminators` train for {kimg:g} kimg, which is {steps} steps of {batch}
images, at {recipe.data.resolution} px on the few images of `{recipe.data.source}`, each switch with {seeds} seeds, the
baseline with {of_baseline}. They are scored under `{recipe.evaluation.protocols[0]}`.

They can tell:

- whether a switch runs, and what it costs in images per second on a CPU;
- whether it breaks a training in its first {steps} steps: non-finite values, collapse, a discriminator that has won;
- whether it helps or harms the beginning of a training by a lot, on this set and beside this baseline.

They cannot tell:

- **How good the images become.** After {steps} steps nothing has converged. What begins fast may end worse.
- **What acts late.** D's overfitting, and so what ADA, APA, LeCam or consistency do against it; learning rate
  schedules; an EMA with a long memory.
- **Small effects.** With {seeds} seeds the interval reaches {spreads:.1f} standard deviations of one trial to either
  side, or more, so most real effects stay inside it. "No clear effect" is not "no effect".
- **Which clear effects are luck.** Of the {switches} switches in `hacks`, about {round(0.05 * switches)} would have an
  interval without 0 by chance. All are compared with the same trials of the baseline, whose luck moves every
  difference to the same side.
- **What goes well together.** One switch is changed at a time, beside one baseline.
- **Other images, sizes and networks.** At 256 px and with FastGAN the order may be another. The same designs for a GPU
  are in `experiments/*_256.yaml`{not_run}.
- **FID.** The protocol compares 200 samples by EfficientNet-Lite0. Its numbers compare with each other only.
"""


def results(found: Mapping[str, Effects]) -> str:
    """The tables, or that there are none."""
    if not found:
        return """\
## Measured effects

Not measured yet. To measure:

```
ganray sweep experiments/hacks.yaml && ganray effects hacks
ganray sweep experiments/losses.yaml && ganray effects losses
ganray sweep experiments/discriminators.yaml && ganray effects discriminators
```
"""
    missing = [f"`{name}`" for name in EXPERIMENTS if name not in found]
    tables = [effects_to_markdown(effects) for effects in found.values()]
    lines = [f"Not measured yet: {', '.join(missing)}.\n"] if missing else []
    return "\n".join(["## Measured effects\n", legend(found), *lines, *tables])


def legend(found: Mapping[str, Effects]) -> str:
    """How to read the tables, and how much of each experiment they hold."""
    extent = "\n".join(f"- {_extent(name, effects)}" for name, effects in found.items())
    return f"""\
The baseline is the first option of every choice in the experiment's file, and each switch another option of one choice.
Beside the components below stands the difference of the distances, which is below 0 where the switch is better, with
its 95 % interval in brackets, a `*` where that leaves out 0, and `**` where it remains after Holm's correction.

{extent}
"""


def _extent(name: str, effects: Effects) -> str:
    done = sum(effect.difference is not None for effect in effects.effects)
    protocol = f"under `{effects.protocol}`"
    return f"[{name}](../experiments/{name}.yaml): {done} of {n_switches(load(name))} switches measured, {protocol}"


def by_component(found: Mapping[str, Effects], baselines: Mapping[str, Recipe]) -> dict[Key, list[str]]:
    """What was measured of each component, as cells of a table."""
    cells: dict[Key, list[str]] = defaultdict(list)
    for name, effects in found.items():
        for effect in effects.effects:
            for key in sorted(switched(effect.change, baselines[name])):
                cells[key].append(f"`{effect.change}` {_value(effect)} ({name})")
    return cells


def _value(effect: Effect) -> str:
    if effect.difference is None:
        return f"no seed completed, {effect.failed} failed" if effect.failed else "not finished"
    between = "" if effect.low is None else f"[{interval(effect, ', ')}]"
    failed = f", {effect.failed} failed" if effect.failed else ""
    return " ".join(filter(None, (difference(effect), between, stars(effect)))) + failed


def switched(change: str, baseline: Recipe) -> set[Key]:
    """The components that a change is about, as `ganray effects` words it: `+ replay (share 0.5)`, `D.norm batch`."""
    return {key for word in _words(change) for key in _components(word, baseline)}


def _words(change: str) -> list[str]:
    """Split at the commas outside brackets; those within a value have no space behind them."""
    return re.split(r", (?![^(]*\))", change)


def _components(word: str, baseline: Recipe) -> Iterator[Key]:
    subject, _, value = word.removeprefix("+ ").removeprefix("- ").partition(" ")
    whole, _, field = subject.partition(".")
    optimizers = baseline.optimizers
    places = {
        "G": ("generator", baseline.generator.name),
        "D": ("discriminator", baseline.discriminator.name),
        "loss": ("objective.loss", baseline.objective.loss.name),
        "optimizers.G": (OPTIMIZERS, optimizers.generator.name),
        "optimizers.D": (OPTIMIZERS, optimizers.discriminator.name),
        "optimizers.schedule": ("optimizers.schedule", getattr(optimizers.schedule, "name", "")),
    }
    if whole == "optimizers":
        role, _, field = field.partition(".")
        whole = f"optimizers.{role}"
    if whole in places:
        place, name = places[whole]
        yield (place, name if field else value.partition(" ")[0])
    else:
        yield from ((c.place, c.name) for c in components() if c.place in LISTS and c.name == whole)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")
