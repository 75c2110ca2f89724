"""Compare names as people type them: match spellings, suggest near names, find "unknown"."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Write the end of an error message that suggests up to three near names; "" if none is near.

    Args:
        name: the unknown name, as it was typed.
        known: the names to choose from.

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
        sizes: the known names with their numbers of paintings. Of equally near names, the one with
            more paintings comes first.
        name: the name as it was typed.
        most: the largest number of names to return.

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
            # A mistyped surname is far from the full name but near a part of it.
            score = max([score, *(_likeness(wanted, part) for part in key.split())])
        if score >= 0.7:
            near.append((-score, -size, -likeness, str(other)))
    near.sort()
    # If some names contain what was typed, do not suggest those that are only similar.
    best = [other for score, *_, other in near if score <= -1.5]
    return (best or [other for *_, other in near])[:most]


def _likeness(a: str, b: str) -> float:
    """Score two keys from 0 to 1 by what they share; below 0.7 may be given as 0, which is fast."""
    matcher = difflib.SequenceMatcher(None, a, b)
    return matcher.ratio() if matcher.real_quick_ratio() >= 0.7 else 0.0


def name_key(name: str) -> str:
    """Reduce a name to a key that all its spellings share.

    The key has no upper case, accents, hyphens or underscores.

    >>> name_key("Claude_MONET"), name_key("eugène-delacroix")
    ('claude monet', 'eugene delacroix')
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


def clean_name(name: str) -> str:
    """Write a name with composed accents (NFC) and single plain spaces.

    No-break spaces, tabs and line ends become spaces; characters of no width disappear.

    >>> clean_name("Claude\u00a0 Monet "), clean_name("Eugène") == "Eugène"
    ('Claude Monet', True)
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", _NO_WIDTH.sub("", name))
    return " ".join(name.split())


_NO_WIDTH = re.compile("[\u200b\u2060\ufeff\u00ad]")


_PUNCTUATION = str.maketrans("\u2018\u2019\u02bc\u2010\u2011", "'''--")


def spelling_key(name: str) -> str:
    """Reduce a name to a key of its spellings: case, spaces and Unicode forms make no difference.

    Unlike `name_key`, the key keeps accents and hyphens: "Édouard" and "Edouard" may be two people.

    >>> spelling_key("CLAUDE  Monet") == spelling_key("Claude Monet")
    True
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name.translate(_PUNCTUATION))
    return unicodedata.normalize("NFC", clean_name(name).casefold())


def is_unknown(name: str, column: str = "artist") -> bool:
    """Return whether a label says that there is none, such as "Unknown Artist", "nan" or "".

    "NA" and "nan" are what programs write. "Na" and "Nan" are names of people.

    >>> [is_unknown(name) for name in ("unknown", "Anonymous", "nan", "NA", "", "Na", "Nonell")]
    [True, True, True, True, True, False, False]
    """
    name = clean_name(name).strip("()[]<>{}?-_. ")
    if name in ("", "NA", "nan", "NaN", "NAN", "NaT"):
        return True
    nobody = r"(none|null|n/a|n\.a|not available)"
    words = r"(unknown|unidentified|anonymous|anon|unkown)"
    kind = rf"({column}|artist|painter|author|maker|master)"
    pattern = rf"{nobody}|{words}([ _-]{kind}s?)?|{kind}[ _-]{words}"
    return re.fullmatch(pattern, name, re.IGNORECASE) is not None
