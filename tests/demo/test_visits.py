import asyncio

import gradio as gr
import pytest

from brushwork_demo.app import build
from brushwork_demo.visits import MOST_REMEMBERED, Visits


@pytest.fixture
def visits(rooms):
    async def page():  # it makes locks, and a loop for them where none is running
        return build(rooms)

    built = asyncio.run(page())
    built.state_session_capacity = MOST_REMEMBERED
    return Visits(built)


def test_a_visitor_finds_again_what_was_left(visits):
    state = next(block for block in visits.blocks.blocks.values() if isinstance(block, gr.State))
    visits["Berthe"][state._id] = "a gallery"
    visits["Claude"][state._id] = "another"
    assert visits["Berthe"][state._id] == "a gallery"


def test_a_component_that_was_updated_is_kept_for_its_visitor_alone(visits):
    key = next(k for k, block in visits.blocks.blocks.items() if isinstance(block, gr.Slider))
    shorter = gr.Slider(maximum=3, render=False)
    visits["Berthe"][key] = shorter
    assert visits["Berthe"][key] is shorter
    assert visits["Claude"][key] is visits.blocks.blocks[key]


def test_calls_of_the_api_leave_no_visitors_behind(visits):
    visits.blocks._queue.event_ids_to_events["one call"] = None
    assert visits["one call"] is not visits["one call"]
    assert "one call" not in visits


def test_who_has_been_away_for_longest_is_forgotten_first(visits):
    for number in range(MOST_REMEMBERED):
        visits[str(number)]
    visits["0"]
    visits["one more"]
    assert len(visits.session_data) == MOST_REMEMBERED
    assert "0" in visits and "1" not in visits
