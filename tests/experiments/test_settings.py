"""Settings of scripts: groups have flat flags, and a run records them flat."""

import importlib
import math
import re
import shlex
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import pytest

from brushwork.errors import BrushworkError
from settings import Range, Selection, as_flags, check_ranges, flat, ranges, read_flags


@dataclass(frozen=True)
class Group:
    """Some settings."""

    steps: int = 10
    """Steps of training."""


@dataclass(frozen=True)
class Config:
    """Settings of a script."""

    selection: Selection = field(default_factory=Selection)
    group: Group = field(default_factory=Group)
    seed: int = 0


@dataclass(frozen=True)
class WithRecipe:
    """Settings of a script with recipes."""

    recipe: Literal["long"] | None = None
    group: Group = field(default_factory=Group)
    seed: int = 3


@dataclass(frozen=True)
class WithComment:
    """Settings of a script."""

    # A comment says why, because the reader of the code asks.
    group: Group = field(default_factory=Group)
    seed: int = 3


def test_flags_of_groups_have_no_prefix():
    config = read_flags(Config, None, ["--data", "paintings/", "--steps", "3", "--seed", "1"])
    assert config.selection == Selection(data="paintings/")
    assert config.group.steps == 3 and config.seed == 1
    assert read_flags(Config, None, []) == Config()


def test_help_has_the_docstrings_of_settings_and_not_the_comments(capsys):
    with pytest.raises(SystemExit):
        read_flags(WithComment, None, ["--help"])
    shown = capsys.readouterr().out
    assert "Some settings." in shown and "Steps of training." in shown
    assert "because" not in shown


def test_a_filter_may_be_repeated_and_the_filters_are_those_of_select():
    flags = ["--artist", "Claude Monet", "--artist", "Edgar Degas", "--min-paintings", "5"]
    selection = read_flags(Config, None, flags).selection
    assert selection.artist == ("Claude Monet", "Edgar Degas")
    assert selection.filters() == {
        "genre": (),
        "style": (),
        "artist": ("Claude Monet", "Edgar Degas"),
        "min_paintings": 5,
    }


def test_help_shows_the_groups_and_their_texts(capsys):
    with pytest.raises(SystemExit) as ended:
        read_flags(Config, "What the script does.", ["--help"])
    assert ended.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("What the script does.", "Some settings.", "Steps of training.", "--steps INT"):
        assert words in printed


def test_a_mistyped_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        read_flags(Config, None, ["--step", "3"])
    assert ended.value.code == 2
    assert "--steps" in capsys.readouterr().err


def test_a_run_records_settings_without_groups():
    config = read_flags(Config, None, ["--genre", "landscape", "--steps", "3"])
    assert flat(config) == {
        "data": "synthetic",
        "genre": ("landscape",),
        "style": (),
        "artist": (),
        "min_paintings": 0,
        "steps": 3,
        "seed": 0,
    }


def test_a_recipe_sets_the_defaults_and_flags_win():
    recipes = {"long": {"steps": 99, "seed": 7}}
    given = ["--seed", "0", "--recipe", "long"]
    config = read_flags(WithRecipe, None, given, recipes)
    assert (config.group.steps, config.seed) == (99, 0)
    assert as_flags(config, recipes) == "--recipe long --seed 0"
    assert read_flags(WithRecipe, None, [], recipes) == WithRecipe()


@pytest.mark.parametrize("script", ["train_gan", "train_classifier"])
def test_settings_written_as_flags_are_read_again(script):
    module = importlib.import_module(f"experiments.{script}")
    flags = ["--genre", "still life", "--genre", "a 'b'", "--lr", "0.001", "--tracker", "None"]
    config = read_flags(module.Config, None, [*flags, "--minutes", "0.5", "--resume"])
    written = as_flags(config, minutes=2.0, resume=False)
    assert "--resume" not in written and "--epochs" not in written
    again = flat(read_flags(module.Config, None, shlex.split(written)))
    assert again == flat(config) | {"minutes": 2.0, "resume": False}


@pytest.mark.parametrize("script", ["train_gan", "train_classifier", "evaluate_gan"])
def test_no_two_groups_of_a_script_have_a_setting_in_common(script):
    import importlib
    from dataclasses import fields, is_dataclass

    module = importlib.import_module(f"experiments.{script}")
    positional = ["fakes"] if script == "evaluate_gan" else []
    config = read_flags(module.Config, None, positional)

    def names(group):
        for each in fields(group):
            value = getattr(group, each.name)
            yield from names(value) if is_dataclass(value) else [each.name]

    assert sorted(names(config)) == sorted(flat(config))


SCRIPTS = sorted(
    file.stem
    for file in (Path(__file__).parents[2] / "experiments").glob("*.py")
    if not file.read_text(encoding="utf-8").startswith('"""Not a script')
)


def number_fields(config):
    """List the fields of a config and of its groups that hold whole or real numbers."""
    for name, kind in get_type_hints(config, include_extras=True).items():
        if is_dataclass(kind):
            yield from number_fields(kind)
        elif re.search(r"\b(int|float)\b", str(kind).replace("settings.", "")):
            yield name


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_number_of_a_script_has_a_range_which_is_checked_before_any_work(script):
    config = importlib.import_module(f"experiments.{script}").Config
    limits = ranges(config)
    assert set(number_fields(config)) == set(limits), "annotate each number with a Range"
    needs_argument = script in {"sample", "identify", "evaluate_classifier", "evaluate_as_2019"}
    positional = ["x"] if needs_argument or script == "evaluate_gan" else []
    positional = ["x", "--out", "y"] if script == "export" else positional
    check_ranges(read_flags(config, None, positional))
    for name, limit in limits.items():
        flag = f"--{name.replace('_', '-')}"
        assert limit.high == math.inf or 10**400 not in limit
        value = limit.low if limit.above else limit.low - 1
        values = [str(value)] * (2 if name == "mix" else 1)  # a pair of numbers
        with pytest.raises(BrushworkError) as error:
            read_flags(config, None, [*positional, flag, *values])
        sentence = str(error.value)
        assert sentence.startswith(f"`{name}` is {value}") and sentence.endswith(f"must be {limit}")
        assert "\n" not in sentence


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_infinity_and_nan_are_no_numbers(value):
    from experiments import train_gan

    for flag in ("--epochs", "--gamma", "--lr"):
        with pytest.raises(BrushworkError, match=f"is {value}; it must be"):
            read_flags(train_gan.Config, None, [flag, value])


def test_each_number_of_a_tuple_and_an_optional_number_have_the_range():
    @dataclass(frozen=True)
    class Sizes:
        sizes: tuple[Annotated[int, Range(1, 9)], ...] = (1,)
        most: Annotated[int, Range(1)] | None = None

    check_ranges(Sizes((1, 9), None))
    with pytest.raises(BrushworkError, match="`sizes` is 10; it must be between 1 and 9"):
        check_ranges(Sizes((1, 10)))
    with pytest.raises(BrushworkError, match="`most` is 0; it must be finite and at least 1"):
        check_ranges(Sizes(most=0))
