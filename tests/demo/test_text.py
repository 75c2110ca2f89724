import gradio as gr
import pytest

from brushwork.errors import BrushworkError
from brushwork_demo.text import INTERNAL_ERROR, sentence, visitor_errors


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
