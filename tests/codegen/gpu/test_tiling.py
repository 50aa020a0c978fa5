"""Tilings of GPU kernels cover every number once, with few idle lanes."""

from __future__ import annotations

from actlab.codegen.gpu.tiling import Tiling, tiling


def test_tiles_waste_under_a_sixteenth_of_wide_rows():
    for width in (4096, 5000, 11008, 14336, 3000, 24576):
        plan = tiling((64, width), packed=False, channels=width)
        assert plan.across * plan.wide <= width * 17 / 16
        assert plan.tall * plan.wide == 2048


def test_learned_parameters_are_summed_by_about_as_many_programs_as_fill_a_card():
    plan = tiling((2**26,), packed=False, sums=True)

    assert plan.steps == 16
    assert plan.down == 2048
    assert tiling((2**26,), packed=False).steps == 1


def test_a_tiling_covers_every_number_once():
    for shape, packed, channels in [
        ((4, 100), True, 1),
        ((5, 7, 30), True, 7),
        ((33, 7), False, 7),
        ((2, 3, 50), False, 3),
        ((4097,), False, 1),
    ]:
        plan = tiling(shape, packed=packed, channels=channels)
        assert isinstance(plan, Tiling)
        assert plan.rows * plan.width >= plan.size > (plan.rows - 1) * plan.width
        assert plan.across * plan.wide >= plan.width
        assert plan.down * plan.tall * plan.steps >= plan.rows
