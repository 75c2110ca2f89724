"""The page's theme and style sheet."""

from pathlib import Path

from gradio.themes import Base

THEME = Base(
    primary_hue="orange",
    secondary_hue="stone",
    neutral_hue="stone",
    radius_size="md",
    # Installed fonts only: the page loads nothing from other servers.
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white",
    slider_color="*primary_700",
    slider_color_dark="*primary_500",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_400",
    link_text_color_visited="*primary_700",
    link_text_color_visited_dark="*primary_400",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
