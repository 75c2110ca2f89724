import json
import signal

import pytest
import torch
from filelock import FileLock, Timeout
from safetensors.torch import save_file
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.training import launcher
from brushwork.training.run import StopSignal, describe_changes, open_run, read_metrics


def build(seed=0):
    """A network with batch norm, convolutions in channels-last, and Adam after three steps."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    return {"net": net}, {"opt": torch.optim.Adam(net.parameters(), fused=True)}


def train(networks, optimizers, steps):
    for step in steps:
        x = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizers["opt"].zero_grad()
        networks["net"](x).square().mean().backward()
        optimizers["opt"].step()


def test_a_restored_run_goes_on_to_the_same_weights(tmp_path):
    unbroken = build()
    train(*unbroken, range(6))

    stopped = build()
    train(*stopped, range(3))
    open_run(tmp_path / "run", {}, resume=False).save_state(3, *stopped)

    resumed = build(seed=1)
    run = open_run(tmp_path / "run", {}, resume=True)
    run.restore(*resumed)
    assert run.step == 3
    train(*resumed, range(3, 6))
    expected = unbroken[0]["net"].state_dict()
    for name, value in resumed[0]["net"].state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    open_run(tmp_path / "run", {"lr": 1}, resume=False)
    with pytest.raises(BrushworkError, match="add `resume`"):
        open_run(tmp_path / "run", {"lr": 1}, resume=False)
    with pytest.raises(BrushworkError, match="lr was 1 and is now 2"):
        open_run(tmp_path / "run", {"lr": 2}, resume=True)


def test_a_resumed_run_may_go_on_for_longer_and_save_more_often(tmp_path):
    open_run(tmp_path / "run", {"steps": 1, "save_every": 5}, resume=False)
    open_run(tmp_path / "run", {"steps": 2, "save_every": 1}, resume=True)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"] == {"steps": 2, "save_every": 1}
    assert config["environment"]["started"] <= config["resumed"]["started"]


def test_a_setting_that_a_run_did_not_know_counts_as_off(tmp_path):
    open_run(tmp_path / "run", {"lr": 1}, resume=False)
    with pytest.raises(BrushworkError, match=r"match was None and is now 0\.1"):
        open_run(tmp_path / "run", {"lr": 1, "match": 0.1}, resume=True)
    open_run(tmp_path / "run", {"lr": 1, "match": 0.0}, resume=True)


def test_a_run_that_another_process_trains_is_refused(tmp_path):
    run = open_run(tmp_path / "run", {"lr": 1}, resume=False)
    # A lock of the same file that does not know of the first one, as in another process.
    with pytest.raises(Timeout):
        FileLock(tmp_path / "run" / ".lock", timeout=0).acquire()
    del run
    with (
        FileLock(tmp_path / "run" / ".lock", timeout=0),
        pytest.raises(BrushworkError, match="another process is training"),
    ):
        open_run(tmp_path / "run", {"lr": 1}, resume=True)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BrushworkError, match="other files"):
        open_run(tmp_path, {}, resume=False)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_metrics_after_the_saved_step_are_deleted(tmp_path):
    run = open_run(tmp_path / "run", {}, resume=False)
    networks, optimizers = build()
    for step in range(1, 6):
        run.log(step, 8, {"loss": float(step)})
        if step == 3:
            run.save_state(3, networks, optimizers)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # cut by a kill
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 2, 3, 4, 5]
    open_run(tmp_path / "run", {}, resume=True)
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 2, 3]


def test_notes_of_a_step_are_kept_with_its_state_and_do_not_count_as_training(tmp_path):
    run = open_run(tmp_path / "run", {}, resume=False)
    networks, optimizers = build()
    for step in (1, 2):
        run.note(step, {"fid_pixels": float(step), "eval_seconds": -1e6})
        assert run.log(step, 8, {"loss": 1.0})["images_per_second"] < 1e-5
        if step == 1:
            run.save_state(1, networks, optimizers)
    open_run(tmp_path / "run", {}, resume=True)
    kept = read_metrics(tmp_path / "run")
    assert [line.get("fid_pixels") for line in kept] == [1.0, None]


def test_nan_is_refused_and_the_last_good_state_kept(tmp_path):
    run = open_run(tmp_path / "run", {}, resume=False)
    networks, optimizers = build()
    run.save_state(1, networks, optimizers)
    before = (tmp_path / "run" / "state.safetensors").read_bytes()
    with torch.no_grad():
        networks["net"][0].weight[0] = float("nan")
    with pytest.raises(BrushworkError, match="last good state, of step 1"):
        run.save_state(2, networks, optimizers)
    with pytest.raises(BrushworkError, match="NaN"):
        run.log(2, 8, {"loss": float("nan")})
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == before


def test_a_last_good_state_is_only_promised_where_there_is_one(tmp_path):
    run = open_run(tmp_path / "run", {}, resume=False)
    networks, optimizers = build()
    with pytest.raises(BrushworkError, match="no state is saved yet: start again in another `out`"):
        run.log(2, 8, {"loss": float("nan")})
    with torch.no_grad():
        networks["net"][0].weight[0] = float("inf")
    with pytest.raises(BrushworkError, match="no state is saved yet"):
        run.save_state(2, networks, optimizers)
    (tmp_path / "run" / ".state.safetensors.new").mkdir()  # where it would write
    with pytest.raises(BrushworkError, match="no state is saved yet; free some space"):
        run.save_state(2, *build())


def test_a_broken_state_is_one_sentence(tmp_path):
    run = open_run(tmp_path / "run", {}, resume=False)
    run.save_state(1, *build())
    (tmp_path / "run" / "state.safetensors").write_bytes(b"half a file")
    with pytest.raises(BrushworkError, match="is broken"):
        open_run(tmp_path / "run", {}, resume=True)


def test_a_state_with_one_changed_byte_is_refused(tmp_path):
    open_run(tmp_path / "run", {}, resume=False).save_state(1, *build())
    file = tmp_path / "run" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BrushworkError, match=r"is broken \(its content has changed.*`out`"):
        open_run(tmp_path / "run", {}, resume=True)


@pytest.mark.parametrize("metadata", [None, {"step": "1"}, {"step": "one", "seconds": "0"}])
def test_a_state_without_its_step_is_broken(tmp_path, metadata):
    open_run(tmp_path / "run", {}, resume=False)
    save_file({"net/weight": torch.ones(1)}, tmp_path / "run" / "state.safetensors", metadata)
    with pytest.raises(BrushworkError, match="is broken"):
        open_run(tmp_path / "run", {}, resume=True)


def test_a_state_of_other_networks_is_one_sentence_with_the_kept_generator(tmp_path):
    open_run(tmp_path / "run", {}, resume=False).save_state(1, *build())
    (tmp_path / "run" / "kept" / "step-000001").mkdir(parents=True)
    (tmp_path / "run" / "kept" / "step-000001" / "config.json").write_text("{}")
    run = open_run(tmp_path / "run", {}, resume=True)
    with pytest.raises(BrushworkError, match=r"does not fit these settings.*`start` .*step-000001"):
        run.restore({"net": nn.Linear(2, 2)}, {})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"settings": 1}', b"\xff"])
def test_a_broken_config_is_one_sentence_and_the_run_continues_without_it(tmp_path, content):
    open_run(tmp_path / "run", {"lr": 1}, resume=False).save_state(3, *build())
    config = tmp_path / "run" / "config.json"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BrushworkError, match=r"config\.json is broken .*; delete it"):
        open_run(tmp_path / "run", {"lr": 1}, resume=True)
    config.unlink()
    assert open_run(tmp_path / "run", {"lr": 1}, resume=True).step == 3
    assert json.loads(config.read_text())["settings"] == {"lr": 1}


@pytest.mark.parametrize(
    "torn",
    ['{"step": 4, "metrics": {"fid": 1}', '{"step": 4, "loss": NaN, "x', '{"ste', "\0\0\0\n"],
)
def test_a_torn_last_line_of_the_metrics_is_dropped(tmp_path, torn):
    run = open_run(tmp_path / "run", {}, resume=False)
    run.log(1, 8, {"loss": 1.0})
    run.save_state(9, *build())
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write(torn)
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1]
    open_run(tmp_path / "run", {}, resume=True).log(10, 8, {"loss": 1.0})
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 10]


@pytest.mark.parametrize("broken", [b'{"step": 2, "lo', b"[]", b'{"loss": 1}', b"\xff\xfe"])
def test_another_broken_line_of_the_metrics_is_named(tmp_path, broken):
    open_run(tmp_path / "run", {}, resume=False).save_state(9, *build())
    file = tmp_path / "run" / "metrics.jsonl"
    file.write_bytes(b'{"step": 1}\n' + broken + b'\n{"step": 3}\n')
    with pytest.raises(BrushworkError, match=r"line 2 of .*metrics\.jsonl is broken .*delete this"):
        open_run(tmp_path / "run", {}, resume=True)
    assert b'{"step": 3}' in file.read_bytes()


def test_too_small_a_disk_is_said_before_anything_is_computed(tmp_path):
    with pytest.raises(BrushworkError, match="GB free"):
        open_run(tmp_path / "run", {}, resume=False, expected_bytes=10**18)


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrushworkError, match="cannot write"):
        open_run(tmp_path / "file" / "run", {}, resume=False)


def test_the_config_says_what_was_run_and_with_what(tmp_path):
    open_run(tmp_path / "run", {"lr": 0.1}, resume=False)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"] == {"lr": 0.1}
    assert config["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_is_recorded_and_a_second_one_has_its_usual_effect(which):
    handler = signal.getsignal(which)
    obeyed = []
    signal.signal(which, lambda *_: obeyed.append(True))
    try:
        with StopSignal() as stop:
            assert not stop
            signal.raise_signal(which)
            assert stop and not obeyed
            signal.raise_signal(which)
            assert obeyed
    finally:
        signal.signal(which, handler)


def test_the_end_of_the_launcher_stops_and_does_not_count_as_a_signal(monkeypatch):
    obeyed = []
    handler = signal.signal(signal.SIGTERM, lambda *_: obeyed.append(True))
    try:
        with StopSignal() as stop:
            monkeypatch.setattr(launcher, "has_ended", lambda: True)
            assert stop
            signal.raise_signal(signal.SIGTERM)
            assert not obeyed
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_settings_change_only_when_said_so_and_the_run_records_when(tmp_path):
    out, networks = tmp_path / "run", build()
    open_run(out, {"lr": 1, "loss": "hinge", "side": 32}).save_state(7, *networks)
    other = {"lr": 2, "loss": "hinge", "side": 32}
    with pytest.raises(BrushworkError, match=r"lr was 1 and is now 2; .* add `change`"):
        open_run(out, other, resume=True)
    run = open_run(out, other, resume=True, change=True)
    assert run.changed == {"lr": (1, 2)}
    assert describe_changes(run) == "changed at step 7: lr from 1 to 2"
    run.restore(*build())
    run.save_state(9, *networks)
    del run
    run = open_run(out, other | {"loss": "logistic"}, resume=True, change=True)
    run.restore(*build())
    del run
    config = json.loads((out / "config.json").read_text())
    assert config["settings"] == {"lr": 2, "loss": "logistic", "side": 32}
    assert config["changes"] == [
        {"step": 7, "settings": {"lr": [1, 2]}},
        {"step": 9, "settings": {"loss": ["hinge", "logistic"]}},
    ]
    # Without a change nothing is added, and the list stays.
    open_run(out, config["settings"], resume=True, change=True).restore(*build())
    assert json.loads((out / "config.json").read_text())["changes"] == config["changes"]


def test_fixed_settings_do_not_change(tmp_path):
    out = tmp_path / "run"
    open_run(out, {"side": 32}).save_state(7, *build())
    with pytest.raises(BrushworkError, match="side was 32 and is now 64; pass the same settings"):
        open_run(out, {"side": 64}, resume=True, change=True, fixed=("side",))
    with pytest.raises(BrushworkError, match=r"`change` .* add `resume`"):
        open_run(tmp_path / "new", {"side": 64}, change=True)
    assert not (tmp_path / "new").exists()


def test_a_change_that_does_not_fit_leaves_the_run_as_it_was(tmp_path):
    out = tmp_path / "run"
    open_run(out, {"width": 4}).save_state(7, *build())
    before = (out / "config.json").read_text()
    run = open_run(out, {"width": 8}, resume=True, change=True)
    with pytest.raises(BrushworkError, match="does not fit these settings"):
        run.restore({"net": nn.Linear(2, 2)}, {})
    assert (out / "config.json").read_text() == before


def test_a_network_that_a_change_adds_starts_new(tmp_path):
    out = tmp_path / "run"
    open_run(out, {"match": 0}).save_state(7, *build())
    networks, optimizers = build(seed=1)
    new = nn.Linear(2, 2)
    weight = new.weight.clone()
    run = open_run(out, {"match": 1}, resume=True, change=True)
    run.restore({**networks, "matching": new}, optimizers)
    assert torch.equal(new.weight, weight)
    old = build()[0]["net"][0].weight
    assert torch.equal(networks["net"][0].weight, old)


def test_images_are_counted_over_a_change_of_the_batch_size(tmp_path):
    out = tmp_path / "run"
    run = open_run(out, {"batch_size": 8})
    assert run.images_seen(5, batch_size=8) == 40
    run.save_state(5, *build(), images=40)
    del run
    run = open_run(out, {"batch_size": 2}, resume=True, change=True)
    assert run.images_seen(5, batch_size=2) == 40
    assert run.images_seen(8, batch_size=2) == 46
    run.save_state(8, *build(), images=46)
    assert run.images_seen(9, batch_size=2) == 48


def test_the_seconds_of_training_go_on_in_a_resumed_run(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("brushwork.training.run.time.monotonic", lambda: now[0])
    run = open_run(tmp_path / "run", {})
    now[0] += 30
    run.save_state(1, *build())
    now[0] += 1000  # lost by a kill, with its steps
    del run
    run = open_run(tmp_path / "run", {}, resume=True)
    now[0] += 5
    assert run.seconds() == 35
