import subprocess
import sys

import brushwork


def test_importing_the_package_is_cheap_and_every_public_name_is_there():
    code = "import sys, brushwork; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert all(getattr(brushwork, name) is not None for name in brushwork.__all__)
    assert set(brushwork.__all__) <= set(dir(brushwork))
