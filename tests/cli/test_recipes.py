"""`ganray recipes`, as a user types it, and that what it shows is true."""

import subprocess
import sys

import pytest
import yaml

from ganray.recipe.book import components
from ganray.recipe.combinations import REFUSALS
from ganray.recipe.conflicts import conflicts
from ganray.recipe.recipe import Recipe
from ganray.report.render_book import first_sentence, snippet, sources

BOOK = components()
PLAIN = {"data": {"source": "x", "resolution": 64}, "generator": {"name": "dcgan"}, "discriminator": {"name": "dcgan"}}


def named(name, place=None):
    return next(c for c in BOOK if c.name == name and place in (None, c.place))


def refused(name, place=None):
    """Rule and own field to what it is refused with."""
    found = {}
    for conflict in conflicts(named(name, place)):
        found.setdefault((conflict.rule, conflict.own), []).extend(conflict.beside)
    return found


def test_the_list_has_every_family_and_component(ganray):
    code, out, err = ganray("recipes")
    assert (code, err) == (0, "")
    for component in BOOK:
        assert component.family in out
        assert f"  {component.name} " in out


def test_one_component_in_full(ganray):
    code, out, _ = ganray("recipes", "r1")
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "r1  Penalties of the discriminator  objective.penalties"
    assert "  https://arxiv.org/abs/1801.04406" in lines
    assert any(line.split() == ["gamma", "number", ">", "0", "10.0"] for line in lines)
    assert "    with discriminator fastgan  rule batch_norm" in lines
    assert "        - {name: r1, gamma: 10.0, every: 1}" in lines


def test_a_name_may_be_several_things_and_several_may_be_named(ganray):
    _, out, _ = ganray("recipes", "fastgan", "label-smoothing", "FASTGAN")
    heads = [line.split("  ")[0:2] for line in out.splitlines() if line[:1].strip()]
    assert heads[:2] == [["fastgan", "Generators"], ["fastgan", "Discriminators"]]
    assert heads[2] == ["label_smoothing", "Tricks"]


def test_an_unknown_name_is_answered_with_the_nearest(ganray):
    code, out, err = ganray("recipes", "lecan")
    assert (code, out) == (2, "")
    assert err.startswith("ganray: there is no component 'lecan'; did you mean lecam")
    assert "did you mean" not in ganray("recipes", "xyzzy")[2]


def test_markdown_has_everything_or_what_is_named(ganray):
    _, out, _ = ganray("recipes", "--format", "md")
    headings = {line.removeprefix("### ").split(" ")[0] for line in out.splitlines() if line.startswith("### ")}
    assert headings == {component.name for component in BOOK}
    assert all(f"| `{rule}` |" in out for rule in REFUSALS)
    _, one, _ = ganray("recipes", "lecam", "--format", "md")
    assert one.startswith("## Penalties of the discriminator\n")
    assert one[one.index("### lecam") :] in out


def test_it_needs_no_torch():
    heavy = "{'torch', 'ray', 'pyarrow', 'scipy', 'numpy'}"
    code = f"import sys; from ganray.cli.main import command; command(['recipes', 'lecam'], standalone_mode=False); \
print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("component", BOOK, ids=lambda c: f"{c.place}-{c.name}")
def test_every_snippet_can_be_pasted_and_says_the_defaults(component):
    pasted = yaml.safe_load(snippet(component))
    assert {line for line in snippet(component).splitlines() if len(line) > 100} == set()
    data = {**PLAIN["data"], **pasted.get("data", {})}
    recipe = Recipe.model_validate({**PLAIN, **pasted, "data": data})
    node = recipe.model_dump(mode="json")
    for key in component.place.split(" and ")[0].split("."):
        node = node[key]
    (spec,) = [n for n in (node if isinstance(node, list) else [node]) if n["name"] == component.name]
    assert {f.name for f in component.fields} == spec.keys() - {"name"}
    bare = type(_spec(recipe, component)).model_validate({"name": component.name})
    assert _spec(recipe, component) == bare


def _spec(recipe, component):
    node = recipe
    for key in component.place.split(" and ")[0].split("."):
        node = getattr(node, key)
    return next(n for n in node if n.name == component.name) if isinstance(node, tuple) else node


def test_what_is_refused_with_what():
    assert refused("dcgan", "discriminator")["batch_norm", "norm: batch"] == ["dragan", "r1", "r2", "wgan_gp"]
    assert refused("wgan_gp")["batch_norm", ""] == [
        *(f"discriminator {name} (norm: batch)" for name in ("dcgan", "multi_scale_patch", "patch", "resnet", "unet")),
        "discriminator fastgan",
    ]
    assert refused("label_smoothing")["targets", ""] == ["lsgan (a: 1.0)", "lsgan (b: 2.0)", "soft_labels"]
    assert refused("lsgan")["targets", "a: 1.0"] == ["label_smoothing", "soft_labels"]
    assert refused("ada") == {("augmentations", ""): ["diffaugment"]}
    assert refused("replay") == {("replayed_labels", ""): ["acgan", "projection"]}
    assert refused("projected")["own_judge", ""] == ["evaluation: {protocols: [fd_lite0_1k_train]}"]
    assert refused("dcgan", "generator")["resolution", ""] == ["data.resolution: 512", "data.resolution: 1024"]
    assert refused("resnet", "generator")["hierarchy", "norm: none, hierarchical: true"] == []


def test_what_a_component_needs_is_no_fault_of_its_neighbours():
    assert refused("wasserstein")["lipschitz", ""] == []
    assert refused("content")["pairs", ""] == []
    assert refused("freeze_d")["freezing", ""][-1] == "discriminator projected"
    assert ("lipschitz", "") not in refused("dcgan", "discriminator")
    assert refused("lecam") == refused("ema") == refused("flips") == {}


def test_every_rule_is_met_by_some_component():
    met = {conflict.rule for component in BOOK for conflict in conflicts(component)}
    # One component listed twice, and a way to run, which is no component.
    assert met == REFUSALS.keys() - {"repeated", "micro_batches"}


def test_first_sentences_and_sources():
    assert first_sentence("R1 of it (sec. 3, eq. 2). Use it.") == "R1 of it (sec. 3, eq. 2)."
    assert first_sentence("Alone in D. G is not") == "Alone in D. G is not."
    assert first_sentence("One only.") == "One only."
    assert sources(named("resnet", "generator")) == ["1802.05957", "1805.08318", "1809.11096"]
    assert sources(named("flips")) == []
