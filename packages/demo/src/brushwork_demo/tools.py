"""Adapt Gradio's tools of the Model Context Protocol (MCP) to files that only visitors send.

Gradio's schema says that a file is a web address, which this page refuses. A file in base64, a
`data:` address, works; but Gradio saves it in a file that it never deletes.
"""

from typing import Any

import gradio as gr

FILE_FORMAT = "the file itself in base64, as data:image/jpeg;base64,...; web addresses are refused"


def accept_files_only(page: gr.Blocks) -> None:
    """Describe the files that the tools of a launched page accept, and let them be deleted."""
    server: Any = page.mcp_server_obj
    if server is None:
        return
    simplify, convert = server.simplify_filedata_schema, server.convert_strings_to_filedata

    def simplify_and_describe(schema: dict[str, Any]) -> Any:
        simplified, positions = simplify(schema)
        for value in simplified.get("properties", {}).values():
            if str(value.get("format", "")).startswith("Gradio File Input"):
                value["format"] = FILE_FORMAT
        return simplified, positions

    def convert_and_note(value: dict[str, Any], positions: Any) -> Any:
        converted = convert(value, positions)
        for name, given in value.items():
            # Only a file that Gradio has written itself, never a path that a visitor sent.
            is_file = isinstance(converted[name], dict) and isinstance(given, str)
            if is_file and given.startswith("data:"):
                page.upload_file_set.add(converted[name]["path"])
        return converted

    server.simplify_filedata_schema = simplify_and_describe
    server.convert_strings_to_filedata = convert_and_note
