"""A whole, tiny reproduction: killed and stopped as a process, then finished in this one."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from brushwork.errors import BrushworkError
from brushwork.reproduction.budget import Job
from experiments import reproduce

SCRIPT = Path(__file__).parents[2] / "experiments" / "reproduce.py"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRUSHWORK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


def flags(data, out):
    return [
        *("--data", str(data), "--out", str(out), "--models", "test_resnet", "--side", "32"),
        *("--gan-side", "32", "--width", "2", "--fakes", "20", "--min-paintings", "2"),
        *("--budget", "0.01"),
    ]


def finished(out):
    file = out / "parts.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    return {name: part for name, part in parts.items() if "seconds" in part}


def wait_for(condition, process):
    deadline = time.monotonic() + 180
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def epochs_logged(metrics):
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


@pytest.fixture(scope="module")
def killed(prepared_folder, forked, tmp_path_factory):
    """A run that was killed in its second part, then resumed and stopped by Ctrl-C in that part.

    The folder, the parts that were finished when it was killed, what the stopped one printed, and
    the epochs in the state that it saved. One epoch is left.
    """
    out = tmp_path_factory.mktemp("reproduce") / "results"
    line = [SCRIPT, *flags(prepared_folder, out)]
    run = out / "runs" / "test_resnet"
    with forked.start(*line, fork_children=True) as process:
        wait_for(lambda: "test_resnet-speed" in finished(out), process)
        parent = psutil.Process(process.pid)
        wait_for(lambda: parent.children() and run.exists(), process)
        children = parent.children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, "the part goes on without the command that started it"
    before = finished(out)

    # The training of the second part keeps the length that was decided: too long to end by itself.
    assert change_length(out, 10_000) == 1
    # The killed one may have logged epochs: one more means that this one is in its loop.
    metrics = run / "metrics.jsonl"
    epochs_before = epochs_logged(metrics)
    with forked.start(*line, fork_children=True) as process:
        wait_for(lambda: epochs_logged(metrics) > epochs_before, process)
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert process.returncode == 1
    epochs = epochs_logged(metrics)
    assert change_length(out, epochs + 1) == 10_000
    return out, before, process.stderr, epochs


def change_length(out, epochs):
    """Write another length of the training into the journal; return the one that it had."""
    journal = json.loads((out / "parts.json").read_text())
    part = journal["parts"]["test_resnet"]
    before, part["length"] = part["length"], epochs
    (out / "parts.json").write_text(json.dumps(journal))
    return before


@pytest.fixture(scope="module")
def results(killed, prepared_folder, run_script):
    """The folder of the same run, finished; the scripts of its parts run in this process.

    The GANs are trained for two steps, of which one matches features; those of everything have the
    backbone that the command chooses, the others a tiny one. The figures of the page are drawn,
    those of the parts not.
    """
    out, *_ = killed

    def run_job(job, flags, **_):
        if not job.name.startswith("everything-"):
            flags = [re.sub("tf_efficientnet_lite0:.*", "test_resnet:none", flag) for flag in flags]
        run_script(job.script, *flags, draws=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce, "PROBE_STEPS", 2)
        patch.setattr(reproduce, "run_job", run_job)
        run_script("reproduce", *flags(prepared_folder, out))
    return out


def test_ctrl_c_stops_the_part_which_saves_its_state(killed):
    out, before, printed, _ = killed
    assert "error: test_resnet was stopped; run the same command to continue" in printed
    assert "Traceback" not in printed
    assert (out / "runs" / "test_resnet" / "state.safetensors").exists()
    assert finished(out) == before, "the part is not finished"


def test_a_killed_run_continues_and_keeps_what_was_finished(killed, results):
    _, before, _, epochs = killed
    after = finished(results)
    assert before and before.items() <= after.items() and len(before) < len(after)
    lines = (results / "runs" / "test_resnet" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, epochs + 2))


def test_the_page_has_every_table_and_figure_and_needs_no_other_file(results):
    markdown = (results / "results.md").read_text()
    page = (results / "results.html").read_text()
    for heading in (
        *("Setup", "Classifiers", "Classifiers evaluated as in 2019", "genre landscape"),
        *("genre portrait", "style ", "artist ", "everything", "GAN metrics"),
        *("GAN metrics during training", "Training time for 103,250 paintings", "Commands"),
    ):
        assert re.search(f"^## .*{heading}", markdown, re.M), heading
        assert re.search(f"<h2>.*{heading}", page), heading
    linked = re.findall(r"\]\((figures/[^)]+)\)", markdown)
    assert len(linked) >= 10 and all((results / file).is_file() for file in linked)
    sources = re.findall(r'src="([^"]{,10})', page)
    assert len(sources) == len(linked) and {s[:5] for s in sources} == {"data:"}


def test_the_numbers_of_the_page_are_those_of_the_evaluations(results):
    markdown = (results / "results.md").read_text()
    runs = results / "runs"
    report = json.loads((runs / "test_resnet-report" / "report.json").read_text())
    honest = json.loads((runs / "test_resnet-2019" / "report.json").read_text())["reports"]
    for split in ("train", "test"):
        numbers = report["reports"][split]
        shown = " | ".join(f"{numbers[key]:.3f}" for key in ("top1", "top3", "top5"))
        assert f"| test_resnet | {split} | {shown} |" in markdown
    assert honest["honest"]["top1"] == report["reports"]["test"]["top1"]
    assert honest["as in 2019"]["num_paintings"] == honest["trained on"]["num_paintings"]
    gans = json.loads((runs / "everything-report" / "report.json").read_text())["reports"]
    for title, spaces in zip(("DC-GAN", "modern GAN"), gans.values(), strict=True):
        for space, metrics in spaces.items():
            shown = f"| everything, {title} | {space} | {metrics['fid']:.4g} |"
            assert shown in markdown


def test_each_part_is_a_command_that_the_page_shows(results):
    markdown = (results / "results.md").read_text()
    for part in finished(results).values():
        assert part["command"] in markdown
        assert part["command"].startswith(f"uv run experiments/{part['script']}.py ")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (["--seed", "1"], "with seed 0, not 1"),
        (["--min-paintings", "1000"], "lower `min_paintings`"),
        (["--style", "Baroqe"], "did you mean 'Baroque'"),
        (["--gan-side", "48"], "48"),
        (["--models", "resnet18", "resnet43"], "resnet43"),
        (["--spaces", "artist:gone"], "gone"),
        (["--budget", "0"], "`budget`"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_part_starts(
    prepared_folder, killed, run_script, monkeypatch, mistake, words
):
    def run_job(*_, **__):
        raise AssertionError("a part was started")

    monkeypatch.setattr(reproduce, "run_job", run_job)
    with pytest.raises(BrushworkError) as error:
        run_script("reproduce", *flags(prepared_folder, killed[0]), *mistake)
    assert words in str(error.value)


def job(script):
    return Job(name="part", script=str(script), flags=(), out=Path())


def test_a_part_that_fails_is_reported(tmp_path):
    (tmp_path / "failing.py").write_text("raise SystemExit(3)")
    with pytest.raises(BrushworkError, match="part failed"):
        reproduce.run_job(job(tmp_path / "failing"), (), launch="")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_reaches_the_part_once(tmp_path, which):
    (tmp_path / "part.py").write_text(
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "folder, received = Path(sys.argv[1]), []\n"
        "for which in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(which, lambda *_: received.append(1))\n"
        "(folder / 'ready').touch()\n"
        "while not received:\n"
        "    time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "(folder / 'saved').write_text(str(len(received)))\n"
    )

    def send_when_ready():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), which)

    threading.Thread(target=send_when_ready, daemon=True).start()
    with pytest.raises(BrushworkError, match="part was stopped; run the same command"):
        reproduce.run_job(job(tmp_path / "part"), (str(tmp_path),), launch="")
    assert (tmp_path / "saved").read_text() == "1"
