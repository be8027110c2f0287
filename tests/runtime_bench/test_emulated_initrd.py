"""The initial file system, read back by a reader of newc archives that shares nothing with the writer."""

import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chordkit.errors import DeviceError
from chordkit.runtime_bench.emulated import elf, initrd, lock, packages, prepared
from chordkit.runtime_bench.emulated.cache import sha256
from chordkit.runtime_bench.emulated.initrd import Entry, pack, tree


def read(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and contents by name of one archive; what every header must hold is checked."""
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        number, mode, uid, gid, links, mtime, size, *device, length, check = (
            int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)
        )
        assert (uid, gid, links, mtime, check, *device) == (0, 0, 1, 0, 0, 0, 0, 0, 0)
        name = data[at + 110 : at + 110 + length]
        assert name.endswith(b"\0")
        start = -(-(at + 110 + length) // 4) * 4
        at = -(-(start + size) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return found
        assert number == len(found) + 1
        found[name[:-1].decode()] = (mode, data[start : start + size])


def packed(entries: list[Entry]) -> bytes:
    out = io.BytesIO()
    pack(entries, out)
    return out.getvalue()


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9).filter(lambda name: name != "TRAILER!!!")


@given(st.dictionaries(names, st.binary(max_size=9)))
def test_an_archive_holds_what_was_put_into_it(contents: dict[str, bytes]) -> None:
    entries = [Entry(name, stat.S_IFREG | 0o644, data) for name, data in contents.items()]
    found = read(packed(entries))
    assert found == {name: (stat.S_IFREG | 0o644, data) for name, data in contents.items()}
    assert list(found) == sorted(contents)
    assert packed(entries[::-1]) == packed(entries)


def test_a_tree_is_packed_without_who_made_it_when(tmp_path: Path) -> None:
    for number in (1, 2):
        root = tmp_path / str(number)
        (root / "folder").mkdir(parents=True, mode=0o700 + number)
        (root / "folder" / "program").write_text("#!")
        (root / "folder" / "program").chmod(0o700)
        (root / "note").write_text("words")
        (root / "note").chmod(0o600 + 4 * number)
        (root / "link").symlink_to("folder/program")
        os.utime(root / "note", (number, number))
    first, second = (packed(tree(tmp_path / number, "python")) for number in "12")
    assert first == second
    assert read(first) == {
        "python/folder": (stat.S_IFDIR | 0o755, b""),
        "python/folder/program": (stat.S_IFREG | 0o755, b"#!"),
        "python/link": (stat.S_IFLNK | 0o777, b"folder/program"),
        "python/note": (stat.S_IFREG | 0o644, b"words"),
    }


def test_packages_without_a_kernel_or_adbd_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="has no kernel"):
        initrd.kernel(tmp_path)
    with pytest.raises(DeviceError, match="none of the packages has busybox"):
        initrd.entries(tmp_path)


def test_the_machine_is_the_same_bytes_each_time_it_is_made(tmp_path: Path) -> None:
    machine = prepared()
    if machine is None:
        pytest.skip("no emulated machine is prepared; `chordkit devices prepare emulator` makes one")
    rows = lock.load().of("guest")
    debs = [packages._cached(row) for row in rows]
    if machine.record.unpinned or any(deb is None for deb in debs):
        pytest.skip("the packages that the lock pins are not in the cache")
    made = []
    for number in "12":
        (tmp_path / number).mkdir()
        packages.unpack([deb for deb in debs if deb is not None], tmp_path / number)
        made.append(packed(initrd.entries(tmp_path / number)))
    assert made[0] == made[1] == machine.initrd.read_bytes()
    found = read(made[0])
    assert {"init", "bin/busybox", "bin/adbd", "lib/ld-linux-aarch64.so.1", "lib/libc.so.6", "modules/virtio_net.ko"} <= set(found)
    assert found["modules/order"][1].decode().split() == [f"{name}.ko" for name in initrd.MODULES]
    assert sha256(machine.initrd) == machine.record.sha256["initrd"]


def test_programs_are_told_apart_by_their_elf_tables(tmp_path: Path) -> None:
    own = elf.read(Path("/bin/sh"))
    assert own is not None
    assert any(name.startswith("libc.so") for name in own.needed)
    whole = Path("/bin/sh").read_bytes()
    for number, data in enumerate((b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", whole[:100], whole[:64] + b"\xff" * 600)):
        (tmp_path / str(number)).write_bytes(data)
        elf.read(tmp_path / str(number))
    assert elf.read(tmp_path / "1") is None


def test_a_library_that_no_package_has_is_named() -> None:
    with pytest.raises(DeviceError, match=r"needs libc\.so\.\d, which none of the fetched packages has"):
        elf.closure([Path("/bin/sh")], {})
