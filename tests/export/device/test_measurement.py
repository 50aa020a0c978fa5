"""Counts on emulated cores: of programs of known length, of nets, by both emulators and compilers, and errors in words."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.c99 import host
from actlab.export.device import compiler, measure
from actlab.export.device.cores import CORES
from actlab.export.device.measurement import figures
from actlab.export.device.settings import DeviceSettings

GCC, QEMU = shutil.which("arm-none-eabi-gcc"), shutil.which("qemu-system-arm")
PACKAGES = find_spec("unicorn") is not None and find_spec("elftools") is not None
needs_gcc = pytest.mark.skipif(not GCC, reason="needs arm-none-eabi-gcc")
needs_qemu = pytest.mark.skipif(not (GCC and QEMU), reason="needs arm-none-eabi-gcc and qemu-system-arm")
needs_unicorn = pytest.mark.skipif(not PACKAGES, reason="needs the packages unicorn and pyelftools")
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="needs the package ziglang")

# A function of 3 * COUNT + 3 instructions, or 2 * COUNT + 3 where it is called with another number than 1.
KNOWN = """#include "known.h"
void known_run(const float *input, float *output)
{
    /* first: counted */
    __asm__ volatile(".syntax unified\\nmovs r2, #COUNT\\n1: subs r2, r2, #1\\nbne 1b" : : : "r2", "cc");
    KNOWN_AFTER_LAYER(0);
    /* second: copied */
    output[0] = input[0];
    KNOWN_AFTER_LAYER(1);
}
"""
KNOWN_TEST = """#include "known.h"
#include <stdio.h>
#define VECTORS 2
int main(void)
{
    static const float inputs[2] = {1.5f, -2.0f};
    float output = 0.0f;
    int v, wrong = 0;
    for (v = 0; v < VECTORS; ++v) {
        known_run(inputs + v, &output);
        wrong += output != inputs[v];
    }
    printf("%d vectors, %ld wrong, %.3e, 100%%\\n", VECTORS, (long)wrong, -0.25);
    return wrong > 0;
}
"""
HEADER = """#ifdef KNOWN_AFTER_LAYER
void KNOWN_AFTER_LAYER(int layer);
#else
#define KNOWN_AFTER_LAYER(layer) ((void)0)
#endif
void known_run(const float *input, float *output);
"""


def known(folder, count=100):
    """Write a project whose first layer has 1 + 2 * count instructions."""
    folder.mkdir(exist_ok=True)
    (folder / "known.h").write_text(HEADER)
    (folder / "known.c").write_text(KNOWN.replace("COUNT", str(count)))
    (folder / "known_test.c").write_text(
        KNOWN_TEST.replace("#define VECTORS 2", "#ifndef VECTORS\n#define VECTORS 2\n#endif")
    )
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects") / "tiny"
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), actlab.layer("gelu"), nn.Linear(8, 3))
    actlab.export(model, torch.randn(4, 6), folder, to="c99", vectors=4)
    return folder


def edited(project, folder, file, old, new):
    """Return a copy of a project in which a text is replaced."""
    copy = shutil.copytree(project, folder / "copy")
    text = (copy / file).read_text()
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    (copy / file).write_text(changed)
    return copy


@needs_qemu
@pytest.mark.parametrize("core", ["m0", "m33"])
def test_a_loop_of_known_length_is_counted_to_the_instruction(tmp_path, core):
    short, long = (measure(known(tmp_path, count), core) for count in (1, 101))
    assert long.instructions - short.instructions == 200
    assert long.fewest == long.most
    assert [each.layer for each in long.layers] == ["first: counted", "second: copied"]
    assert long.layers[0].instructions - short.layers[0].instructions == 200
    assert 1 + 2 * 101 <= long.layers[0].instructions <= 1 + 2 * 101 + 4  # registers that are kept over the call
    assert long.layers[1] == short.layers[1]
    assert long.instructions == 1 + 2 * 101 + 3  # load, store, return
    assert long.result == "2 vectors, 0 wrong, -2.500e-01, 100%"
    assert long.right


@needs_gcc
@needs_unicorn
def test_unicorn_counts_the_same_loop(tmp_path):
    assert measure(known(tmp_path, 101), "m3", emulator="unicorn").instructions == 1 + 2 * 101 + 3


@needs_qemu
@needs_unicorn
@pytest.mark.parametrize("core", ["m3", "m4f"])
def test_both_emulators_have_the_same_figures(project, core):
    one, other = (measure(project, core, emulator=name, vectors=3) for name in ("qemu", "unicorn"))
    assert one.emulator.startswith("QEMU emulator version")
    assert other.emulator.startswith("unicorn 2")
    for name in ("instructions", "fewest", "most", "layers", "flash", "ram", "stack", "result", "right", "vectors"):
        assert getattr(one, name) == getattr(other, name), name


@needs_qemu
def test_a_float_net_is_right_on_four_cores_and_its_layers_add_up(project):
    found = figures(project, ("m0", "m3", "m4f", "m33", "m3"))
    assert [each.core for each in found] == ["m0", "m3", "m4f", "m33"]
    for each in found:
        assert not each.missing
        assert each.right, each.result
        assert [layer.layer for layer in each.layers] == ["0: dense of 8", "1: activation of 8", "2: dense of 3"]
        assert sum(layer.instructions for layer in each.layers) == pytest.approx(each.instructions, rel=0.02)
        assert each.ram == 32
        assert 0 < each.stack < 400
        assert each.vectors == 4
    m0, m3, m4f, _ = found
    assert m0.instructions > m3.instructions > 5 * m4f.instructions  # without a floating-point unit
    assert m0.flash > m3.flash > m4f.flash > 400  # the arithmetic of the compiler is counted with the net
    assert "run on a Cortex-M3" in m0.note


@needs_gcc
@pytest.mark.parametrize("to", ["c99", "int8"])
def test_nets_compile_for_cores_without_a_warning(tmp_path, to):
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), actlab.layer("mish"), nn.Conv2d(4, 4, 3, groups=4)]
    model = nn.Sequential(*parts, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3), nn.Softmax(1)).eval()
    actlab.export(model, torch.randn(8, 2, 6, 6), tmp_path / "net", to=to, vectors=1)
    for core in ("m0", "m4f"):
        command = [GCC, *CORES[core].gcc, *host.FLAGS.split(), "-c", "net.c", "-o", "net.o"]
        done = subprocess.run(command, cwd=tmp_path / "net", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@needs_zig
@needs_unicorn
def test_the_python_packages_alone_are_enough(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = measure(project, "m4f")
    assert (found.compiler.split()[0], found.emulator.split()[0], found.vectors) == ("zig", "unicorn", 1)
    assert found.right
    assert found.instructions > 300
    assert found.flash > 400
    assert found.ram == 32


def test_without_tools_the_figures_are_absent_and_a_sentence_names_what_to_install(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiler, "find_spec", lambda _: None)
    (found,) = figures(project, ["m3"])
    assert found.instructions is found.flash is found.right is None
    assert found.layers == ()
    assert "gcc-arm-none-eabi" in found.missing
    assert "qemu-system-arm" in found.missing
    assert "pip install 'actlab[device]'" in found.missing


@pytest.mark.skipif(not QEMU and not PACKAGES, reason="needs qemu-system-arm, or the packages unicorn and pyelftools")
def test_a_compiler_without_a_c_library_is_named_with_what_to_install(project, tmp_path, monkeypatch):
    fake = tmp_path / "arm-none-eabi-gcc"
    fake.write_text(
        "#!/bin/sh\n[ $1 = --version ] || { echo 'net.h:4:10: fatal error: stdint.h: No such file or directory' >&2; exit 1; }"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = figures(project, ["m3"], DeviceSettings(compiler="gcc"))
    assert "arm-none-eabi-gcc has no C library" in found.missing
    assert "libnewlib-arm-none-eabi" in found.missing


@needs_qemu
def test_a_wrong_test_vector_is_reported(project, tmp_path):
    copy = edited(project, tmp_path, "tiny_test.c", r"(wanted_0\[8\]\[3\] = \{\s+\{\s+)", r"\g<1>1.0f + ")
    found = measure(copy, "m4f")
    assert found.right is False
    assert "1 above the tolerance" in found.result


@needs_qemu
def test_a_net_that_does_not_fit_into_the_flash_is_refused_in_words(project, tmp_path):
    copy = edited(project, tmp_path, "tiny.c", r"\Z", "\nconst char big[5000000] = {1};\n")
    with pytest.raises(
        ExportError, match=r"does not fit into the flash .* \(4 MB\): 8[0-9]{2},[0-9]{3} bytes too many"
    ):
        measure(copy, "m4f")


@needs_qemu
def test_an_arena_that_does_not_fit_into_the_ram_is_refused_in_words(project, tmp_path):
    copy = edited(project, tmp_path, "tiny.c", r"static float arena\[", "static float arena[1100000 + ")
    with pytest.raises(ExportError, match="does not fit into the RAM"):
        measure(copy, "m4f")


@needs_qemu
def test_a_net_that_does_not_end_is_stopped(tmp_path):
    known(tmp_path)
    (tmp_path / "known.c").write_text(KNOWN.replace("COUNT", "1").replace("bne 1b", "b 1b"))
    with pytest.raises(ExportError, match="qemu-system-arm took more than 1 seconds"):
        measure(tmp_path, "m3", seconds=1.0)


@needs_qemu
def test_a_net_that_writes_outside_of_the_memory_is_an_error(tmp_path):
    known(tmp_path)
    (tmp_path / "known.c").write_text(KNOWN.replace("movs r2, #COUNT", "ldr r2, =0xa0000000\\nstr r2, [r2]"))
    with pytest.raises(ExportError, match="stopped with a fault"):
        measure(tmp_path, "m3")


@needs_gcc
def test_a_net_that_needs_a_function_of_the_system_is_an_error(tmp_path):
    known(tmp_path)
    text = KNOWN.replace("COUNT", "1").replace("input[0];", "*(float *)malloc(4) + input[0];")
    (tmp_path / "known.c").write_text("#include <stdlib.h>\n" + text)
    with pytest.raises(ExportError, match="undefined reference to"):
        measure(tmp_path, "m3")


def test_a_folder_without_a_project_and_one_with_a_strange_name_are_refused(tmp_path):
    with pytest.raises(ExportError, match="holds no C99 project"):
        measure(tmp_path, "m3")
    for end in (".c", "_test.c"):
        (tmp_path / f"a;touch b{end}").write_text("")
    with pytest.raises(ExportError, match="is no C identifier"):
        measure(tmp_path, "m3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vectors": 0}, "vectors is a positive whole number or None; got 0"),
        ({"compiler": "clang"}, "compiler is None or one of gcc, zig; got 'clang'"),
        ({"emulator": "renode"}, "emulator is None or one of qemu, unicorn; got 'renode'"),
        ({"flags": ("-O2", "-wrapper sh")}, "got ('-O2', '-wrapper sh')"),
        ({"flags": "-O3"}, "flags is a tuple of flags"),
        ({"seconds": 0}, "seconds is a positive number; got 0"),
    ],
)
def test_settings_that_are_not_allowed_are_named(tmp_path, options, message):
    with pytest.raises(ExportError, match=re.escape(message)):
        measure(tmp_path, "m3", **options)


@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("core", list(CORES))
def test_five_runs_have_identical_figures(project, core):
    first, *others = (measure(project, core) for _ in range(5))
    assert all(each == first for each in others)


@needs_qemu
@pytest.mark.slow
@needs_zig
@needs_unicorn
@pytest.mark.parametrize("core", list(CORES))
@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_both_emulators_agree_for_each_core_and_compiler(project, core, kind):
    one, other = (measure(project, core, compiler=kind, emulator=name, vectors=4) for name in ("qemu", "unicorn"))
    assert (one.instructions, one.layers, one.stack) == (other.instructions, other.layers, other.stack)
