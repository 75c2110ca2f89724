import gradio as gr
import pytest

from brushwork.errors import BrushworkError
from brushwork_demo.text import INTERNAL_ERROR, sentence, visitor_errors, without_paths


def failing(error):
    @visitor_errors
    def fail():
        raise error

    return fail


def test_a_visitor_never_sees_backticks():
    assert sentence("`count` is 0; raise `count`") == "Count is 0; raise count."
    with pytest.raises(gr.Error) as shown:
        failing(BrushworkError("lower `min_paintings` (200 keeps 41)"))()
    assert shown.value.message == "Lower min_paintings (200 keeps 41)."


def test_an_internal_error_is_logged_and_its_text_is_not_shown(caplog):
    with pytest.raises(gr.Error) as shown:
        failing(KeyError("/home/ann/secret"))()
    assert shown.value.message == INTERNAL_ERROR
    assert "/home/ann/secret" in caplog.text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("cannot read /srv/models/a/config.json (no such file)", "config.json (no such file)"),
        ("cannot read '/srv/models/a.json'; copy it", "'a.json'; copy it"),
        (r"cannot read C:\Users\ann\a.json", "annot read a.json"),
        ("no checkpoint in runs/secret/generator: it is missing", "in generator: it is missing"),
        ("cannot read ../secret/a.json", "annot read a.json"),
        ("it has 3/4 of them and user/model; see https://hf.co/a/b/c", None),
        ("try a JPEG, PNG or WebP of up to 20 MB", None),
    ],
)
def test_no_path_of_the_server_reaches_a_visitor(message, shown):
    with pytest.raises(gr.Error) as error:
        failing(BrushworkError(message))()
    if shown is None:
        assert error.value.message == sentence(message)
    else:
        assert shown in error.value.message
        assert not any(part in error.value.message for part in ("srv", "Users", "secret"))


def test_a_folder_of_the_server_whose_name_has_spaces_is_removed(tmp_path, monkeypatch):
    folder = tmp_path / "the secret models"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert without_paths(f"{folder}/a.json is broken") == "a.json is broken"
