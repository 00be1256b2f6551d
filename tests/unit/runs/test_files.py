import pytest

from vae_tf.runs import files


def test_whole_or_absent(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail(aside):
        aside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_aside(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_directories_too(tmp_path):
    path = tmp_path / "d"
    files.write_directory(path, lambda aside: (aside / "x").write_text("1"))
    files.write_directory(path, lambda aside: (aside / "y").write_text("2"))
    assert [p.name for p in path.iterdir()] == ["y"]
    with pytest.raises(ZeroDivisionError):
        files.write_directory(path, lambda aside: 1 / 0)
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_leftovers_of_a_killed_process_go(tmp_path):
    (tmp_path / "sub" / ".aside-1-epoch").mkdir(parents=True)
    (tmp_path / "sub" / ".aside-1-epoch" / "w").write_text("half")
    (tmp_path / ".aside-2-model.keras").write_text("half")
    (tmp_path / "kept").write_text("whole")
    files.remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["kept", "sub"]


def test_csv_has_the_union_of_the_columns(tmp_path):
    files.write_csv(tmp_path / "m.csv", [{"a": 1}, {"a": 2, "b": 3}])
    assert (tmp_path / "m.csv").read_text() == "a,b\n1,\n2,3\n"
