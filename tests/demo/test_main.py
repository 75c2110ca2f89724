import subprocess
import sys


def test_the_demo_says_what_it_will_be_and_that_it_is_not_there_yet():
    done = subprocess.run(
        [sys.executable, "-m", "brushwork_demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not written yet" in done.stderr and "experiments/sample.py" in done.stderr
