import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_scripts_that_other_tests_only_fork_start_in_a_fresh_process():
    """What the process of the tests has imported must not hide a missing import."""
    lines = (
        ["train_classifier.py", "--model", "test_resnet", "--weights", "none"],
        ["reproduce.py"],
    )
    processes = [
        subprocess.Popen(
            [sys.executable, ROOT / "experiments" / script, *flags, "--data", "nowhere/at/all"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for script, *flags in lines
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 1, errors
        assert "error: " in errors and "nowhere/at/all" in errors
        assert "Traceback" not in errors
