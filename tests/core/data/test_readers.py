from brushwork.data.readers import DatasetReader


def test_a_path_in_a_dataset_is_never_followed():
    rows = [{"image": {"bytes": None, "path": "/etc/passwd"}}, {"image": None}]
    reader = DatasetReader((rows,), ("",))
    assert reader(0) == reader(1) == b""
