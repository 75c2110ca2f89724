"""What the server remembers of visitors: their `gr.State` and nothing else, for a while.

Gradio describes every component of the page anew for each session, and each call of the API is a
session: 11 ms and 160 kB a call, for deep links, which this page does not offer. It also sums up
all the calls so far after each call, for a monitor that is off.
"""

import os
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

MOST_REMEMBERED = 500
"""Visitors whose gallery is kept; who has not been here for longest is forgotten first."""

KEPT_SECONDS = 900
"""Of what a visitor sent; the page promises a quarter of an hour."""

# Read when a page's queue is made.
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)


class Visit(SessionState):
    """One visitor's state, without descriptions of components."""

    def __init__(self, page: gr.Blocks):
        nothing_to_describe: Any = SimpleNamespace(default_config=page.default_config, blocks=())
        super().__init__(nothing_to_describe)
        self.STATE_TTL_WHEN_CLOSED = KEPT_SECONDS

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep a component that was updated, or the value of a `gr.State`."""
        if isinstance(self.blocks_config.blocks.get(key), gr.State):
            super().__setitem__(key, value)
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class Visits(StateHolder):
    """The visitors' states; a call of the API has one only while it lasts."""

    def __init__(self, page: gr.Blocks):
        super().__init__()
        self.set_blocks(page)

    def __getitem__(self, session_id: str) -> SessionState:
        """The state of a visitor, new where the visitor is."""
        if session_id in self.blocks._queue.event_ids_to_events:  # a call goes by its own name
            return Visit(self.blocks)
        if session_id not in self.session_data:
            self.session_data[session_id] = Visit(self.blocks)
        return super().__getitem__(session_id)


def remember_little(page: gr.Blocks) -> None:
    """Let a page that was launched forget what it has no use for."""
    visits = Visits(page)
    visits.session_data |= page.app.state_holder.session_data  # whoever was quicker than this
    page.app.state_holder = visits


def forget_calls(page: gr.Blocks) -> None:
    """Let a page with a queue forget the names of calls whose messages it has forgotten."""
    most = page._queue.pending_messages_per_session.max_size
    page._queue.pending_event_ids_session = LRUCache(most)
