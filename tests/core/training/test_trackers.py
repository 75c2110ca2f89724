import pytest

from brushwork.errors import BrushworkError, install
from brushwork.training.trackers import check_tracker


def test_an_installed_tracker_and_none_are_accepted():
    check_tracker("tensorboard")
    check_tracker(None)


def test_a_tracker_that_is_not_installed_is_refused_with_those_that_are(monkeypatch):
    installed = {"tensorboard": "its spec", "trackio": "its spec"}
    monkeypatch.setattr("brushwork.training.trackers.find_spec", installed.get)
    with pytest.raises(BrushworkError) as error:
        check_tracker("mlflow")
    assert str(error.value) == (
        f"`tracker` is mlflow, which is not installed: {install('mlflow')}, or choose "
        "tensorboard or trackio or None"
    )
