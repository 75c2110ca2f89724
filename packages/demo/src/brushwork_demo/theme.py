"""The page's theme, style sheet and description."""

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
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)

CSS = """
.gradio-container {width: 100% !important; max-width: 1320px !important; margin: 0 auto !important;}
.gradio-container > *, .gradio-container main {width: 100%;}
#title {padding: 4px 2px 0;}
#title h1 {font-family: Georgia, "Times New Roman", serif; font-size: 2.1rem; font-weight: 500;
  letter-spacing: -0.01em; margin: 0;}
#title p {margin: 2px 0 6px; color: var(--body-text-color-subdued); font-size: 1.02rem;}
.prose {max-width: 74ch;}
.hint {color: var(--body-text-color-subdued);}

/* A wall of pictures without visible captions; screen readers still read them. */
#gallery .caption-label {position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%);}
#gallery, #gallery .grid-wrap {max-height: none !important; height: auto !important;}
#gallery .thumbnail-item {border-radius: 6px; transition: transform .12s;}
#gallery .thumbnail-item:hover {transform: scale(1.03);}
#stage .tab-like-container, #stage input[type=number] {display: none;}
#gallery img, #chosen img, #film video {width: 100%;}
button:focus-visible, input:focus-visible, a:focus-visible, [tabindex]:focus-visible
  {outline: 3px solid var(--color-accent) !important; outline-offset: 2px;}
@media (prefers-reduced-motion: reduce) {* {transition: none !important;}}

.answer h3 {font-family: Georgia, serif; font-size: 1.6rem; font-weight: 500; margin: 0;}
.answer > p {margin: 2px 0 14px; color: var(--body-text-color-subdued);}
.answer p.over {margin: 0 0 2px; font-size: .9rem;}
.answer ol {list-style: none; margin: 0; padding: 0; display: grid; gap: 12px;}
.answer li {display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; margin: 0;}
.answer .who {font-weight: 600;}
.answer .share {font-variant-numeric: tabular-nums;}
.answer .bar {grid-column: 1 / -1; height: 8px; border-radius: 4px;
  background: var(--border-color-primary); overflow: hidden;}
.answer .bar i {display: block; height: 100%; min-width: 2px; border-radius: 4px;
  background: var(--slider-color);}
.answer .line {grid-column: 1 / -1; font-size: .88rem; color: var(--body-text-color-subdued);}

.alike h4 {font-size: .95rem; margin: 14px 0 6px;}
.alike ul {list-style: none; margin: 0; padding: 0;}
.alike li {display: flex; gap: 12px; align-items: center; margin: 0; padding: 7px 0;
  border-bottom: 1px solid var(--border-color-primary); font-size: .92rem; line-height: 1.35;}
.alike img {width: 56px; height: 56px; object-fit: cover; border-radius: 6px; margin: 0;}
.alike .share {margin-left: auto; white-space: nowrap; color: var(--body-text-color-subdued);}

.compared {display: grid; gap: 18px; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr));}
.compared figure {margin: 0; min-width: 0; max-width: 420px;}
.compared img {width: 100%; border-radius: 8px; margin: 0;}
.compared figcaption {font-family: Georgia, serif; font-size: 1.2rem; padding: 8px 0 4px;
  color: var(--body-text-color);}
.compared table {width: 100%; font-size: .92rem; border-collapse: collapse;}
.compared th {font-weight: 400; text-align: left; color: var(--body-text-color-subdued);
  overflow-wrap: anywhere;}
.compared td {text-align: right; font-variant-numeric: tabular-nums;}
.compared :is(table, tr, th, td)
  {border: none !important; background: none !important;}
.compared :is(th, td) {padding: 4px 0 !important;
  border-bottom: 1px solid var(--border-color-primary) !important;}
.score {font-size: 1.15rem; text-align: center;}
#score .prose, #comparison .prose {max-width: none;}
#quiz-pair {max-width: 860px; margin: 0 auto; flex-wrap: nowrap;}
@media (max-width: 640px) {
  #gallery .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important;
    grid-template-rows: none !important; grid-auto-rows: min-content !important;}
  #gallery .thumbnail-item {min-width: 0; width: 100%; height: auto; aspect-ratio: 1;}
  #title h1 {font-size: 1.6rem;}
  .gradio-container {padding: 8px !important;}
}
"""

HEAD = (
    '<meta name="description" content="Identify the artist of a painting; generate new paintings.">'
)
