"""Labels for any generator and any discriminator: wrappers that leave the wrapped network as it is."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe.objective import Conditioning


class LabelledGenerator(nn.Module):
    """`(z [N, latent_dim], labels int64 [N]) -> ImagePair`: the wrapped generator of z plus the label's embedding.

    Embeddings start as N(0, 1), so that classes begin as far apart as latents. The wrapped generator gets the
    labels too: one with conditional batch norm has a use for them. Raises ValueError without labels.
    """

    def __init__(self, generator: nn.Module, n_classes: int) -> None:
        super().__init__()
        self.latent_dim: int = generator.latent_dim  # type: ignore[assignment]
        self.unlabelled = generator
        self.embedding = nn.Embedding(n_classes, self.latent_dim)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> ImagePair:
        if labels is None:
            raise ValueError("this generator makes images of classes: give labels, int64 [N]")
        made: ImagePair = self.unlabelled(z + self.embedding(labels), labels)
        return made


class LabelledDiscriminator(nn.Module):
    """`(ImagePair, labels int64 [N]) -> DiscriminatorOutput` of the wrapped discriminator, its `features` unchanged.

    `projection` adds <embedding of the label, pooled features> to every logit (arXiv 1802.05637, eq. 3); the
    embedding is divided by its largest singular value where the wrapped network's weights are, as in the paper.
    Raises ValueError without labels. `acgan` fills `classes` by a linear layer on the pooled features (arXiv
    1610.09585, section 3) and needs no labels.
    """

    def __init__(self, discriminator: nn.Module, n_classes: int, conditioning: Conditioning, resolution: int) -> None:
        super().__init__()
        n_features = feature_channels(discriminator, resolution)
        self.unlabelled = discriminator
        self.embedding = _embedding(n_classes, n_features, discriminator) if conditioning.name == "projection" else None
        self.classifier = nn.Linear(n_features, n_classes) if conditioning.name == "acgan" else None

    def stages_from_image(self) -> list[nn.Module]:
        """The wrapped network's stages, in the order in which the image passes through them."""
        stages: list[nn.Module] = self.unlabelled.stages_from_image()  # type: ignore[operator]
        return stages

    def forward(
        self, images: ImagePair, *, labels: Tensor | None = None, quarter: int | None = None
    ) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.unlabelled(images, quarter=quarter)
        if self.classifier is not None:
            return replace(output, classes=self.classifier(output.pooled))
        if self.embedding is None:
            return output
        if labels is None:
            raise ValueError("this discriminator judges images of classes: give labels, int64 [N]")
        return _projected(output, (self.embedding(labels) * output.pooled).sum(dim=1))


def feature_channels(discriminator: nn.Module, resolution: int) -> int:
    """Channels C of the discriminator's pooled features [N, C], found by judging two grey images of that side.

    Leaves parameters, buffers, modes and RNGs as they are.
    """
    network = discriminator.unlabelled if isinstance(discriminator, LabelledDiscriminator) else discriminator
    device = next(network.parameters()).device
    # In evaluation mode: no statistics of batch norm and no power iteration move.
    with _evaluating(network), torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        output: DiscriminatorOutput = network(ImagePair(torch.zeros(2, 3, resolution, resolution, device=device)))
        return output.pooled.shape[1]


def _projected(output: DiscriminatorOutput, projection: Tensor) -> DiscriminatorOutput:
    """`projection` [N] added to every logit; the pixels stay the head that they are."""

    def added(head: Tensor) -> Tensor:
        return head + projection.view(-1, *[1] * (head.ndim - 1))

    return replace(
        output,
        heads=tuple(added(head) for head in output.heads),
        pixels=None if output.pixels is None else added(output.pixels),
    )


def _embedding(n_classes: int, n_features: int, discriminator: nn.Module) -> nn.Module:
    embedding = nn.Embedding(n_classes, n_features)
    # Rows of length about 1 and not sqrt(n_features), or the class would outweigh the image from the start.
    nn.init.xavier_uniform_(embedding.weight)
    if any(parametrize.is_parametrized(module) for module in discriminator.modules()):
        return parametrizations.spectral_norm(embedding)
    return embedding


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode; then each module's own mode again, as a frozen part may have another than the rest."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
