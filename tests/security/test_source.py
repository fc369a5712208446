"""What GANRay's own code may not do, read from its source: no pickle of others, no code from files or strings."""

import ast
from pathlib import Path

import pytest

import ganray

ROOT = Path(ganray.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
CODE = {"eval", "exec", "compile", "__import__", "execfile"}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def calls(tree):
    """Each call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call, name):
    """The source of a keyword argument; None where it is not given."""
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def faults(source):
    """What is wrong in a file's source, a line each."""
    for name, call in calls(ast.parse(source)):
        module, _, function = name.rpartition(".")
        if name in CODE or name in SHELLS:
            yield f"{call.lineno}: {name}"
        elif name == "torch.load" and keyword(call, "weights_only") != "True":
            yield f"{call.lineno}: torch.load without weights_only=True"
        elif name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") not in (None, "False"):
            yield f"{call.lineno}: {name} with allow_pickle"
        elif (function in ("load", "loads", "Unpickler") and module.split(".")[-1] in UNPICKLERS) or function in (
            "read_pickle",
            "to_pickle",
        ):
            yield f"{call.lineno}: {name}"
        elif module == "yaml" and function in ("load", "load_all", "compose"):
            loader = keyword(call, "Loader") or (ast.unparse(call.args[1]) if len(call.args) > 1 else None)
            if loader not in ("Loader", "yaml.SafeLoader", "SafeLoader"):
                yield f"{call.lineno}: {name} by {loader}"
        elif module == "yaml" and function.startswith(("unsafe_", "full_")):
            yield f"{call.lineno}: {name}"
        elif keyword(call, "shell") not in (None, "False"):
            yield f"{call.lineno}: {name} through a shell"
        elif name.endswith(("extractall", "tempfile.mktemp")):
            yield f"{call.lineno}: {name}"


def test_the_source_holds_to_it():
    assert len(FILES) > 200
    found = {str(file.relative_to(ROOT)): [*faults(file.read_text(encoding="utf-8"))] for file in FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "import pickle\npickle.loads(data)",
        "pickle.Unpickler(file)",
        "ray.cloudpickle.loads(data)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, yaml.Loader)",
        "yaml.load(text, Loader=yaml.FullLoader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "exec(compile(text, '', 'exec'))",
        "os.system(command)",
        "subprocess.run(command, shell=True)",
        "zipfile.ZipFile(path).extractall(folder)",
    ],
)
def test_the_test_itself_finds_it(source):
    assert [*faults(source)]


def test_the_loader_of_experiment_files_is_a_safe_one():
    import yaml

    from ganray.recipe.source import Loader

    assert issubclass(Loader, yaml.SafeLoader)
    made = {tag for tag in Loader.yaml_constructors if tag and not tag.startswith("tag:yaml.org,2002:")}
    assert made == set()
    assert not any(tag and "python" in tag for tag in [*Loader.yaml_constructors, *Loader.yaml_multi_constructors])
