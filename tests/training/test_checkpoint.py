"""Checkpoints are there whole or not at all, and say what is wrong with a file that cannot be used."""

import os
import subprocess

import pytest
import torch

from ganray.errors import WeightsError
from ganray.recipe.recipe import Recipe
from ganray.training import checkpoint as checkpoint_
from ganray.training.checkpoint import (
    DamagedCheckpoint,
    is_intact,
    load_generator,
    previous_of,
    read_checkpoint,
    restore_checkpoint,
    save_checkpoint,
    settle,
)
from ganray.training.distributed import World


@pytest.fixture
def saved(dcgan, begin, tmp_path):
    """A state after two steps, and its checkpoint."""
    state, _, train = begin(dcgan(tricks=[{"name": "ema", "decay": 0.5}]))
    train(2)
    path = tmp_path / "trial" / "checkpoint.pt"
    save_checkpoint(state, path)
    return state, path


def files(path):
    return sorted(p.name for p in path.parent.iterdir())


@pytest.mark.parametrize("place", ["save", "replace"])
def test_a_crash_while_writing_leaves_the_old_one(saved, begin, monkeypatch, place):
    state, path = saved
    before = path.read_bytes()

    def crash(*args, **kwargs):
        if place == "save":
            args[1].write(b"half a file")
        raise KeyboardInterrupt  # what no handler of ours swallows

    monkeypatch.setattr(*((torch, "save", crash) if place == "save" else (os, "replace", crash)))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(state, path)
    assert path.read_bytes() == before
    assert files(path) == ["checkpoint.pt"]


def test_what_a_killed_process_left_is_removed(saved):
    _, path = saved
    for name in (path.name, previous_of(path).name):
        (path.parent / f".{name}.4711.tmp").write_bytes(b"half a file")
    checkpoint_.remove_leftovers(path)
    assert files(path) == ["checkpoint.pt"]


def test_a_full_disk_is_named_and_keeps_the_old_one(saved, tmp_path):
    state, path = saved
    disk = tmp_path / "disk"
    disk.mkdir()
    size = int(path.stat().st_size * 1.5)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NOT TESTED: disk full needs root and the right to mount a tmpfs")
    try:
        target = disk / "checkpoint.pt"
        save_checkpoint(state, target)
        before = target.read_bytes()
        with pytest.raises(WeightsError, match=r"checkpoint\.pt cannot be written: No space left on device; free some"):
            save_checkpoint(state, target)
        assert target.read_bytes() == before
        assert files(target) == ["checkpoint.pt"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_in_the_way_is_named(saved, tmp_path):
    state, _ = saved
    (tmp_path / "file").write_text("I am a file")
    with pytest.raises(WeightsError, match=r"file/checkpoint\.pt cannot be written: (Not a directory|File exists)"):
        save_checkpoint(state, tmp_path / "file" / "checkpoint.pt")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "zeros", "png", "flipped", "hole"])
def test_a_damaged_file_is_named(saved, damage):
    state, path = saved
    whole = path.read_bytes()
    contents = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello, I am no checkpoint\n",
        "zeros": bytes(1000),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "flipped": flipped(whole, len(whole) // 2),
        "hole": whole[:8192] + bytes(4096) + whole[12288:],  # what a power cut leaves of blocks that were not written
    }
    path.write_bytes(contents[damage])
    with pytest.raises(DamagedCheckpoint, match=r"checkpoint\.pt: damaged or no checkpoint: .") as caught:
        restore_checkpoint(state, path)
    assert "\n" not in str(caught.value)
    assert not is_intact(path)


def flipped(content, place):
    """The content with one bit changed."""
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def test_a_flipped_bit_is_noticed_wherever_it_matters(saved):
    _, path = saved
    whole, before = path.read_bytes(), read_checkpoint(path)
    noticed = 0
    for place in range(3, len(whole), len(whole) // 150):
        path.write_bytes(flipped(whole, place))
        if is_intact(path):  # padding, dates: nothing that anybody reads
            assert_equal(read_checkpoint(path), before)
        else:
            noticed += 1
    assert noticed > 100


def assert_equal(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
    if isinstance(a, dict | list | tuple):
        assert len(a) == len(b)
        for x, y in zip(*((a.values(), b.values()) if isinstance(a, dict) else (a, b))):
            assert_equal(x, y)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_too_little_memory_is_no_damage(saved, monkeypatch):
    state, path = saved
    load = torch.load

    def all_of_it(path, mmap=False, **options):
        if not mmap:
            raise RuntimeError("not enough memory")
        return load(path, mmap=mmap, **options)

    monkeypatch.setattr(torch, "load", all_of_it)
    with pytest.raises(WeightsError, match="not enough memory") as caught:
        restore_checkpoint(state, path)
    assert not isinstance(caught.value, DamagedCheckpoint)


@pytest.fixture
def two(saved, begin):
    """The newest checkpoint, of four steps, and the one before it, of two."""
    state, path = saved
    older = path.read_bytes()
    begin_, _, train = begin(state.recipe)
    restore_checkpoint(begin_, path)
    train(2)
    save_checkpoint(begin_, path)
    assert files(path) == ["checkpoint-previous.pt", "checkpoint.pt"]
    assert previous_of(path).read_bytes() == older
    return path


def steps(path):
    return read_checkpoint(path)["step"]


def test_the_checkpoint_before_the_newest_is_kept(two, begin):
    assert (steps(two), steps(previous_of(two))) == (4, 2)
    assert settle(two) == []
    assert (steps(two), steps(previous_of(two))) == (4, 2)


def test_a_damaged_newest_one_is_kept_aside_and_the_one_before_it_is_gone_on_from(two, begin, caplog):
    newest = flipped(two.read_bytes(), 20_000)
    two.write_bytes(newest)
    aside = two.with_name("checkpoint.damaged")
    assert settle(two) == [aside]
    assert aside.read_bytes() == newest
    assert (steps(two), steps(previous_of(two))) == (2, 2)
    assert f"{two} is damaged; it is kept as checkpoint.damaged" in caplog.text
    assert f"going on from {previous_of(two)}" in caplog.text
    state, _, train = begin(Recipe.model_validate(read_checkpoint(two)["recipe"]))
    restore_checkpoint(state, two)
    save_checkpoint(state, two)  # both names are one file here
    train(1)
    save_checkpoint(state, two)
    assert (steps(two), steps(previous_of(two))) == (3, 2)
    assert files(two) == ["checkpoint-previous.pt", "checkpoint.damaged", "checkpoint.pt"]


def test_a_damaged_older_one_does_no_harm(two):
    previous_of(two).write_bytes(b"half a file")
    assert settle(two) == [two.with_name("checkpoint-previous.damaged")]
    assert steps(two) == 4


def test_where_both_are_damaged_both_are_kept_aside(two):
    for path in (two, previous_of(two)):
        path.write_bytes(b"half a file")
    assert len(settle(two)) == 2
    assert files(two) == ["checkpoint-previous.damaged", "checkpoint.damaged"]


def test_a_newest_one_that_is_missing_is_replaced_by_the_one_before_it(two):
    two.unlink()
    assert settle(two) == []
    assert steps(two) == 2


def test_without_hard_links_the_names_are_moved(two, begin, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    state, _, train = begin(Recipe.model_validate(read_checkpoint(two)["recipe"]))
    restore_checkpoint(state, two)
    train(1)
    save_checkpoint(state, two)
    assert (steps(two), steps(previous_of(two))) == (5, 4)
    two.write_bytes(b"half a file")
    settle(two)
    assert steps(two) == 4
    assert files(two) == ["checkpoint.damaged", "checkpoint.pt"]


def test_files_that_are_none_of_ours_are_named(saved, tmp_path):
    state, path = saved
    with pytest.raises(WeightsError, match=r"absent\.pt: no such checkpoint"):
        read_checkpoint(tmp_path / "absent.pt")
    torch.save({"g": {}, "d": {}}, path)
    with pytest.raises(WeightsError, match="is no GANRay checkpoint; the FastGAN authors' files are converted by"):
        restore_checkpoint(state, path)


def rewritten(path, **changes):
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


def test_a_newer_version_is_named(saved):
    state, path = saved
    rewritten(path, version=99)
    with pytest.raises(WeightsError, match="has version 99, this GANRay reads up to 1; upgrade it"):
        restore_checkpoint(state, path)


def test_another_recipes_checkpoint_is_refused(saved, dcgan, begin):
    state, path = saved
    other, _, _ = begin(dcgan(seed=1))
    with pytest.raises(WeightsError, match="was written by another recipe") as caught:
        restore_checkpoint(other, path)
    assert state.recipe.hash[:12] in str(caught.value)
    assert other.recipe.hash[:12] in str(caught.value)


def test_a_recipe_of_another_time_is_named(saved):
    state, path = saved
    recipe = state.recipe.model_dump(mode="json")
    rewritten(path, recipe={**recipe, "generator": {"name": "stylegan9"}})
    with pytest.raises(WeightsError, match="holds a recipe that this GANRay does not know"):
        load_generator(path, torch.device("cpu"))


def test_an_import_holds_weights_only(saved):
    state, path = saved
    rewritten(path, optimizer_g=None, optimizer_d=None)
    with pytest.raises(WeightsError, match="holds weights only"):
        restore_checkpoint(state, path)
    assert load_generator(path, torch.device("cpu")).kimg == 0.008


def test_the_sampling_generator_is_the_ema(saved):
    state, path = saved
    loaded = load_generator(path, torch.device("cpu"))
    assert (loaded.recipe.hash, loaded.kimg, loaded.generator.training) == (state.recipe.hash, 0.008, False)
    ema, raw = state.ema.module.state_dict(), state.generator.state_dict()
    assert all(torch.equal(value, ema[name]) for name, value in loaded.generator.state_dict().items())
    assert any(not torch.equal(value, raw[name]) for name, value in loaded.generator.state_dict().items())


def test_another_number_of_workers_goes_on_with_fresh_random_numbers(saved, begin):
    state, path = saved
    rngs = read_checkpoint(path)["rngs"]
    rewritten(path, rngs=rngs * 2)  # as two workers write it
    other, _, train = begin(state.recipe)
    seeded = torch.get_rng_state()
    restore_checkpoint(other, path)
    assert torch.equal(torch.get_rng_state(), seeded)
    assert (other.step, other.sampler.position) == (2, 8)
    assert all(torch.equal(a, b) for a, b in zip(state.generator.parameters(), other.generator.parameters()))
    train(1)


def test_each_worker_saves_its_random_numbers(saved):
    _, path = saved
    assert len(read_checkpoint(path)["rngs"]) == World().size == 1
