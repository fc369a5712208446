"""The authors' checkpoints: imported networks give the outputs that the authors' code gave.

At 256 px the outputs come from `fastgan_reference`. At 512 and 1024 px there are none, so `Authors`, a plain
functional evaluation of a state dict in the authors' names, stands in; at 256 px it is held to the reference
itself.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ganray.errors import WeightsError
from ganray.models.import_fastgan import import_fastgan
from ganray.models.outputs import ImagePair
from ganray.models.registry import build_discriminator, build_generator

WIDTH, LATENT_DIM = 16, 32
# Trainable parameters at width 16, latent 32, beyond those at 256 px, by hand from the layers' shapes.
FEAT_512 = 8 * 8 * 9 + 8 * 4 * 9 + 2 * 16 + 2
SE_512 = 16 * 32 * 4 + 4 * 4
FEAT_1024 = 4 * 4 * 9 + 2 * 4
MORE_G = {256: 0, 512: FEAT_512 + SE_512 - 3 * 4 * 9, 1024: FEAT_512 + SE_512 + FEAT_1024 - 3 * 6 * 9}
MORE_D = {256: 0, 512: 3 * 4 * (16 - 9), 1024: 3 * 2 * 16 + 2 * 4 * 16 + 2 * 4 - 3 * 4 * 9}


@pytest.fixture(scope="module")
def reference(request):
    # Module scope, which conftest's fixture `shared_data` does not have.
    data = Path(os.environ.get("GANRAY_SHARED_DATA", request.config.rootpath.parent / "shared" / "data"))
    path = data / "fastgan_reference" / "fastgan_256_width16_latent32.npz"
    if not path.is_file():
        pytest.skip(f"no reference outputs at {path} (set GANRAY_SHARED_DATA)")
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def part(reference, prefix):
    return {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}


def add_conv(state, name, *shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(len(state)))
    u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    state |= {f"{name}.weight_orig": weight, f"{name}.weight_u": u[:, 0], f"{name}.weight_v": v[0]}


def add_norm(state, name, channels):
    rng = torch.Generator().manual_seed(len(state))
    for key in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.{key}"] = torch.rand(channels, generator=rng) + 0.5
    state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def authors_states(reference, resolution):
    """State dicts at width 16 as the authors' code names them; the layers above 256 px have random weights."""
    g, d = part(reference, "g/"), part(reference, "d/")
    if resolution >= 512:
        add_conv(g, "to_big", 3, 4 if resolution == 512 else 2, 3, 3)
        add_conv(g, "feat_512.1", 8, 8, 3, 3)
        g["feat_512.2.weight"] = torch.zeros(1)
        add_norm(g, "feat_512.3", 8)
        add_conv(g, "feat_512.5", 8, 4, 3, 3)
        g["feat_512.6.weight"] = torch.zeros(1)
        add_norm(g, "feat_512.7", 8)
        add_conv(g, "se_512.main.1", 4, 32, 4, 4)
        add_conv(g, "se_512.main.3", 4, 4, 1, 1)
    if resolution == 512:
        add_conv(d, "down_from_big.0", 4, 3, 4, 4)
    if resolution == 1024:
        add_conv(g, "feat_1024.1", 4, 4, 3, 3)
        add_norm(g, "feat_1024.2", 4)
        add_conv(d, "down_from_big.0", 2, 3, 4, 4)
        add_conv(d, "down_from_big.2", 4, 2, 4, 4)
        add_norm(d, "down_from_big.3", 4)
    return g, d


def trainable(state):
    buffers = ("weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked")
    return [value for name, value in state.items() if not name.endswith(buffers)]


def save(tmp_path, g, d, prefix="module."):
    content = {
        "g": {prefix + k: v for k, v in g.items()},
        "d": {prefix + k: v for k, v in d.items()},
        "g_ema": [value + 0.125 for value in trainable(g)],
        "opt_g": {"state": {}, "param_groups": []},
    }
    torch.save(content, tmp_path / "50000.pth")
    return tmp_path / "50000.pth"


class Authors:
    """Evaluation mode, noise weights zero, straight from the authors' names with torch's functions."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, stride=1, padding=0):
        weight, u, v = (self.state[f"{name}.weight_{k}"] for k in ("orig", "u", "v"))
        return F.conv2d(x, weight / (u @ weight.flatten(1) @ v), stride=stride, padding=padding)

    def norm(self, name, x):
        s = self.state
        mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, s[f"{name}.weight"], s[f"{name}.bias"])

    def gated(self, name, source, x):
        y = self.conv(f"{name}.main.1", F.adaptive_avg_pool2d(source, 4))
        return x * torch.sigmoid(self.conv(f"{name}.main.3", y * torch.sigmoid(y)))

    def up(self, name, x):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return F.glu(self.norm(name + ".2", self.conv(name + ".1", x, padding=1)), dim=1)

    def noisy_up(self, name, x):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        for i in (1, 5):
            x = F.glu(self.norm(f"{name}.{i + 2}", self.conv(f"{name}.{i}", x, padding=1)), dim=1)
        return x

    def generate(self, z, resolution):
        weight, u, v = (self.state[f"init.init.0.weight_{k}"] for k in ("orig", "u", "v"))
        sigma = u @ weight.transpose(0, 1).flatten(1) @ v
        x = self.norm("init.init.1", F.conv_transpose2d(z[:, :, None, None], weight / sigma))
        maps = {4: F.glu(x, dim=1)}
        for i, side in enumerate(s for s in (8, 16, 32, 64, 128, 256, 512, 1024) if s <= resolution):
            x = (self.up if i % 2 else self.noisy_up)(f"feat_{side}", maps[side // 2])
            maps[side] = self.gated(f"se_{side}", maps[side // 16], x) if side in (64, 128, 256, 512) else x
        pair = self.conv("to_big", maps[resolution], padding=1), self.conv("to_128", maps[128])
        return tuple(map(torch.tanh, pair)) if resolution == 1024 else pair

    def down(self, name, x):
        def leaky(y):
            return F.leaky_relu(y, 0.2)

        y = leaky(self.norm(f"{name}.main.1", self.conv(f"{name}.main.0", x, 2, 1)))
        y = leaky(self.norm(f"{name}.main.4", self.conv(f"{name}.main.3", y, 1, 1)))
        pooled = self.conv(f"{name}.direct.1", F.avg_pool2d(x, 2))
        return (y + leaky(self.norm(f"{name}.direct.2", pooled))) / 2

    def judge(self, full, small, resolution):
        """Logits in the authors' order: all of the full head, then all of the small one."""
        stride = 1 if resolution == 256 else 2
        x = F.leaky_relu(self.conv("down_from_big.0", full, stride, 1), 0.2)
        if resolution == 1024:
            x = F.leaky_relu(self.norm("down_from_big.3", self.conv("down_from_big.2", x, 2, 1)), 0.2)
        maps = {2: x}
        for k in (4, 8, 16, 32, 64):
            x = self.down(f"down_{k}", maps[k // 2])
            maps[k] = self.gated(f"se_{k // 8}_{k}", maps[k // 8], x) if k >= 16 else x
        x = F.leaky_relu(self.norm("rf_big.1", self.conv("rf_big.0", maps[64])), 0.2)
        y = F.leaky_relu(self.conv("down_from_small.0", small, 2, 1), 0.2)
        for i in (2, 3, 4):
            name = f"down_from_small.{i}.main"
            y = F.leaky_relu(self.norm(f"{name}.1", self.conv(f"{name}.0", y, 2, 1)), 0.2)
        return torch.cat([self.conv("rf_big.3", x).flatten(), self.conv("rf_small", y).flatten()])


def assert_close(found, expected):
    """To 1e-4 of the expected array's standard deviation."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.std()


def authors_order(logits):
    return torch.cat([logits[:, :25].flatten(), logits[:, 25:].flatten()])


def loaded(imported, ema=False):
    generator = build_generator(imported.generator_spec, imported.resolution)
    generator.load_state_dict(imported.ema_state if ema else imported.generator_state)
    discriminator = build_discriminator(imported.discriminator_spec, imported.resolution)
    discriminator.load_state_dict(imported.discriminator_state)
    return generator.eval(), discriminator.eval()


@pytest.fixture(scope="module")
def imported_256(reference, tmp_path_factory):
    path = save(tmp_path_factory.mktemp("authors"), *authors_states(reference, 256))
    return import_fastgan(path)


@pytest.fixture(scope="module")
def x_real(reference):
    x = reference["io/x_uint8"].float().repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    return x / 127.5 - 1


@torch.no_grad()
def test_generator_gives_the_authors_images(imported_256, reference):
    generator, _ = loaded(imported_256)
    pair = generator(reference["io/z"])
    assert_close(pair.full, reference["io/g_out_full"])
    assert_close(pair.small, reference["io/g_out_128"])


@torch.no_grad()
def test_discriminator_gives_the_authors_logits_for_fakes(imported_256, reference, x_real):
    _, discriminator = loaded(imported_256)
    small = F.interpolate(x_real, size=128, mode="nearest")
    output = discriminator(ImagePair(x_real, small))
    assert_close(authors_order(output.logits), reference["io/d_fake_logits"])


@torch.no_grad()
@pytest.mark.parametrize("quarter", range(4))
def test_discriminator_gives_the_authors_reconstructions(imported_256, reference, x_real, quarter):
    _, discriminator = loaded(imported_256)
    output = discriminator(ImagePair(x_real, None), quarter=quarter)
    assert_close(authors_order(output.logits), reference[f"io/d_real_logits_part{quarter}"])
    for name in ("full", "small", "quarter"):
        made = getattr(output.reconstructions, name)
        assert_close(made, reference[f"io/d_rec_{name}_part{quarter}"])


@torch.no_grad()
def test_the_stand_in_for_the_authors_code_gives_the_authors_outputs(reference, x_real):
    g, d = authors_states(reference, 256)
    full, small = Authors(g).generate(reference["io/z"], 256)
    assert_close(full, reference["io/g_out_full"])
    assert_close(small, reference["io/g_out_128"])
    logits = Authors(d).judge(x_real, F.interpolate(x_real, size=128), 256)
    assert_close(logits, reference["io/d_fake_logits"])


@torch.no_grad()
@pytest.mark.parametrize("resolution", [512, 1024])
def test_larger_checkpoints_give_what_the_authors_layers_give(reference, tmp_path, x_real, resolution):
    g, d = authors_states(reference, resolution)
    imported = import_fastgan(save(tmp_path, g, d))
    assert imported.resolution == resolution
    generator, discriminator = loaded(imported)
    z = reference["io/z"]
    pair = generator(z)
    for found, expected in zip(pair, Authors(g).generate(z, resolution)):
        assert_close(found, expected)
    x = F.interpolate(x_real, size=resolution, mode="bilinear")
    small = F.interpolate(x, size=128)
    output = discriminator(ImagePair(x, small))
    assert_close(authors_order(output.logits), Authors(d).judge(x, small, resolution))


@pytest.mark.parametrize(("resolution", "prefix"), [(256, ""), (256, "module."), (512, "module."), (1024, "module.")])
def test_specs_counts_and_averages(reference, tmp_path, resolution, prefix):
    g, d = authors_states(reference, resolution)
    imported = import_fastgan(save(tmp_path, g, d, prefix))
    spec = imported.generator_spec
    assert (spec.width, spec.latent_dim, spec.skip) == (WIDTH, LATENT_DIM, True)
    assert spec.output == ("tanh" if resolution == 1024 else "linear")
    assert imported.discriminator_spec.width == WIDTH
    assert imported.discriminator_spec.decode is not None
    generator, discriminator = loaded(imported)
    base_g = sum(v.numel() for v in trainable(part(reference, "g/")))
    base_d = sum(v.numel() for v in trainable(part(reference, "d/")))
    assert sum(p.numel() for p in generator.parameters()) == base_g + MORE_G[resolution]
    assert sum(p.numel() for p in discriminator.parameters()) == base_d + MORE_D[resolution]
    averaged, _ = loaded(imported, ema=True)
    for raw, average in zip(generator.parameters(), averaged.parameters()):
        assert torch.equal(raw + 0.125, average)
    for raw, average in zip(generator.buffers(), averaged.buffers()):
        assert torch.equal(raw, average)


def test_a_checkpoint_of_the_generator_alone(reference, tmp_path):
    g, _ = authors_states(reference, 256)
    torch.save({"g": g}, tmp_path / "g.pth")
    imported = import_fastgan(tmp_path / "g.pth")
    assert imported.discriminator_spec is imported.discriminator_state is imported.ema_state is None


def damaged_shape(content):
    content["g"]["feat_64.2.bias"] = torch.zeros(3)


def damaged_missing(content):
    del content["d"]["rf_big.3.weight_orig"]


def damaged_average(content):
    content["g_ema"].pop()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_shape, r"of another shape.*blocks\.64\.2\.bias \(3,\) instead of \(64,\)"),
        (damaged_missing, r"`d`.*missing.*head_full\.3"),
        (damaged_average, r"`g_ema` is a list of \d+ that does not fit"),
        (lambda content: content.update(g=[1, 2]), "`g` is a list, not a state dict"),
        (lambda content: content["g"].pop("to_128.weight_orig"), "`g` has no to_128.weight_orig"),
        (lambda content: content["g"].update({"to_128.weight_orig": torch.zeros(3)}), r"found \(3,\)"),
        (lambda content: content["g"].update({"to_128.weight_orig": torch.zeros(3, 2, 1, 1)}), "a size that"),
    ],
)
def test_wrong_content_is_named(reference, tmp_path, damage, message):
    g, d = authors_states(reference, 256)
    content = {"g": g, "d": d, "g_ema": trainable(g)}
    damage(content)
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=message):
        import_fastgan(tmp_path / "bad.pth")


class Executed:
    """What a pickle could do if it were trusted."""

    def __reduce__(self):
        return (eval, ("1/0",))


def test_other_files_are_named(tmp_path):
    torch.save({"model": {}}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    (tmp_path / "empty.pth").touch()
    torch.save({"g": Executed()}, tmp_path / "unsafe.pth")
    for name, message in (
        ("other.pth", r"expected a dict with `g`.*found keys \['model'\]"),
        ("text.pth", "not a checkpoint"),
        ("empty.pth", "not a checkpoint"),
        ("unsafe.pth", "not a checkpoint"),
        ("absent.pth", "is not there"),
    ):
        with pytest.raises(WeightsError, match=message):
            import_fastgan(tmp_path / name)
