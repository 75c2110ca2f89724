"""Open the graphs of an exported checkpoint with onnxruntime."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.machine import num_cores


class Graph:
    """A network in the ONNX format."""

    def __init__(self, file: Path, expected_digest: str | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_cores()
        options.log_severity_level = 3  # errors
        # An arena of memory for each graph would be shared with none of the others. Without it,
        # three graphs hold 260 MB instead of 320, and are as fast.
        options.enable_cpu_mem_arena = False
        try:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if expected_digest is not None and digest != expected_digest:
                raise BrushworkError(
                    f"{file} has changed since it was exported (its SHA-256 differs from that in "
                    f"{checkpoint.CONFIG}); export or copy the checkpoint again"
                )
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except OSError as error:
            raise BrushworkError(f"cannot read {file} ({error.strerror or error})") from error
        except BrushworkError:
            raise
        except Exception as error:  # onnxruntime has no public class of its errors
            reason = " ".join(str(error).split())[:200]
            raise BrushworkError(
                f"{file} is broken ({reason}); export or copy the checkpoint again"
            ) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, outputs: Sequence[str], **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Compute the outputs of these names."""
        found: Any = self._session.run(list(outputs), inputs)
        return found


def open_graph(folder: Path, config: dict[str, Any], name: str) -> Graph:
    """Open one graph of an exported checkpoint.

    Args:
        folder: the checkpoint.
        config: its `config.json`.
        name: the name of the graph's file.

    Raises:
        BrushworkError: there is no such graph, it has changed, or it is broken.
    """
    if not (folder / name).is_file():
        raise BrushworkError(
            f"{folder} holds no {name}, which the engine without torch needs; write it with "
            "experiments/export.py"
        )
    return Graph(folder / name, config.get("graphs", {}).get("sha256", {}).get(name))


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz file; empty if there is no such file.

    Raises:
        BrushworkError: the file is broken.
    """
    if not file.is_file():
        return {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile and NumPy raise many kinds
        raise BrushworkError(
            f"{file} is broken ({error}); export or copy the checkpoint again"
        ) from error


def check_device(device: object) -> None:
    """Check that a device is the CPU, the only one of this engine.

    Raises:
        BrushworkError: it is another one.
    """
    if str(device) != "cpu":
        raise BrushworkError(
            f"`device` is {device}; without torch there is only cpu (install 'brushwork[torch]')"
        )
