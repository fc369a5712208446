"""Files that others sent run no code and reach no other folder."""

import fsspec
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ganray.errors import RecipeError, StoreError, WeightsError
from ganray.recipe.experiment import load_experiment
from ganray.recipe.layers import parse_override
from ganray.recipe.settings import Settings
from ganray.recipe.source import read_yaml
from ganray.store.prune import Rule, removable
from ganray.store.read import partition, safe
from ganray.store.schema import now
from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from ganray.training.export import open_generator

TAGS = [
    "!!python/object/apply:os.system ['touch {flag}']",
    "!!python/object/apply:subprocess.check_output [['touch', '{flag}']]",
    "!!python/object/new:os.system ['touch {flag}']",
    "!!python/object/apply:builtins.eval ['open({flag!r}, \"w\")']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:ganray.errors.GanrayError {{}}",
    "!!python/tuple [1, 2]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {flag}']",
    "!anything {{a: 1}}",
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("where", ["name: {}", "data: {{source: {}}}", "tricks: [{}]", "? {}\n: 1", "search: {}"])
def test_no_tag_of_an_experiment_file_runs_anything(tmp_path, tag, where):
    flag, file = tmp_path / "flag", tmp_path / "hostile.yaml"
    file.write_text(where.format(tag.format(flag=str(flag))))
    with pytest.raises(RecipeError, match=r"hostile\.yaml"):
        load_experiment(file)
    with pytest.raises(RecipeError):
        parse_override(f"data.source={tag.format(flag=str(flag))}")
    assert not flag.exists()


@given(st.from_regex(r"!{1,2}<?[a-z:/.,0-9]{1,30}>?", fullmatch=True), st.sampled_from(["x", "[x]", "{x: y}"]))
def test_of_any_tag_come_plain_values_or_an_error(tmp_path_factory, tag, value):
    file = tmp_path_factory.getbasetemp() / "tagged.yaml"
    file.write_text(f"a: {tag} {value}")
    try:
        tree = read_yaml(file).tree
    except RecipeError:
        return
    assert yaml.safe_dump(tree)  # which represents plain values alone


LAUGHS = ", ".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))])


@pytest.mark.parametrize("where", ["{}", "data: {{source: {}}}", "tricks: [{}]", "name: {}", "seed: {{choice: [{}]}}"])
@pytest.mark.parametrize("value", [f"{{{LAUGHS}}}", "{a: &a {b: *a}}", "{a: &a [*a]}"])
def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path, where, value):
    """A billion laughs: each name stands nine times for the one before; and names that stand for themselves."""
    (tmp_path / "laughs.yaml").write_text(where.format(value))
    with pytest.raises(RecipeError, match=r"laughs\.yaml:1: .*stand for more than 100,000 values"):
        load_experiment(tmp_path / "laughs.yaml")


def test_ordinary_aliases_are_welcome(tmp_path):
    (tmp_path / "fine.yaml").write_text("a: &a {lr: 1}\nb: *a\nc: {<<: *a, d: 2}\n")
    assert read_yaml(tmp_path / "fine.yaml").tree == {"a": {"lr": 1}, "b": {"lr": 1}, "c": {"lr": 1, "d": 2}}


class Flag:
    """What unpickling it would do shows."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("read", [read_checkpoint, lambda path: open_generator(path, torch.device("cpu"))])
def test_a_checkpoint_runs_nothing(tmp_path, read):
    flag, path = tmp_path / "flag", tmp_path / "checkpoint.pt"
    torch.save({"format": "ganray-checkpoint", "version": 1, "recipe": Flag(flag)}, path)
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        read(path)
    assert not flag.exists()
    torch.load(path, weights_only=False)
    assert flag.exists()  # so the file was a trap


ESCAPES = [
    "../x",
    "..",
    "/etc/x",
    "a/b",
    "a\\..\\b",
    ".hidden",
    "a\0b",
    "",
    "a b",
    "~root",
    "-rf",
    "s3://x",
    "a\nb",
    "é/",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_an_experiment_cannot_be_called_so(name):
    with pytest.raises(ValueError, match="name"):
        Settings(name=name)


@given(st.text(max_size=30))
def test_an_experiments_name_is_a_file_name(name):
    try:
        Settings(name=name)
    except ValueError:
        return
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\\0\n:%")
    assert not name.startswith((".", "-"))


@given(st.text(max_size=60))
def test_a_name_in_a_row_stays_one_file_in_its_folder(name):
    try:
        encoded, folder = safe(name), partition(name)
    except StoreError:
        return
    for text in (encoded, folder):
        assert not set(text) & set("/\\\0\n:?#")
        assert not text.startswith(".")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/../../b", ".x"])
def test_artifacts_stay_below_their_store(tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    store = Store(tmp_path / "store")
    for experiment, trial, file in [(name, "t1", "grid.png"), ("e", name, "grid.png"), ("e", "t1", name)]:
        uri = store.put_artifact(experiment, trial, file, b"picture")
        assert (tmp_path / "store" / "artifacts").resolve() in [*tmp_path.joinpath(uri).resolve().parents]
        assert store.read_artifact(uri) == b"picture"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "store"]


@pytest.mark.parametrize(
    "uri",
    [
        "{root}/secret",
        "file://{root}/secret",
        "{root}/store/artifacts/experiment=e/../../../secret",
        "{root}/store/artifacts/experiment=e/t1/../../../../secret",
        "memory://secret",
        "zip://artifacts/experiment=e/t1/secret::{root}/secret.zip",
    ],
)
def test_a_row_names_no_file_beyond_artifacts(tmp_path, uri):
    (tmp_path / "secret").write_text("secret")
    fsspec.filesystem("memory").pipe_file("/secret", b"secret")
    store = Store(tmp_path / "store")
    store.put_artifact("e", "t1", "grid.png", b"picture")
    with pytest.raises(StoreError):
        store.read_artifact(uri.format(root=tmp_path))


@pytest.mark.parametrize(
    ("trial_id", "path"),
    [
        (".ssh", ".ssh/id_rsa"),
        (".ssh", "trials/.ssh/id_rsa"),
        ("notes", "notes/checkpoint.pt"),
        ("x", "trials/x/../../.ssh/trials/x/checkpoint.pt"),
    ],
)
def test_a_row_has_no_file_of_this_machine_removed(tmp_path, trial, trial_id, path):
    precious = tmp_path / "home" / path
    (tmp_path / "home" / "trials" / "x").mkdir(parents=True)
    precious.parent.mkdir(parents=True, exist_ok=True)
    precious.write_text("precious")
    store = Store(tmp_path / "store")
    store.put_trial(trial(trial_id, status="completed", checkpoint_uri=str(precious)))
    assert removable(store, Rule(keep_checkpoints=0)) == []
    # Where a trial's own checkpoint lies, it goes.
    own = tmp_path / "runs" / "e" / "trials" / trial_id / "checkpoint.pt"
    own.parent.mkdir(parents=True)
    own.write_text("checkpoint")
    store.put_trial(trial(trial_id, status="completed", checkpoint_uri=str(own), updated_at=now()))
    assert [item.uri for item in removable(store, Rule(keep_checkpoints=0))] == [str(own)]


def test_a_file_nested_without_end(tmp_path):
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 100_000)
    with pytest.raises(RecipeError, match=r"deep\.yaml: not valid YAML"):
        load_experiment(tmp_path / "deep.yaml")
