from PIL import Image

from attribution import Attribution
from brushwork.classifier.answer import Candidate, Guess, Identification
from brushwork.classifier.identify import ArtistClassifier
from brushwork_demo.models import find_models
from brushwork_demo.rooms.identify import EXAMPLES, answer, answer_section, none_of_these, traits
from experiments.identify import cells

ROWS = [("Claude Monet", 0.6, "Impressionism"), ("<b>Sisley</b>", 0.1, "")]


def test_none_of_these_is_a_bar_of_its_own():
    answer = answer_section(ROWS, known=False, none=0.3)
    assert answer.count("<li") == 3 and "None of these" in answer and "30.0%" in answer
    assert "If it is one of them, most likely Claude Monet." in answer
    assert "share out" not in answer, "with this bar the probabilities are not of the known only"


def test_without_it_the_page_says_that_the_bars_are_of_the_known_artists():
    answer = answer_section(ROWS, known=False)
    assert answer.count("<li") == 2 and "share out 100% among the known artists" in answer


def test_a_known_artist_is_the_verdict_and_names_are_text():
    answer = answer_section(ROWS, known=True, traits={"Style": "Impressionism, 80%"})
    assert "<h3>Claude Monet</h3>" in answer and "probability of 60%" in answer
    assert "<b>Sisley" not in answer and "<dd>Impressionism, 80%</dd>" in answer


def test_an_answer_has_none_and_traits_only_if_its_classifier_knows_them():
    candidates = (Candidate("Monet", 0.6), Candidate("Degas", 0.1))
    old = Identification(candidates, known=True)
    assert none_of_these(old) is None and traits(old) == {}
    style = (Guess("Impressionism", 0.8), Guess("Baroque", 0.2))
    new = Identification(candidates, known=True, none=0.3, style=style)
    assert none_of_these(new) == 0.3 and traits(new) == {"Style": "Impressionism, 80%"}


def test_the_endpoint_answers_what_the_table_of_identify_has(checkpoints):
    generator, folder = (str(checkpoints[name]) for name in ("dcgan", "classifier"))
    with Image.open(sorted(EXAMPLES.glob("*.jpg"))[0]) as picture:
        found = answer(find_models([generator], folder), picture)
        classifier = ArtistClassifier.from_pretrained(folder)
        task = Attribution({"ours": classifier}, precision=0)
        row = cells(task.row(classifier.identify(picture)))
    added = {name for name in found if name not in ("known", "artist", "candidates")}
    assert added == {
        "none_probability",
        *(
            f"{trait}{end}"
            for trait in ("style", "genre", "decade")
            for end in ("", "_probability")
        ),
    }
    assert found["none_probability"] > 0 and found["style"]
    for name in added:
        text = f"{found[name]:.4f}" if name.endswith("probability") else found[name]
        assert text == row[name]


def test_the_endpoint_answers_null_for_what_its_classifier_does_not_know(models):
    found = answer(models, Image.new("RGB", (64, 64), "red"))
    assert found["none_probability"] is None
    assert found["genre"] is None and found["genre_probability"] is None
