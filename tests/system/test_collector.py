"""The garbage collector is as it was after a study."""

import gc

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
