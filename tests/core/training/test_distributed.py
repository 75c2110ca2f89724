"""The same work in one process and shared by two (gloo), compared."""

import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.gan.augment import Augment
from brushwork.gan.matching import Matching
from brushwork.training import launcher
from brushwork.training.distributed import BatchNorm2d, Means, average_gradients, check_launch


@pytest.fixture(scope="module")
def halves(forked, tmp_path_factory):
    """What each of two processes found, with half of the batch each; started once for all."""
    folder = tmp_path_factory.mktemp("group")
    processes = forked.run_two(__file__, folder)
    assert [process.returncode for process in processes] == [0, 0], processes[0].stderr
    return [torch.load(folder / str(rank)) for rank in range(2)]


def in_group(folder):
    """The work of one of the two processes."""
    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    found = {
        "normalised": _normalise(rank, *make_batch()),
        "gradient": _average(rank),
        "means": _means(rank),
        "going_on": _going_on(rank),
    }
    torch.save(found, folder / str(rank))
    dist.destroy_process_group()


def make_batch():
    torch.manual_seed(0)
    return torch.randn(8, 5, 3, 3) * 2 + 10, torch.randn(8, 5, 3, 3)


def _normalise(rank, x, upstream):
    norm = BatchNorm2d(5)
    mine = slice(rank * 4, rank * 4 + 4)
    part = x[mine].clone().requires_grad_()
    y = norm(part)
    (y * upstream[mine]).sum().backward()
    average_gradients(norm.parameters())
    running = norm.running_mean, norm.running_var
    return [t.detach().clone() for t in (y, part.grad, norm.weight.grad, norm.bias.grad, *running)]


def test_two_processes_normalise_as_one(halves):
    halves = [half["normalised"] for half in halves]
    norm = nn.BatchNorm2d(5)
    x, upstream = make_batch()
    x = x.clone().requires_grad_()
    y = norm(x)
    (y * upstream).sum().backward()
    for i, expected in enumerate((y, x.grad)):
        torch.testing.assert_close(torch.cat([half[i] for half in halves]), expected)
    for half in halves:  # gradients are averaged, and this loss is a sum
        torch.testing.assert_close(half[2] * 2, norm.weight.grad)
        torch.testing.assert_close(half[3] * 2, norm.bias.grad)
        torch.testing.assert_close(half[4], norm.running_mean)
        torch.testing.assert_close(half[5], norm.running_var)


def test_one_process_runs_the_ordinary_batch_norm():
    x = torch.randn(4, 5, 3, 3)
    ours, theirs = BatchNorm2d(5), nn.BatchNorm2d(5)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def _average(rank):
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.arange(3.0) * (rank + 1)
    average_gradients([parameter, nn.Parameter(torch.zeros(1))])
    return parameter.grad


def test_gradients_become_their_mean(halves):
    for half in halves:
        torch.testing.assert_close(half["gradient"], torch.tensor([0, 1.5, 3]))


def _means(rank):
    means = Means()
    for step in range(3):
        means.add({"loss": torch.tensor(step + 10.0 * rank), "other": torch.tensor(rank)})
    return means.fetch()


def test_means_are_over_steps_and_processes(halves):
    assert [half["means"] for half in halves] == [{"loss": 6.0, "other": 0.5}] * 2


def _going_on(rank):
    """What a process would save of ADA between two of its moves, and of the fakes to match."""
    augment = Augment(adaptive=True)
    for step in (1, 2):
        augment.observe(torch.tensor([1.0, 1.0 - 2 * rank, 1.0]), step, batch_size=6)
    matching = Matching(lambda x: x, torch.randn(9, 4))
    matching(torch.arange(8.0).reshape(2, 4) + 10 * rank)
    return [augment.signs, matching.recent[:4]]


def test_what_one_process_saves_all_can_go_on_from(halves):
    (signs, recent), *others = (half["going_on"] for half in halves)
    assert signs.tolist() == [8, 12]  # two steps of 3 and of 1, of 12 in all
    assert recent[:, 0].tolist() == [0, 4, 10, 14]
    torch.testing.assert_close(others, [[signs, recent]])


@pytest.fixture
def launched(monkeypatch):
    """One process started by `accelerate launch`, whose environment and command line are given."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("ACCELERATE_DYNAMO_MODE", "default")

    def launched(exported, *flags):
        line = ["python", "-m", "accelerate.commands.launch", *flags, "train_gan.py"]
        monkeypatch.setattr(launcher, "environment_of", lambda _: exported)
        monkeypatch.setattr(launcher, "command_line", lambda _: line)

    return launched


def test_a_launch_that_started_one_process_of_several_is_refused(launched):
    launched({})  # the number of processes may come from accelerate's configuration file
    with pytest.raises(BrushworkError, match="multi_gpu"):
        check_launch()
    launched({"MASTER_ADDR": "node001"}, "--num_processes=2")
    with pytest.raises(BrushworkError, match="multi_gpu"):
        check_launch()
    launched({"MASTER_ADDR": "127.0.0.1"}, "--num-processes", "2")
    with pytest.raises(BrushworkError, match="multi_gpu"):
        check_launch()


def test_an_address_that_a_job_script_exported_stops_no_single_process(launched, monkeypatch):
    launched({"MASTER_ADDR": "127.0.0.1"}, "--num_processes", "1")
    check_launch()
    monkeypatch.delenv("ACCELERATE_DYNAMO_MODE")  # not started by accelerate
    launched({})
    check_launch()


if __name__ == "__main__":
    in_group(Path(sys.argv[1]))
