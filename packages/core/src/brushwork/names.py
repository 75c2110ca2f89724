"""Names as people type them: how two spellings match, and which known names are near one."""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End an error message about an unknown name with up to three near known names, if any.

    >>> did_you_mean("resnet_18", ["resnet18", "vgg16"])
    "; did you mean 'resnet18'?"
    >>> did_you_mean("xyz", ["resnet18"])
    ''
    """
    near = near_names(dict.fromkeys(known, 1), name, most=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def near_names(sizes: Mapping[str, int], name: str, most: int = 5) -> list[str]:
    """Find the known names nearest to a mistyped or partial one, best first.

    Args:
        sizes: how many paintings each known name has; of equally near names the larger comes first.
        name: as it was typed.
        most: how many names to return.

    >>> near_names({"Vincent van Gogh": 9, "Jan van Goyen": 5, "Monet": 7}, "Gogh, Van")
    ['Vincent van Gogh']
    >>> near_names({"Eugène Delacroix": 9, "Edgar Degas": 7}, "delacrois")
    ['Eugène Delacroix']
    """
    wanted = name_key(name)
    near = []
    for other, size in sizes.items():
        key = name_key(str(other))
        score = likeness = _likeness(wanted, key)
        if wanted and set(wanted.split()) <= set(key.split()):
            score = 2.0
        elif len(wanted) >= 3 and wanted in key:
            score = 1.5
        else:
            # A lone surname, mistyped, is far from the whole name but near a part of it.
            score = max([score, *(_likeness(wanted, part) for part in key.split())])
        if score >= 0.7:
            near.append((-score, -size, -likeness, str(other)))
    near.sort()
    # Names that hold what was typed leave no need for ones that merely look like it.
    best = [other for score, *_, other in near if score <= -1.5]
    return (best or [other for *_, other in near])[:most]


def _likeness(a: str, b: str) -> float:
    matcher = difflib.SequenceMatcher(None, a, b)
    return matcher.ratio() if matcher.real_quick_ratio() >= 0.7 else 0.0


def name_key(name: str) -> str:
    """Reduce a name to what all its spellings share: no case, accents, hyphens or underscores.

    >>> name_key("Claude_MONET"), name_key("eugène-delacroix")
    ('claude monet', 'eugene delacroix')
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())
