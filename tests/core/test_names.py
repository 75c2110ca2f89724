import pandas as pd

from brushwork.names import did_you_mean, name_key, near_names


def test_near_names_prefer_those_that_hold_what_was_typed():
    sizes = pd.Series({"Pieter Bruegel the Elder": 5, "Jan Brueghel": 9, "Bruegel": 1})
    assert near_names(sizes, "bruegel the") == ["Pieter Bruegel the Elder"]


def test_near_names_find_a_mistyped_surname_in_a_full_name():
    sizes = {"Eugène Delacroix": 3, "Claude Monet": 9}
    assert near_names(sizes, "delacrois") == ["Eugène Delacroix"]
    assert near_names(sizes, "xyz") == near_names(sizes, "") == []


def test_near_names_put_the_larger_of_two_equal_ones_first():
    assert near_names({"Jan Steen": 1, "Jan Sanders": 5}, "jan") == ["Jan Sanders", "Jan Steen"]


def test_spellings_share_a_key():
    assert name_key(" Édouard--MANET ") == name_key("edouard_manet") == "edouard manet"


def test_did_you_mean_suggests_at_most_three_names_or_none():
    assert did_you_mean("vgg15", ["vgg16", "resnet18"]) == "; did you mean 'vgg16'?"
    assert did_you_mean("model", [f"model{n}" for n in range(9)]).count(" or ") == 2
    assert did_you_mean("xyz", ["vgg16"]) == ""
