import sys
import types

from brushwork_demo import serving
from brushwork_demo.serving import MAX_OPEN, open_generator


def test_only_a_few_generators_are_open_at_the_same_time(run_folder, tmp_path):
    for number in range(MAX_OPEN + 3):
        copy = tmp_path / str(number)
        copy.symlink_to(run_folder / "generator")
        open_generator(copy)
    assert open_generator.cache_info().currsize == MAX_OPEN


def test_requests_with_different_settings_share_a_batch(models):
    requests = [
        serving.paint_request(
            models.painter("meadows").stage(stage), num=num, seed=seed, truncation=truncation
        )
        for stage, num, seed, truncation in [(1, 2, 0, 1.0), (3, 1, 5, 0.5), (1, 3, 9, 1.0)]
    ]
    together = serving._paint_batch(requests)
    for request, pictures in zip(requests, together, strict=True):
        [alone] = serving._paint_batch([request])
        assert pictures.shape == alone.shape
        assert abs(pictures.astype(int) - alone).max() <= 1


def test_many_pictures_are_computed_a_few_at_a_time(models, monkeypatch):
    folder = models.painter("meadows").stage(None)
    monkeypatch.setattr(serving, "PIXELS_AT_ONCE", 3 * 32**2)
    generator, sizes = serving.open_generator(folder), []
    paint = generator.paint
    monkeypatch.setattr(
        generator, "paint", lambda z, *rest: sizes.append(len(z)) or paint(z, *rest)
    )
    requests = [serving.paint_request(folder, num=num, seed=1) for num in (2, 5)]
    assert [len(pictures) for pictures in serving._paint_batch(requests)] == [2, 5]
    assert sizes == [3, 3, 1]


def test_zero_gpu_is_requested_where_its_package_is_installed(monkeypatch):
    calls = []
    fake = types.ModuleType("spaces")
    fake.GPU = lambda function, duration: calls.append((function, duration)) or function
    monkeypatch.setitem(sys.modules, "spaces", fake)
    assert serving.on_gpu(len) is len
    assert calls == [(len, 20)]
