"""Paintings: read them from a source, select them, and prepare them for training.

`open_data` opens anything that can be trained on. The public names load on first use: a decoding
process imports modules of this package and must start without torch and pandas.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.data.open import open_data as open_data
    from brushwork.data.open import open_source as open_source
    from brushwork.data.paintings import Paintings as Paintings
    from brushwork.data.preparation import prepare as prepare
    from brushwork.data.prepared import PreparedPaintings as PreparedPaintings
    from brushwork.data.prepared import open_prepared as open_prepared
    from brushwork.data.selection import select as select
    from brushwork.data.sources.image_folder import image_folder as image_folder
    from brushwork.data.sources.painter_by_numbers import painter_by_numbers as painter_by_numbers
    from brushwork.data.sources.prepared import prepared_source as prepared_source
    from brushwork.data.sources.synthetic import synthetic_paintings as synthetic_paintings
    from brushwork.data.sources.wikiart import wikiart as wikiart

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Paintings": "brushwork.data.paintings",
        "PreparedPaintings": "brushwork.data.prepared",
        "image_folder": "brushwork.data.sources.image_folder",
        "open_data": "brushwork.data.open",
        "open_prepared": "brushwork.data.prepared",
        "open_source": "brushwork.data.open",
        "painter_by_numbers": "brushwork.data.sources.painter_by_numbers",
        "prepare": "brushwork.data.preparation",
        "prepared_source": "brushwork.data.sources.prepared",
        "select": "brushwork.data.selection",
        "synthetic_paintings": "brushwork.data.sources.synthetic",
        "wikiart": "brushwork.data.sources.wikiart",
    },
)
