"""Settings of scripts: groups have flat flags, and a run records them flat."""

from dataclasses import dataclass, field

import pytest

from settings import Selection, flat, read_flags


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


def test_flags_of_groups_have_no_prefix():
    config = read_flags(Config, None, ["--data", "paintings/", "--steps", "3", "--seed", "1"])
    assert config.selection == Selection(data="paintings/")
    assert config.group.steps == 3 and config.seed == 1
    assert read_flags(Config, None, []) == Config()


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
