"""Figures, tables and pages that show results.

The public names load on first use, so that importing the package is fast.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.report.figures import compared_curves as compared_curves
    from brushwork.report.figures import grid as grid
    from brushwork.report.figures import metric_curves as metric_curves
    from brushwork.report.figures import save_animation as save_animation
    from brushwork.report.pages import Section as Section
    from brushwork.report.pages import data_url as data_url
    from brushwork.report.pages import html_page as html_page
    from brushwork.report.pages import render as render
    from brushwork.report.pages import text_table as text_table
    from brushwork.report.pages import write_report as write_report
    from brushwork.report.pages import write_sections as write_sections

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Section": "brushwork.report.pages",
        "compared_curves": "brushwork.report.figures",
        "data_url": "brushwork.report.pages",
        "grid": "brushwork.report.figures",
        "html_page": "brushwork.report.pages",
        "metric_curves": "brushwork.report.figures",
        "render": "brushwork.report.pages",
        "save_animation": "brushwork.report.figures",
        "text_table": "brushwork.report.pages",
        "write_report": "brushwork.report.pages",
        "write_sections": "brushwork.report.pages",
    },
)
