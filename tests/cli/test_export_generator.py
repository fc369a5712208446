"""`ganray export-generator`, and `ganray sample` of what it writes."""

from tests.cli.test_sample import checkpoint


def test_export_then_sample_the_same_pictures(ganray, tmp_path):
    ours, shared = checkpoint(tmp_path / "a.pt", classes=("ant", "bee")), tmp_path / "shared" / "g.safetensors"
    code, out, err = ganray("export-generator", ours, "-o", shared)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {shared}: ")
    assert out.endswith("with its recipe (with data.source anywhere), 2.5 kimg, 2 classes\n")
    for options in ([], ["--class", "bee", "--seed", "3"], ["--interpolate", "3", "--grid", "3x2"]):
        pictures = []
        for place in (ours, shared, f"file://{shared}"):
            target = tmp_path / "x.png"
            code, out, err = ganray("sample", place, "--grid", "3x2", "--device", "cpu", "-o", target, *options)
            assert (code, err) == (0, "")
            pictures.append(target.read_bytes())
        assert pictures[0] == pictures[1] == pictures[2]


def test_what_is_no_checkpoint(ganray, tmp_path):
    (tmp_path / "wrong.pt").write_text("text")
    code, out, err = ganray("export-generator", tmp_path / "wrong.pt", "-o", tmp_path / "g.safetensors")
    assert (code, out) == (2, "")
    assert "wrong.pt" in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "g.safetensors").exists()
