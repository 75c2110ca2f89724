import asyncio
from importlib.metadata import requires

import gradio as gr
import pytest
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache
from packaging.requirements import Requirement

from brushwork_demo.app import build
from brushwork_demo.sessions import MAX_VISITORS, VisitorStates


@pytest.fixture(scope="module")
def page(models):
    async def built():  # Gradio creates locks, which need a running event loop
        return build(models)

    page = asyncio.run(built())
    page.state_session_capacity = MAX_VISITORS
    return page


@pytest.fixture
def states(page):
    return VisitorStates(page)


def test_the_files_of_a_visitor_are_deleted_within_15_minutes(page):
    """Gradio deletes a file at the first check after it has reached the age."""
    seconds_between_checks, age = page.delete_cache
    assert seconds_between_checks + age < 15 * 60


def test_each_visitor_has_a_state_of_their_own(states):
    state = next(block for block in states.blocks.blocks.values() if isinstance(block, gr.State))
    states["Berthe"][state._id] = "a gallery"
    states["Claude"][state._id] = "another"
    assert states["Berthe"][state._id] == "a gallery"


def test_an_updated_component_is_kept_for_its_visitor_only(states):
    key = next(k for k, block in states.blocks.blocks.items() if isinstance(block, gr.Number))
    shorter = gr.Number(maximum=3, render=False)
    states["Berthe"][key] = shorter
    assert states["Berthe"][key] is shorter
    assert states["Claude"][key] is states.blocks.blocks[key]


def test_api_calls_leave_no_state_behind(states):
    states.blocks._queue.event_ids_to_events["one call"] = None
    assert states["one call"] is not states["one call"]
    assert "one call" not in states


def test_the_least_recently_active_visitor_is_dropped_first(states):
    for number in range(MAX_VISITORS):
        states[str(number)]
    states["0"]
    states["one more"]
    assert len(states.session_data) == MAX_VISITORS
    assert "0" in states and "1" not in states


def test_the_parts_of_gradio_that_are_replaced_are_those_of_the_pinned_version():
    """Each is private, so another version may lack it: look at them before you change the pin."""
    needs = [Requirement(text) for text in requires("brushwork-demo") or []]
    pinned = {str(need.specifier) for need in needs if need.name == "gradio"}
    assert pinned == {f"=={gr.__version__}"}
    replaced = {
        SessionState: ("__init__", "__setitem__", "_update_config", "_update_value_in_config"),
        StateHolder: ("__getitem__", "set_blocks"),
        gr.Blocks: ("preprocess_data", "process_api", "get_api_info", "get_block_name"),
    }
    for owner, names in replaced.items():
        assert all(callable(getattr(owner, name, None)) for name in names), owner


def test_pending_calls_are_limited(page):
    queue = page._queue
    assert isinstance(queue.pending_event_ids_session, LRUCache)
    assert queue.pending_event_ids_session.max_size == queue.pending_messages_per_session.max_size
