"""Ends of a script in words."""

import pytest

from actlab.tasks.scripts.ending import ending, is_out_of_memory, last_lines
from actlab.tasks.scripts.process import Ended

TORCHRUN = """
[rank0]: Traceback (most recent call last):
[rank0]:   File "/work/train.py", line 7, in <module>
[rank0]:     raise ValueError("wrong shape")
[rank0]: ValueError: wrong shape
E1130 12:00:00 torch/distributed/elastic/multiprocessing/api.py:988] failed (exitcode: 1) local_rank: 0 (pid: 7)
Traceback (most recent call last):
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""


def test_the_first_line_has_the_error_of_the_worker_and_not_that_of_its_launcher():
    assert (
        ending(Ended(code=1, stderr=TORCHRUN)).splitlines()[0] == "it ended with exit code 1: ValueError: wrong shape"
    )


def test_the_exception_is_found_before_warnings_that_come_after_it():
    text = "RuntimeError: no data\nwandb: run finished\n"
    assert "exit code 1: RuntimeError: no data" in ending(Ended(code=1, stderr=text))


def test_without_an_exception_the_last_words_are_the_reason():
    assert ending(Ended(code=2, stderr="usage: train.py\n-----\n")).startswith(
        "it ended with exit code 2: usage: train.py"
    )


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(code=3), "exit code 3; it wrote nothing."),
        (Ended(code=-11), "it was ended by SIGSEGV"),
        (Ended(code=None), "the process that watches over it was killed"),
        (Ended(code=1, stdout="only this"), "Last lines of its output"),
        (Ended(code=0, stderr="a warning"), "exit code 0.\nLast lines"),
    ],
)
def test_every_end_has_words(ended, words):
    assert words in ending(ended)


def test_of_many_lines_the_last_forty_are_kept_and_a_progress_bar_is_one_line():
    text = "".join(f"line {i}\n" for i in range(100)) + "\r".join(f"{i} %" for i in range(100))
    assert last_lines(text)[-2:] == ["line 99", "99 %"]
    assert len(last_lines(text)) == 40


def test_bytes_that_no_terminal_shows_are_escaped():
    assert "\\x1b" in ending(Ended(code=1, stderr="\x1b[31mred"))


@pytest.mark.parametrize(
    "text", ["CUDA out of memory. Tried to allocate", "MemoryError", "DefaultCPUAllocator: not enough memory"]
)
def test_a_lack_of_memory_is_recognised_unless_the_script_ended_well(text):
    assert is_out_of_memory(Ended(code=1, stderr=text))
    assert not is_out_of_memory(Ended(code=0, stderr=text))
