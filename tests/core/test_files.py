import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import Timeout
from safetensors.torch import save_file

from brushwork.files import (
    atomic_folder,
    atomic_write,
    cache_folder,
    exclusive,
    lock,
    read_json,
    replace_content,
    write_json,
    write_text,
)


def start_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run code in a process that has the names of `brushwork.files`; it imports no torch."""
    imports = "import os, sys\nfrom pathlib import Path\nfrom brushwork.files import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", imports + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(stream) -> str:
    return stream.readline().strip()


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with atomic_write(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [*tmp_path.iterdir()] == [file]


def test_the_old_file_stays_when_the_block_raises(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(file) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


def test_no_file_appears_when_the_block_raises(tmp_path):
    with pytest.raises(ValueError), atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise ValueError
    assert not [*tmp_path.iterdir()]


def test_a_folder_is_replaced_at_the_end_of_the_block(tmp_path):
    folder = tmp_path / "folder"
    for text in ("old", "new"):
        with atomic_folder(folder) as temporary:
            (temporary / text).touch()
            assert text == "old" or (folder / "old").is_file()
        assert [*tmp_path.rglob("*")] == [folder, folder / text]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_folder_stays_when_the_block_raises(tmp_path, error):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(error), atomic_folder(folder) as temporary:
        (temporary / "half").touch()
        raise error
    assert [*tmp_path.rglob("*")] == [folder, folder / "old"]


def test_the_old_folder_stays_when_it_cannot_be_replaced(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), atomic_folder(folder) as temporary:
        temporary.rmdir()
    assert [*tmp_path.rglob("*")] == [folder, folder / "old"]


def tree(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): file.read_text() for file in files}


def test_the_content_of_a_folder_is_replaced_and_other_files_stay(tmp_path):
    old = {"src/a": "old", "page": "old", "mine/note": "mine"}
    for name, text in old.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with replace_content(tmp_path) as new:
        (new / "src").mkdir()
        (new / "src/b").write_text((tmp_path / "src/a").read_text() + " and new")
        (new / "page").write_text("new")
    assert tree(tmp_path) == {"src/b": "old and new", "page": "new", "mine/note": "mine"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_content_of_a_folder_stays_when_the_block_raises(tmp_path, error):
    (tmp_path / "page").write_text("old")
    for folder in (tmp_path, tmp_path / "fresh"):
        with pytest.raises(error), replace_content(folder) as new:
            (new / "page").write_text("half")
            raise error
    assert tree(tmp_path) == {"page": "old"}
    assert [*tmp_path.iterdir()] == [tmp_path / "page"]


@pytest.mark.parametrize("when", ["new / 'page'", "old / 'page'"])
def test_the_content_of_a_folder_is_replaced_after_a_process_died(tmp_path, when):
    """It died while it wrote the new content, or after it had moved the old content away."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "page").write_text("old")
    code = f"""
folder = Path(sys.argv[1])
with replace_content(folder) as new:
    old = new.parent / "old"
    (folder / "page").rename({when})
    os._exit(9)
"""
    with start_process(code, folder) as process:
        assert process.wait(60) == 9
    with replace_content(folder) as new:
        assert (folder / "page").exists() == when.startswith("old")
        (new / "page").write_text("new")
    assert [*folder.iterdir()] == [folder / "page"]
    assert (folder / "page").read_text() == "new"


def test_the_old_file_stays_when_the_process_dies_and_the_next_write_works(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    code = """
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""
    process = start_process(code, file)
    assert (process.communicate(), process.returncode) == (("", ""), 9)
    assert file.read_text() == "old"
    write_text(file, "new")
    assert file.read_text() == "new"
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "any").touch()
    with atomic_write(tmp_path / "file") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_text_is_utf8_and_bytes_of_names_that_are_not_can_be_read(tmp_path):
    file = tmp_path / "file"
    write_text(file, "Élève\n")
    assert file.read_bytes() == "Élève\n".encode()
    write_text(file, "a\udcff")
    assert file.read_text() == r"a\xff"
    write_json(file, {"a\udcff": "É"})
    assert read_json(file) == {"a\udcff": "É"}, "a path of the file system is read back"


def test_json_is_read_back_and_other_values_are_strings(tmp_path):
    file = tmp_path / "file.json"
    write_json(file, {"name": "Élève", "out": Path("runs/gan"), "sizes": [1, 2.5, None]})
    assert read_json(file) == {"name": "Élève", "out": "runs/gan", "sizes": [1, 2.5, None]}
    assert "Élève" in file.read_text(encoding="utf-8")


def test_broken_json_is_a_value_error(tmp_path):
    (tmp_path / "file.json").write_text("{")
    with pytest.raises(ValueError):
        read_json(tmp_path / "file.json")
    (tmp_path / "file.json").write_bytes(b"\xff")
    with pytest.raises(ValueError):
        read_json(tmp_path / "file.json")


def test_a_lock_refuses_another_process_until_the_first_one_ends(tmp_path):
    file = tmp_path / "lock"
    code = "held = lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.readline()"
    with start_process(code, file) as first:
        assert line_of(first.stdout) == "held"
        with pytest.raises(Timeout):
            lock(file)
        first.kill()
    lock(file).release()


@pytest.mark.parametrize("folder", ["/proc", "absent"])
def test_a_lock_that_cannot_be_made_is_no_lock_of_another_process(folder, tmp_path):
    with pytest.raises(OSError), exclusive(tmp_path / folder / "out"):
        pass


def test_a_released_lock_is_free(tmp_path):
    for _ in range(2):
        lock(tmp_path / "lock").release()
    process = start_process("lock(Path(sys.argv[1])); print('held')", tmp_path / "lock")
    assert process.communicate() == ("held\n", "")


def test_exclusive_processes_wait_for_each_other_and_say_so(tmp_path):
    code = """
with exclusive(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.readline()
    print("end", flush=True)
"""
    path = tmp_path / "features"
    with start_process(code, path) as first:
        assert line_of(first.stdout) == "inside"
        with start_process(code, path) as second:
            assert line_of(second.stderr) == "another process is writing features; waiting for it"
            with pytest.raises(Timeout):
                lock(tmp_path / ".features.lock")
            assert second.poll() is None
            first.communicate("\n")
            assert line_of(second.stdout) == "inside"
            assert second.communicate("\n") == ("end\n", "")


def test_exclusive_ends_when_the_block_raises(tmp_path):
    with pytest.raises(KeyError), exclusive(tmp_path / "features"):
        raise KeyError
    process = start_process("lock(Path(sys.argv[1])); print('held')", tmp_path / ".features.lock")
    assert process.communicate() == ("held\n", "")


def test_the_cache_folder_is_the_one_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("BRUSHWORK_CACHE", "~/pictures")
    assert cache_folder() == Path.home() / "pictures"


@pytest.mark.parametrize("value", [None, ""])
def test_the_cache_folder_is_in_the_home_folder_by_default(monkeypatch, value):
    monkeypatch.delenv("BRUSHWORK_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("BRUSHWORK_CACHE", value)
    assert cache_folder() == Path.home() / ".cache" / "brushwork"
