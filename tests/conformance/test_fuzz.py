"""Random recipes from the whole space train for two steps: none may crash, hang, or turn non-finite unexplained."""

import os

import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ganray.recipe.discriminators import Discriminator
from ganray.recipe.generators import Generator
from ganray.recipe.objective import Adversarial, Conditioning, SelfSupervision
from ganray.recipe.optimizers import Optimizer, Schedule
from ganray.recipe.penalties import GeneratorLoss, Penalty, WeightPenalty
from ganray.recipe.tricks import Trick
from ganray.training.health import Unhealthy, check_finite
from tests.conformance.games import allowed, play
from tests.conformance.strategies import one_of, some_of

ELSEWHERE = ("freeze_d",)  # needs an earlier checkpoint
CASES = int(os.environ.get("GANRAY_FUZZ_CASES", "24"))
"""Each takes seconds; GANRAY_FUZZ_CASES=300 looks deeper."""

OBJECTIVES = st.fixed_dictionaries(
    {"loss": one_of(Adversarial)},
    optional={
        "penalties": some_of(Penalty, 2),
        "generator_losses": some_of(GeneratorLoss, 2),
        "weight_penalties": some_of(WeightPenalty, 2),
        "self_supervision": some_of(SelfSupervision, 1),
        "conditioning": one_of(Conditioning),
    },
)
RECIPES = st.fixed_dictionaries(
    {
        "data": st.builds(
            lambda resolution, labels: {"source": "synthetic", "resolution": resolution, "labels": labels},
            st.sampled_from([32, 64]),
            st.sampled_from(["none", "none", "folders"]),
        ),
        "generator": one_of(Generator),
        "discriminator": one_of(Discriminator),
        "objective": OBJECTIVES,
        "tricks": some_of(Trick, 4, ELSEWHERE),
        "optimizers": st.fixed_dictionaries(
            {},
            optional={"generator": one_of(Optimizer), "discriminator": one_of(Optimizer), "schedule": one_of(Schedule)},
        ),
        "budget": st.just({"kimg": 0.1, "batch_size": 4}),
        "evaluation": st.just({"protocols": ["fid_768_1k_train"]}),
        "runtime": st.sampled_from([{}, {"precision": "bf16"}, {"channels_last": True}]),
    }
)


def simplify(tree):
    """Less and less random, until networks and loss go together."""
    yield tree
    tree["data"]["resolution"] = 64
    yield tree
    for network in ("generator", "discriminator"):
        tree[network].pop("attention", None)
        yield tree
    tree["objective"]["loss"] = {"name": "rpgan"}  # at home with every discriminator
    yield tree


def make_sense(tree):
    """Drop what is refused, one part after the other: a random recipe of many parts hardly ever makes sense whole."""
    if "conditioning" not in tree["objective"]:
        tree["data"]["labels"] = "none"
    elif tree["data"]["labels"] == "none":
        del tree["objective"]["conditioning"]
    lists = ("penalties", "generator_losses", "weight_penalties", "self_supervision")
    further = {part: tree["objective"].pop(part, []) for part in lists}
    tricks, tree["tricks"] = tree["tricks"], []
    if not any(allowed(simpler) for simpler in simplify(tree)):
        return None
    for trick in tricks:
        if allowed({**tree, "tricks": [*tree["tricks"], trick]}):
            tree["tricks"].append(trick)
    for part, elements in further.items():
        for element in elements:
            more = {**tree["objective"], part: [*tree["objective"].get(part, []), element]}
            if allowed({**tree, "objective": more}):
                tree["objective"] = more
    return allowed(tree)


@settings(max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(RECIPES)
def test_a_random_recipe_trains_for_two_steps(tree):
    recipe = make_sense(tree)
    event("trained" if recipe else "refused")
    if recipe is None:
        return
    torch.manual_seed(0)
    _, stats = play(recipe, 2)
    for step in stats:
        try:
            check_finite({name: float(value) for name, value in step.items()}, 0.0)
        except Unhealthy as error:
            assert "non-finite" in str(error)  # noqa: PT017  an explained end is allowed, a crash is not
            event("diverged")
