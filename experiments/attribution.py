"""Not a script: what `identify.py` asks of each picture, and how it writes the answers."""

import io
from contextlib import suppress
from dataclasses import dataclass
from math import exp, log
from typing import Any, ClassVar

from PIL import Image

from brushwork.classifier.answer import TRAITS, UNKNOWN, Comparison, Identification, joint_log_odds
from brushwork.engine import Classifier
from brushwork.errors import BrushworkError
from brushwork.report import figures
from brushwork.report.pages import data_url

TOP = 5
ANSWER_WIDTH = 46  # of the column in the terminal

Row = dict[str, str | float]


@dataclass(frozen=True)
class Attribution:
    """The task of naming the artist of each picture.

    Attributes:
        classifiers: the classifier, by its name.
        precision: see `identify.Config`.
    """

    classifiers: dict[str, Classifier]
    precision: float

    template: ClassVar = "contact_card.html.j2"
    kinds: ClassVar = ("identified", "unknown")
    columns: ClassVar = [
        "file",
        "artist",
        *(f"{column}_{i}" for i in range(1, TOP + 1) for column in ("artist", "probability")),
        "none_probability",
        *(f"{trait}{end}" for trait in TRAITS for end in ("", "_probability")),
        "error",
    ]

    def answer(self, pictures: list[bytes]) -> list[Identification]:
        """Identify the artists of N pictures."""
        [classifier] = self.classifiers.values()
        return classifier.identify(pictures, TOP, self.precision or None)

    def kind(self, answer: Identification) -> str:
        """Return which count the picture belongs to, one of `kinds`."""
        return "identified" if answer.known else "unknown"

    def row(self, answer: Identification) -> Row:
        """Make a row of the table, without the file."""
        row: Row = {"artist": answer.artist, "none_probability": answer.none}
        for i, candidate in enumerate(answer.candidates, start=1):
            row |= {f"artist_{i}": candidate.artist, f"probability_{i}": candidate.probability}
        for trait in TRAITS:
            for guess in getattr(answer, trait)[:1]:
                row |= {trait: guess.value, f"{trait}_probability": guess.probability}
        return row

    def card(self, content: bytes, answer: Identification) -> dict[str, Any]:
        """Make the values of the template: the picture, its heat map, its artists."""
        [classifier] = self.classifiers.values()
        heat = evidence(content, classifier, answer.candidates[0].artist)
        return {"pictures": [shown(content), *heat], "answer": answer, "reason": ""}


@dataclass(frozen=True)
class ClassifierComparison:
    """The task of comparing the answers of two classifiers; see `Attribution` for its methods."""

    classifiers: dict[str, Classifier]
    precision: float

    template: ClassVar = "comparison_card.html.j2"
    kinds: ClassVar = ("same answer", "different answers")
    columns: ClassVar = [
        "file",
        *(f"{name}_{end}" for end in "ab" for name in ("answer", "artist", "probability", "none")),
        "agree",
        "error",
    ]

    def answer(self, pictures: list[bytes]) -> list[tuple[Identification, Identification]]:
        """Identify the artists of N pictures, by both classifiers."""
        least = self.precision or None
        first, second = (
            classifier.identify(pictures, TOP, least) for classifier in self.classifiers.values()
        )
        return list(zip(first, second, strict=True))

    def kind(self, answers: tuple[Identification, Identification]) -> str:
        """Return whether the answers are the same artist, or both "unknown"."""
        return self.kinds[0 if answers[0].artist == answers[1].artist else 1]

    def row(self, answers: tuple[Identification, Identification]) -> Row:
        """Make a row of the table: the answers, the likeliest artists, and "none"."""
        row: Row = {"agree": "yes" if self.kind(answers) == self.kinds[0] else "no"}
        for end, answer in zip("ab", answers, strict=True):
            best = answer.candidates[0]
            row |= {f"answer_{end}": answer.artist, f"artist_{end}": best.artist}
            row |= {f"probability_{end}": best.probability, f"none_{end}": answer.none}
        return row

    def line(self, answers: tuple[Identification, Identification]) -> str:
        """Write both answers for the terminal."""
        cells = [f"{describe_answer(answer):<{ANSWER_WIDTH}}" for answer in answers]
        return "".join([*cells, self.kind(answers)])

    def sum_up(self, rows: list[dict[str, str]]) -> list[str]:
        """Count the pictures for which both answers are the same."""
        a, b = self.classifiers
        shared = set.intersection(*(set(c.artists) for c in self.classifiers.values()))
        answers = [(row["answer_a"], row["answer_b"]) for row in rows]
        same = sum(x == y != UNKNOWN for x, y in answers)
        silent = sum(x == y == UNKNOWN for x, y in answers)
        other = sum(x != y and UNKNOWN not in (x, y) for x, y in answers)
        sizes = (f"{name} knows {len(c.artists)} artists" for name, c in self.classifiers.items())
        return [
            f"a: {a}; b: {b}; {' and '.join(sizes)}, {len(shared)} of them the same",
            f"{len(rows):,} pictures: {same:,} with the same name, {silent:,} unknown to both, "
            f"{other:,} with different names, {len(rows) - same - silent - other:,} named by one "
            "classifier only",
        ]

    def card(
        self, content: bytes, answers: tuple[Identification, Identification]
    ) -> dict[str, Any]:
        """Make the values of the template: the picture, and the answer of each classifier."""
        sides = []
        for (name, classifier), answer in zip(self.classifiers.items(), answers, strict=True):
            lines = [f"{c.artist} {c.probability:.0%}" for c in answer.candidates]
            lines += [f"none of the artists {answer.none:.0%}"] if answer.none else []
            sides.append(
                {
                    "name": name,
                    "verdict": answer.artist,
                    "known": answer.known,
                    "heat": evidence(content, classifier, answer.candidates[0].artist),
                    "lines": lines,
                    "paintings": [],
                }
            )
        return {"picture": shown(content), "verdict": self.kind(answers), "sides": sides}


@dataclass(frozen=True)
class ArtistComparison:
    """The task of comparing two artists of a classifier; see `Attribution` for its methods."""

    classifiers: dict[str, Classifier]
    artists: tuple[str, str]

    template: ClassVar = "comparison_card.html.j2"
    columns: ClassVar = [
        "file",
        "artist_a",
        "artist_b",
        "likelier",
        *("probability", "log_odds", "neither"),
        *(f"{name}_{end}" for end in "ab" for name in ("nearest", "similarity")),
        "error",
    ]

    @property
    def kinds(self) -> list[str]:
        """The names of what is counted."""
        return [f"for {artist}" for artist in self.artists]

    def answer(self, pictures: list[bytes]) -> list[Comparison]:
        """Compare the two artists as painters of N pictures."""
        [classifier] = self.classifiers.values()
        return classifier.compare(pictures, *self.artists)

    def kind(self, answer: Comparison) -> str:
        """Return which count the picture belongs to, one of `kinds`."""
        return f"for {answer.likelier}"

    def row(self, answer: Comparison) -> Row:
        """Make a row of the table; log-odds above 0 are for the first artist."""
        row: Row = dict(zip(("artist_a", "artist_b"), answer.artists, strict=True))
        row |= {"likelier": answer.likelier, "probability": answer.probability}
        row |= {"log_odds": answer.log_odds, "neither": answer.neither}
        for end, paintings in zip("ab", answer.nearest, strict=True):
            for near in paintings[:1]:
                row |= {f"nearest_{end}": near.title, f"similarity_{end}": near.similarity}
        return row

    def line(self, answer: Comparison) -> str:
        """Write the likelier artist and the odds for the terminal."""
        verdict = f"{answer.likelier} {describe_odds(answer.log_odds)}"
        return f"{verdict:<{ANSWER_WIDTH}}neither {answer.neither:.0%}"

    def sum_up(self, rows: list[dict[str, str]]) -> list[str]:
        """Write which artist is likelier for how many pictures, and for all pictures together."""
        [classifier] = self.classifiers.values()
        first, second = self.artists
        log_odds = [float(row["log_odds"]) for row in rows]
        num_first = sum(value >= 0 for value in log_odds)
        num_neither = sum(float(row["neither"]) > 0.5 for row in rows)
        notes = [
            f"{len(rows):,} pictures: {first} is likelier for {num_first:,}, {second} for "
            f"{len(rows) - num_first:,}; for {num_neither:,}, others are likelier than "
            "both together"
        ]
        if rows:
            joint = joint_log_odds(log_odds, classifier.prior_log_odds(first, second))
            notes.append(
                f"if one of the two painted all of them: {self.artists[joint < 0]} "
                f"{describe_odds(joint)} (the true odds are smaller: pictures of one source "
                "have errors in common)"
            )
        return notes

    def card(self, content: bytes, answer: Comparison) -> dict[str, Any]:
        """Make the values of the template: the picture, and the evidence for each artist."""
        [classifier] = self.classifiers.values()
        p = answer.probability
        shares = (p, 1 - p) if answer.log_odds >= 0 else (1 - p, p)
        sides = [
            {
                "name": artist,
                "verdict": f"{share:.1%}",
                "known": True,
                "heat": evidence(content, classifier, artist),
                "lines": [],
                "paintings": [
                    (
                        data_url(near.thumbnail, "JPEG", quality=80) if near.thumbnail else "",
                        f"{' '.join(near.title.split())} ({near.similarity:.2f})",
                    )
                    for near in paintings
                ],
            }
            for artist, share, paintings in zip(answer.artists, shares, answer.nearest, strict=True)
        ]
        verdict = (
            f"{answer.likelier} {describe_odds(answer.log_odds)}; neither {answer.neither:.0%}"
        )
        return {"picture": shown(content), "verdict": verdict, "sides": sides}


Task = Attribution | ClassifierComparison | ArtistComparison


def describe_answer(answer: Identification) -> str:
    """Write the likeliest artist, and the probability of none of the artists."""
    best = answer.candidates[0]
    name = best.artist if answer.known else f"{UNKNOWN} ({best.artist})"
    none = f", none {answer.none:.0%}" if answer.none else ""
    return f"{name} {best.probability:.0%}{none}"


def describe_odds(log_odds: float) -> str:
    """Write the odds of the likelier artist.

    >>> describe_odds(-1.0), describe_odds(100.0)
    ('2.7 : 1', 'more than 1,000,000 : 1')
    """
    most, size = 1_000_000, abs(log_odds)
    if size > log(most):
        return f"more than {most:,} : 1"
    odds = exp(size)
    return f"{odds:.1f} : 1" if odds < 10 else f"{odds:,.0f} : 1"


def shown(content: bytes) -> str:
    """Encode a small copy of a picture for the contact sheet."""
    return small_url(open_rgb(content))


def evidence(content: bytes, classifier: Classifier, artist: str) -> list[str]:
    """Encode the heat map of the evidence for an artist; [] if the network has none."""
    with suppress(BrushworkError):  # some backbones have no heat map
        heat = classifier.explain(content, artist)
        return [small_url(figures.overlay(open_rgb(content), heat))]
    return []


def open_rgb(content: bytes) -> Image.Image:
    """Decode a picture that `read_or_reason` has read."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def small_url(picture: Image.Image) -> str:
    """Reduce a picture to at most 256 pixels, and encode it as a data URL."""
    picture.thumbnail((256, 256))
    return data_url(picture, "JPEG", quality=80)
