from brushwork.classifier.answer import Candidate, Guess, Identification
from brushwork_demo.rooms.identify import answer_section, none_of_these, traits

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
