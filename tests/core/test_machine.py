import os
import platform
import subprocess
import sys

import pytest

from brushwork import ArtistClassifier, PaintingGenerator, machine
from brushwork.errors import BrushworkError

MEBIBYTE = 2**20
needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@pytest.fixture
def calls(monkeypatch):
    """The calls of mallopt, which go to no C library."""
    calls = []

    class Library:
        def __init__(self, name):
            assert name is None

        def mallopt(self, option, value):
            calls.append((option, value))

    monkeypatch.setattr("ctypes.CDLL", Library)
    monkeypatch.setattr("sys.platform", "linux")
    return calls


def test_only_the_cores_that_this_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert machine.num_cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(8, 8), (None, 1)])
def test_without_affinity_all_cores_are_counted(monkeypatch, counted, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert machine.num_cores() == expected


def test_the_options_are_those_of_glibc(calls):
    machine.keep_freed_memory()
    machine.limit_memory_arenas(2)
    assert calls == [(-4, 0), (-1, 2**31 - 1), (-8, 2)]


def test_other_systems_are_left_alone(calls, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    machine.keep_freed_memory()
    assert not calls


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    machine.keep_freed_memory()
    machine.limit_memory_arenas(1)


@needs_glibc
def test_freed_memory_stays_with_the_process():
    code = """
import ctypes, os, sys
from brushwork import ArtistClassifier, PaintingGenerator, machine
from brushwork.errors import BrushworkError
if sys.argv[1] == "keep":
    machine.keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
block = c.malloc(ctypes.c_size_t(64 << 20))
ctypes.memset(block, 1, 64 << 20)
c.free(block)
print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
"""
    resident = {
        choice: int(subprocess.check_output([sys.executable, "-c", code, choice]))
        for choice in ("keep", "return")
    }
    assert resident["keep"] - resident["return"] > 60 * MEBIBYTE


@pytest.mark.parametrize("open_checkpoint", [PaintingGenerator, ArtistClassifier])
@pytest.mark.parametrize("device", ["foo", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_one_sentence(open_checkpoint, device):
    with pytest.raises(BrushworkError, match=f"`device` is {device}, on which torch cannot"):
        open_checkpoint.from_pretrained("landscapes", device)
