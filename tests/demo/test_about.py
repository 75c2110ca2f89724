from dataclasses import replace

from brushwork_demo.models import find_models
from brushwork_demo.rooms import about


def test_every_bundled_model_shows_its_card_and_its_licence():
    models = find_models()
    cards = about.all_cards(models)
    for title in [*models.titles.values(), "The classifier"]:
        assert f"# {title}\n\nLicence: depends-on-the-training-paintings." in cards
    assert "license_name:" not in cards, "the fields of the Hub are no text for visitors"


def test_a_checkpoint_without_a_card_is_said(tmp_path):
    models = find_models()
    first = replace(models.painter(None), stages=(tmp_path,))
    cards = about.all_cards(replace(models, painters={"x": first}, classifier=None))
    assert cards == f"# {first.title}\n\nThis checkpoint has no model card."
