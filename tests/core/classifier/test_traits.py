import numpy as np
import pytest
import torch

from brushwork.classifier.traits import MIN_PICTURES, decade_of, fit_trait

STYLES = ["Baroque", "Rococo", "Ukiyo-e"]


def drawn(num, seed):
    """Features (3 num, 5) around a mean for each style, and the styles."""
    generator = torch.Generator().manual_seed(seed)
    means = 3 * torch.eye(3, 5)
    features = means.repeat(num, 1) + torch.randn(3 * num, 5, generator=generator)
    return features, STYLES * num


def test_a_trait_is_learned_and_its_probabilities_are_calibrated():
    trait = fit_trait(*drawn(60, 0), *drawn(60, 1))
    assert trait is not None and trait.values == tuple(STYLES)
    features, values = drawn(300, 2)
    probabilities = trait.probabilities(features)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    right = np.array([trait.values[i] for i in probabilities.argmax(1)]) == values
    assert right.mean() > 0.95
    assert probabilities.max(1).mean() == pytest.approx(right.mean(), abs=0.03)


def test_rare_and_unknown_values_are_left_out():
    features, styles = drawn(MIN_PICTURES, 0)
    styles = ["" if style == "Rococo" else style for style in styles]
    styles[2] = "Cubism"  # one Ukiyo-e painting less, so this value is too rare as well
    assert fit_trait(features, styles, features, styles) is None
    styles[2] = "Ukiyo-e"
    trait = fit_trait(features, styles, features, styles)
    assert trait is not None and trait.values == ("Baroque", "Ukiyo-e")
    assert fit_trait(features, styles, features, [""] * len(features)) is None


@pytest.mark.parametrize(
    ("date", "decade"),
    [("1904", "1900s"), ("1634.0", "1630s"), ("", ""), ("c.1503-1506", "1500s"), ("12345", ""),
     ("XIX", ""), ("May 3, 1888", "1880s"), ("2011", "2010s")],
)  # fmt: skip
def test_a_decade_is_that_of_the_first_year(date, decade):
    assert decade_of(date) == decade
