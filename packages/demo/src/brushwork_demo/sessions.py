"""Keep the state of each visitor, the values of `gr.State`, for a limited time.

By default Gradio copies the description of every component into each session, and each API call
is a session. This takes 11 ms and 160 kB per call, for a feature (deep links) that this page does
not use. After each call Gradio also recomputes statistics over all past calls, for a monitor that
this page switches off.
"""

import os
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

MAX_VISITORS = 500
"""Visitors whose state is kept; the least recently active one is dropped first."""

KEEP_SECONDS, CHECK_SECONDS = 840, 30
"""Age from which a visitor's files and state are deleted, and the time from one check of the files
to the next. The page promises 15 minutes."""

# Gradio reads these when it creates a page's queue.
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)


class VisitorState(SessionState):
    """One visitor's state, without descriptions of components."""

    def __init__(self, page: gr.Blocks) -> None:
        no_components: Any = SimpleNamespace(default_config=page.default_config, blocks=())
        super().__init__(no_components)
        self.STATE_TTL_WHEN_CLOSED = KEEP_SECONDS

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


class VisitorStates(StateHolder):
    """The states of all visitors; the state of an API call ends with the call."""

    def __init__(self, page: gr.Blocks) -> None:
        super().__init__()
        self.set_blocks(page)

    def __getitem__(self, session_id: str) -> SessionState:
        """Return the state of a visitor, a new one on the first request."""
        # Gradio uses the event's id as the session of an API call.
        if session_id in self.blocks._queue.event_ids_to_events:
            return VisitorState(self.blocks)
        if session_id not in self.session_data:
            self.session_data[session_id] = VisitorState(self.blocks)
        return super().__getitem__(session_id)


def use_small_sessions(page: gr.Blocks) -> None:
    """Replace Gradio's sessions of a launched page by `VisitorStates`."""
    states = VisitorStates(page)
    states.session_data |= page.app.state_holder.session_data  # visitors who came before this call
    page.app.state_holder = states


def limit_pending_calls(page: gr.Blocks) -> None:
    """Limit the number of stored ids of pending calls; Gradio never deletes them by default."""
    limit = page._queue.pending_messages_per_session.max_size
    page._queue.pending_event_ids_session = LRUCache(limit)
