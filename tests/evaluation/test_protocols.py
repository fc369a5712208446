"""Names of protocols, and what their numbers may be called."""

import subprocess
import sys

import pytest

from ganray.errors import RecipeError
from ganray.evaluation.protocols import PROTOCOLS, get_protocol


def test_the_protocols_of_the_issue_are_there():
    assert (get_protocol("fid_5k_train").n_fake, get_protocol("fid_5k_train").dims) == (5000, 2048)
    assert (get_protocol("fid_768_1k_train").n_fake, get_protocol("fid_768_1k_train").dims) == (1000, 768)
    assert (get_protocol("fd_lite0_1k_train").n_fake, get_protocol("fd_lite0_1k_train").dims) == (1000, 1280)
    assert not any(protocol.flips for protocol in PROTOCOLS.values())


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_only_the_whole_fid_inception_gives_a_fid(protocol):
    genuine = protocol.extractor == "inception" and protocol.dims == 2048
    assert (protocol.number == "FID") == genuine
    if protocol.extractor != "inception":
        assert "fid" not in protocol.name.lower()
        assert "fid" not in protocol.number.lower()
    elif not genuine:
        assert str(protocol.dims) in protocol.name
        assert str(protocol.dims) in protocol.number


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_says_what_it_is(name):
    assert PROTOCOLS[name].name == name
    assert PROTOCOLS[name].description


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match=r"no protocol 'fid_5k_trian'; did you mean fid_5k_train"):
        get_protocol("fid_5k_trian")
    with pytest.raises(RecipeError, match="there are: fid_5k_train"):
        get_protocol("qqq")


def test_the_table_of_protocols_imports_nothing_heavy():
    code = "import sys, ganray.evaluation.protocols; print([m for m in ('torch', 'numpy', 'ray') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
