from types import SimpleNamespace

from brushwork_demo.tools import FILE_FORMAT, accept_files_only

GRADIO_FORMAT = "Gradio File Input - a http or https url to a file"


def adapted():
    """An adapted server of MCP, which converts as Gradio does, and its page."""

    def convert(value, _positions):
        return {
            name: {"path": "/tmp/1.jpg"} if str(given).startswith("data:") else given
            for name, given in value.items()
        }

    server = SimpleNamespace(
        simplify_filedata_schema=lambda schema: (schema, [["image"]]),
        convert_strings_to_filedata=convert,
    )
    page = SimpleNamespace(mcp_server_obj=server, upload_file_set=set())
    accept_files_only(page)
    return server, page


def test_the_schema_says_that_a_tool_takes_the_file_itself():
    server, _ = adapted()
    image = {"type": "string", "format": GRADIO_FORMAT}
    schema, positions = server.simplify_filedata_schema(
        {"properties": {"image": image, "seed": {"type": "integer"}}}
    )
    assert schema["properties"]["image"]["format"] == FILE_FORMAT
    assert schema["properties"]["seed"] == {"type": "integer"} and positions == [["image"]]


def test_a_file_of_a_tool_is_deleted_with_the_uploads_and_no_other_file():
    server, page = adapted()
    server.convert_strings_to_filedata({"image": "data:image/jpeg;base64,AAAA"}, [["image"]])
    assert page.upload_file_set == {"/tmp/1.jpg"}
    for value in ({"path": "/etc/passwd"}, "/etc/passwd", 5):
        server.convert_strings_to_filedata({"image": value}, [["image"]])
    assert page.upload_file_set == {"/tmp/1.jpg"}


def test_a_page_without_mcp_is_not_changed():
    accept_files_only(SimpleNamespace(mcp_server_obj=None))
