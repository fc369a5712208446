"""The soak of benchmarks/soak.py, a minute of it: random kills, then the store against an undisturbed run."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def load_soak():
    spec = importlib.util.spec_from_file_location("ganray_soak", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.soak


def test_a_minute_of_random_kills_loses_and_doubles_nothing(tmp_path, monkeypatch):
    found = load_soak()(tmp_path, trials=8, seconds=60.0, every_s=20.0, seed=1, nodes=2)
    assert sum(found["kills"].values()) >= 1
    assert (found["exit_code"], found["left_behind"]) == (0, {})
    verdict = found["verdict"]
    wrong = {name: verdict[name] for name in ("unfinished", "lost", "doubled", "different", "unknown", "study")}
    assert not any(wrong.values()), wrong
