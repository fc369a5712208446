"""What the networks minimise besides the adversarial loss; only what the recipe asks for, in full precision."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.objectives.classification import classification_loss
from ganray.objectives.generator_losses import Generated
from ganray.objectives.penalties import Judged
from ganray.objectives.reconstruction import Distance, reconstruction_loss
from ganray.recipe.objective import AuxiliaryClassifier
from ganray.training.distributed import global_mean
from ganray.training.inputs import Batch
from ganray.training.pretrain import rebuild
from ganray.training.sampling import chance
from ganray.training.state import TrainState

Stats = dict[str, Tensor]
"""Scalars of one step, on the device: reading them waits for it, so the loop reads them rarely."""


def discriminator_parts(
    state: TrainState,
    distance: Distance | None,
    batch: Batch,
    judged: Judged,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
) -> Stats:
    """What D minimises besides the adversarial loss, by name."""
    parts = {
        "reconstruction": reconstruction(state, distance, judged.x_real, real),
        "penalty": penalties(state, judged),
        "self_supervision": further_tasks(state, judged),
        "classification": classification(state, batch.labels, real, fake),
    }
    return {name: part for name, part in parts.items() if part is not None}


def reconstruction(
    state: TrainState, distance: Distance | None, x_real: Tensor, real: DiscriminatorOutput
) -> Tensor | None:
    """How far D's decoders are from what they rebuild, times its weight."""
    decode = getattr(state.recipe.discriminator, "decode", None)
    if distance is None or decode is None or real.reconstructions is None:
        return None
    full, small, rebuilt_quarter, index = real.reconstructions
    weight: float = decode.weight
    return weight * reconstruction_loss(x_real, full, small, rebuilt_quarter, index, distance)


def penalties(state: TrainState, judged: Judged) -> Tensor | None:
    """The penalties that are due at this step, on D's logits and gradients and on its weights."""
    drawn = chance(state.recipe.seed, state.step)
    due = [
        penalty(judged)
        for penalty in state.extras.penalties
        if state.step % penalty.every == 0 and drawn < penalty.probability(state.progress)
    ]
    due += [penalty(state.discriminator) for penalty in state.extras.weights_d if penalty.adds_loss]
    return total(due)


def further_tasks(state: TrainState, judged: Judged) -> Tensor | None:
    """D's self-supervision."""
    look, x_real, x_fake = pooled_features(state), judged.clean_real, judged.clean_fake
    return total([task.discriminator(look, x_real, x_fake) for task in state.extras.self_supervision])


def classification(state: TrainState, labels: Tensor | None, *outputs: DiscriminatorOutput) -> Tensor | None:
    """How badly D names the classes of the images, times its weight (AC-GAN)."""
    conditioning = state.recipe.objective.conditioning
    if not isinstance(conditioning, AuxiliaryClassifier) or labels is None:
        return None
    losses = [classification_loss(output.classes, labels) for output in outputs if output.classes is not None]
    return conditioning.weight * torch.stack(losses).sum()


def generator_parts(
    state: TrainState,
    code: Callable[[Tensor], Tensor] | None,
    batch: Batch,
    x_fake: Tensor,
    judged: DiscriminatorOutput,
    judged_real: DiscriminatorOutput | None,
) -> Stats:
    """What G minimises besides the adversarial loss, as one number."""
    terms = [penalty(state.generator) for penalty in state.extras.weights_g if penalty.adds_loss]
    if code is not None and judged.code is not None:
        terms.append(code(judged.code))
    look = pooled_features(state)
    maybe = [classification(state, batch.labels, judged)]
    maybe += [task.generator(look, x_fake.float()) for task in state.extras.self_supervision]
    terms += [term for term in maybe if term is not None]
    turn = turns_before(state)
    due = [loss for loss in state.extras.generator_losses if turn % loss.every == 0]
    if due:
        generated = Generated(
            generate=lambda z: state.generator(z, batch.labels).full,
            z=batch.z,
            x_fake=x_fake.float(),
            x_real=batch.x_real,
            features_fake=judged.features,
            features_real=judged_real.features if judged_real else None,
            batch_mean=global_mean,
            labelled=batch.labels is not None,
            pair=(rebuild(state, batch).float(), batch.x_unflipped) if any(loss.needs_pair for loss in due) else None,
        )
        terms += [loss(generated) for loss in due]
    part = total(terms)
    return {} if part is None else {"auxiliary_g": part}


def turns_before(state: TrainState) -> int:
    """Turns of G before this one, by which its lazy losses are counted: `discriminator_steps` leaves out steps.

    By the trial's steps they would never meet: G's turns are at 1, 3, 5, ... under n = 2, and those due at 0, 4, 8.
    """
    several = state.recipe.trick("discriminator_steps")
    return state.step // several.n if several else state.step


def total(terms: list[Tensor]) -> Tensor | None:
    """Their sum; None of nothing."""
    return torch.stack(terms).sum() if terms else None


def judge_plainly(state: TrainState, labels: Tensor | None) -> Callable[[Tensor], DiscriminatorOutput]:
    """D for penalties: never compiled (torch.compile has no double backward), in full precision."""

    def judge(x: Tensor) -> DiscriminatorOutput:
        output: DiscriminatorOutput = state.discriminator(ImagePair(x, None), labels=labels)
        return output

    return judge


def pooled_features(state: TrainState) -> Callable[[Tensor], Tensor]:
    """D's pooled features of any number of images, without labels: auxiliary tasks turn and multiply them."""
    network = getattr(state.discriminator, "unlabelled", state.discriminator)

    def look(x: Tensor) -> Tensor:
        pooled: Tensor = network(ImagePair(x, None)).pooled
        return pooled

    return look
