"""The garbage collector is as it was after a study."""

import gc
import subprocess
import sys

from actlab.system.collector import frozen, paused


def test_the_collector_runs_again_after_a_pause_and_stays_off_where_it_was_off():
    with paused():
        assert not gc.isenabled()
    assert gc.isenabled()

    gc.disable()
    try:
        with paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_objects_are_collected_again_after_the_block():
    with frozen():
        assert gc.get_freeze_count() > 0
        with frozen():
            pass
        assert gc.get_freeze_count() > 0, "the inner block leaves what the outer one froze"
    assert gc.get_freeze_count() == 0


def test_a_process_that_skips_it_ends_without_a_collection():
    code = (
        "import gc, sys; from actlab.system import collector\n"
        "collector.skip_at_exit()\n"
        "class Link: pass\n"
        "one, other = Link(), Link(); one.other, other.one = other, one\n"
        "Link.__del__ = lambda self: print('collected')\n"
        "del one, other; gc.disable()"
    )
    printed = [subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
               for text in (code, code.replace("collector.skip_at_exit()", "pass"))]  # fmt: skip

    assert printed == ["", "collected\ncollected\n"]
