import os

from tests.core.data.pictures import write

from brushwork.data.readers import DatasetReader, FileReader


def test_a_path_in_a_dataset_is_never_followed():
    rows = [{"image": {"bytes": None, "path": "/etc/passwd"}}, {"image": None}]
    reader = DatasetReader((rows,), ("",))
    assert reader(0) == reader(1) == b""


def test_a_file_that_can_be_read_now_is_another_one(tmp_path, monkeypatch):
    write(tmp_path, "a.png", "b.heic")
    reader = FileReader(tmp_path, ("a.png", "b.heic"))
    monkeypatch.setattr("brushwork.data.readers.find_spec", lambda _: None)
    before = [reader.identity(row) for row in range(2)]
    monkeypatch.setattr("brushwork.data.readers.find_spec", lambda _: object())
    assert reader.identity(0) == before[0] and reader.identity(1) != before[1]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert reader.identity(0) != before[0]
