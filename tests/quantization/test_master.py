"""The master file: what is written reads back, and nothing else is read."""

import dataclasses
import hashlib
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit import kernels
from chordkit.errors import InputError, MasterError, StrategyError
from chordkit.quantization import (
    ChannelLayer,
    ChannelTable,
    MasterLayer,
    MasterWeights,
    QuantizedTable,
    container,
    dequantize_rows,
    quantize_rows,
    quantize_table,
)


def _master(seed: int = 0, dim: int = 5) -> MasterWeights:
    rng = np.random.default_rng(seed)

    def weight(rows: int, columns: int) -> np.ndarray:
        return rng.standard_normal((rows, columns)).astype(np.float32)

    return MasterWeights(
        config={"architecture": "sasrec", "items": 3, "dim": dim, "norm_eps": 1e-12, "dropout": 0.1, "heights": (2, 3), "one": (1,)},
        layers={"a.query": MasterLayer(quantize_rows(weight(3, dim)), weight(1, 3)[0]), "a.key": MasterLayer(quantize_rows(weight(2, 7)))},
        embeddings={"item_embedding": quantize_table(weight(4, dim)), "position": quantize_table(weight(3, dim), 4)},
        tensors={"norm.weight": weight(1, dim)[0], "free": weight(2, 3), "scalar": np.float32(3.5) * np.ones((), np.float32)},
    )


def _sealed(image: bytearray) -> bytes:
    """The image with its length and checksum made right."""
    struct.pack_into("<Q", image, 8, len(image))
    struct.pack_into("<I", image, 20, zlib.crc32(bytes(image[24:])))
    return bytes(image)


def _with(entries: dict[str, container.Value]) -> bytes:
    return container.pack(entries)


def _record(data: bytes, name: str) -> int:
    """Offset of an entry's record."""
    return 64 + 128 * list(container.unpack(data)[0]).index(name)


def test_a_master_reads_back_to_the_same_bytes(tmp_path: Path) -> None:
    master = _master()
    data = master.to_bytes()
    back = MasterWeights.from_bytes(data)
    assert back.to_bytes() == data
    assert back.config == master.config
    assert list(back.layers) == ["a.query", "a.key"] and back.layers["a.key"].bias is None
    assert back.fingerprint == master.fingerprint == hashlib.sha256(data).digest()[:8]
    assert back.channel_table == ChannelTable((ChannelLayer("a.query", 3, 5, 0), ChannelLayer("a.key", 2, 7, 3)))
    master.save(tmp_path / "m.chrm")
    assert MasterWeights.load(tmp_path / "m.chrm").to_bytes() == data


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_any_master_reads_back(seed: int, dim: int) -> None:
    data = _master(seed, dim).to_bytes()
    assert MasterWeights.from_bytes(data).to_bytes() == data


def test_every_tensor_is_aligned_and_in_the_order_of_the_contract() -> None:
    data = _master().to_bytes()
    magic, version, length, count = struct.unpack_from("<4sIQI", data)
    assert (magic, version, length) == (b"CHRM", 1, len(data))
    names, end = [], 64 + 128 * count
    for index in range(count):
        name, _, _, *_, offset, size = struct.unpack_from("<88sII4IQQ", data, 64 + 128 * index)
        names.append(name.rstrip(b"\0").decode())
        assert offset % 64 == 0 and offset >= end and not any(data[end:offset])
        end = offset + size
    assert [name.split("/")[0] for name in names] == sorted(
        (n.split("/")[0] for n in names), key=["config", "layers", "embeddings", "tensors"].index
    )
    assert names[7:14] == [f"layers/a.query/{part}" for part in ("codes", "scales", "ratios", "bias")] + [
        f"layers/a.key/{part}" for part in ("codes", "scales", "ratios")
    ]


def test_reading_copies_no_weights_and_gives_nothing_to_write_to() -> None:
    data = _master().to_bytes()
    codes = MasterWeights.from_bytes(data).layers["a.query"].rows.codes
    assert not codes.flags.owndata and not codes.flags.writeable


def test_the_state_dict_is_complete_and_follows_the_widths() -> None:
    master = _master()
    widths = np.array([2, 4, 8, 0, 4], np.uint8)
    state = master.state_dict(widths)
    assert list(state) == ["a.query.weight", "a.query.bias", "a.key.weight", "item_embedding.weight", "position.weight", *master.tensors]
    assert np.array_equal(state["a.query.weight"], dequantize_rows(master.layers["a.query"].rows, widths[:3]))
    assert not state["a.key.weight"][0].any() and state["a.key.weight"][1].any()
    assert np.array_equal(master.state_dict()["a.key.weight"], dequantize_rows(master.layers["a.key"].rows, np.full(2, 8)))
    with pytest.raises(StrategyError, match="do not fit"):
        master.state_dict(widths[:4])


def test_every_single_bit_flip_of_a_master_is_refused() -> None:
    data = _master().to_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MasterError):
            container.unpack(flipped)


@pytest.mark.parametrize(
    ("field", "layout", "value", "message"),
    [
        (88, "<I", 7, "unknown type or shape"),
        (88, "<I", 4, "not float32"),
        (92, "<I", 5, "unknown type or shape"),
        (96, "<I", 4, "not what its shape needs"),
        (96, "<I", 0xFFFFFFFF, "not what its shape needs"),
        (104, "<I", 1, "unknown type or shape"),
        (112, "<Q", 64, "does not stand at its place"),
        (112, "<Q", 1 << 63, "does not stand at its place"),
        (120, "<Q", (1 << 64) - 1, "not what its shape needs"),
        (0, "<B", 0, "empty, repeated or not padded"),
        (0, "<B", 0xFF, "not UTF-8"),
    ],
)
def test_a_wrong_record_is_refused_and_named_even_with_a_fitting_checksum(field: int, layout: str, value: int, message: str) -> None:
    image = bytearray(_master().to_bytes())
    struct.pack_into(layout, image, _record(bytes(image), "layers/a.query/bias") + field, value)
    with pytest.raises(MasterError, match=message):
        MasterWeights.from_bytes(_sealed(image))


def _changed(**changes: container.Value | None) -> bytes:
    entries = dict(container.unpack(_master().to_bytes())[0])
    for name, value in changes.items():
        if value is None:
            del entries[name]
        else:
            entries[name] = value
    return _with(entries)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config/architecture", None, "config/architecture"),
        ("config/dim", np.ones((2, 2), np.int32), "not a number"),
        ("layers/a.query/codes", np.full((3, 5), -128, np.int8), "-128"),
        ("layers/a.query/codes", np.zeros((4, 5), np.int8), "needs int8 codes"),
        ("layers/a.query/scales", np.zeros((3, 3), np.float32), "not positive"),
        ("layers/a.query/scales", np.full((3, 3), np.nan, np.float32), "not positive"),
        ("layers/a.query/ratios", np.zeros((2, 3), np.int16), "ratio below 1"),
        ("layers/a.query/ratios", None, "lacks ratios"),
        ("layers/a.query/bias", np.zeros(4, np.float32), "bias"),
        ("layers/a.query/bias", np.full(3, np.inf, np.float32), "NaN or infinity"),
        ("layers/a.query/extra", np.zeros(3, np.float32), "unknown part extra"),
        ("layers/a.query/text", "text", "is a text"),
        ("embeddings/position/bits", np.array([3, 5], np.int32), "bits"),
        ("embeddings/position/codes", np.full((3, 3), 0xFF, np.uint8), "pad bit"),
        ("embeddings/position/codes", np.full((3, 3), 0x08, np.uint8), "on the grid"),
        ("embeddings/item_embedding/scales", np.ones(3, np.float32), "scales"),
        ("tensors/free", np.full((2, 3), np.nan, np.float32), "NaN or infinity"),
        ("tensors/free", np.ones((2, 3), np.int32), "no place"),
        ("elsewhere/x", np.ones(1, np.float32), "no place"),
    ],
)
def test_a_sound_container_that_is_no_master_is_refused(name: str, value: container.Value | None, message: str) -> None:
    with pytest.raises(MasterError, match=message):
        MasterWeights.from_bytes(_changed(**{name: value}))


def test_a_master_has_4096_entries_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = dict(container.unpack(_master().to_bytes())[0])

    def with_entries(count: int) -> bytes:
        return container.pack(entries | {f"tensors/{index}": np.ones(1, np.float32) for index in range(count - len(entries))})

    assert len(MasterWeights.from_bytes(with_entries(4096)).tensors) > 4000
    with pytest.raises(MasterError, match="4097 entries are more than 4096"):
        with_entries(4097)
    with monkeypatch.context() as patched:
        patched.setattr(container, "_MOST_ENTRIES", 5000)
        data = with_entries(4097)
    with pytest.raises(MasterError, match="a table of 4097 entries"):
        MasterWeights.from_bytes(data)
    if kernels.available():
        with pytest.raises(MasterError, match="too many entries"):
            kernels.Engine(data)
        with pytest.raises(MasterError, match="engine: "):
            kernels.Engine(with_entries(4096))


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": {"a/b": MasterLayer(quantize_rows(np.ones((2, 2), np.float32)))}},
        {"layers": {"": MasterLayer(quantize_rows(np.ones((2, 2), np.float32)))}},
        {"tensors": {"": np.ones(1, np.float32)}},
        {"tensors": {"x": np.ones((0, 3), np.float32)}},
        {"tensors": {"\ud800": np.ones(1, np.float32)}},
        {"config": {"architecture": "\ud800"}},
        {"config": {"architecture": "sasrec", "": 1}},
        {"config": {"architecture": "sasrec", "heights": ()}},
        {"config": {"architecture": 7}},
        {"embeddings": {}},
    ],
)
def test_what_no_reader_would_take_is_not_written(changes: dict) -> None:
    with pytest.raises(MasterError):
        dataclasses.replace(_master(), **changes).to_bytes()


def test_entries_out_of_order_are_refused() -> None:
    entries = container.unpack(_master().to_bytes())[0]
    with pytest.raises(MasterError, match="order"):
        MasterWeights.from_bytes(_with(dict(reversed(entries.items()))))


def test_mutated_masters_raise_nothing_but_master_errors() -> None:
    rng = np.random.default_rng(77)
    data = _master().to_bytes()
    table_end = 64 + 128 * struct.unpack_from("<I", data, 16)[0]
    accepted = 0
    for _ in range(20_000):
        image = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            # Two of three mutations hit header and table, where the parser decides.
            position = int(rng.integers(table_end if rng.integers(3) else len(image)))
            kind = int(rng.integers(5))
            if kind == 0:
                image[position : position + 1] = rng.bytes(1)
            elif kind == 1:
                image[position // 4 * 4 :][:4] = rng.bytes(4)
                struct.pack_into("<I", image, position // 4 * 4, int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(image)])))
            elif kind == 2:
                image = image[: max(position, 64)]
                break
            else:
                image[position] ^= 1 << int(rng.integers(8))
        try:
            back = MasterWeights.from_bytes(_sealed(image))
        except MasterError:
            continue
        accepted += 1
        assert back.to_bytes() == _sealed(image)
    assert 0 < accepted < 20_000


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"architecture": "sasrec", "items": 1 << 31}},
        {"config": {"architecture": "sasrec", "eps": float("nan")}},
        {"config": {"architecture": "sasrec", "heights": (1.5,)}},
        {"config": {"architecture": "sasrec", "none": None}},
        {"tensors": {"x": np.zeros(3)}},
        {"tensors": {"x" * 90: np.zeros(3, np.float32)}},
    ],
)
def test_what_the_file_cannot_hold_is_refused_when_written(changes: dict) -> None:
    with pytest.raises(MasterError):
        dataclasses.replace(_master(), **changes).to_bytes()


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.chrm"
    path.write_bytes(_master().to_bytes()[:-1])
    with pytest.raises(MasterError, match=r"broken\.chrm.*truncated"):
        MasterWeights.load(path)
    with pytest.raises(InputError, match="no such"):
        MasterWeights.load(tmp_path / "absent.chrm")


def test_a_newer_master_is_refused_by_its_version_whatever_follows() -> None:
    newer = bytearray(_master().to_bytes()[:100])
    struct.pack_into("<I", newer, 4, 3)
    with pytest.raises(MasterError, match="version 3 is none of 1 and 2; update chordkit or make the master again"):
        MasterWeights.from_bytes(bytes(newer))


def test_a_channel_table_reads_back_and_refuses_what_is_none() -> None:
    table = _master().channel_table
    assert ChannelTable.from_json(table.to_json()) == table
    assert table.channels == 5 and table.in_features.tolist() == [5, 5, 5, 7, 7]
    assert table.layer_slice("a.key") == slice(3, 5)
    with pytest.raises(MasterError, match="no layer"):
        table.layer_slice("b")
    for value in (None, [{}], [{"name": "a", "out_channels": 1, "in_features": 1, "offset": 1}], [3]):
        with pytest.raises(MasterError, match="channel table"):
            ChannelTable.from_json(value)


def test_int4_tables_take_half_the_bytes() -> None:
    table = QuantizedTable(np.ones((100, 64), np.int8), np.ones(100, np.float32), 4)
    entries = container.unpack(MasterWeights({"architecture": "sasrec"}, {}, {"item_embedding": table}).to_bytes())[0]
    codes = entries["embeddings/item_embedding/codes"]
    assert isinstance(codes, np.ndarray) and codes.nbytes == 100 * 32


def test_the_phone_side_needs_no_torch() -> None:
    code = "import sys, chordkit.quantization, chordkit.strategy; print({'torch', 'pydantic', 'polars'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "set()\n")


# --- a catalogue that grows -------------------------------------------------------------------------------------------


def _biased() -> MasterWeights:
    master = _master()
    return dataclasses.replace(master, tensors=master.tensors | {"item_bias": np.arange(4, dtype=np.float32)})


def _rows(count: int, dim: int = 5) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((count, dim)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_grown_master_keeps_its_fingerprint_and_all_that_was_there(bits: int, tmp_path: Path) -> None:
    master = _biased()
    master = dataclasses.replace(master, embeddings=master.embeddings | {"item_embedding": quantize_table(_rows(4) * 2, bits)})
    grown = master.grown(_rows(2), np.array([8, 9], np.float32))
    assert (grown.items, grown.config["items"]) == (5, 5) and grown.tensors["item_bias"].tolist() == [0, 1, 2, 3, 8, 9]
    assert grown.fingerprint == master.fingerprint == master.digest != grown.digest
    before, after = master.embeddings["item_embedding"], grown.embeddings["item_embedding"]
    assert np.array_equal(after.codes[:4], before.codes) and np.array_equal(after.scales[:4], before.scales)
    assert np.array_equal(after.codes, quantize_table(np.concatenate([_rows(4) * 2, _rows(2)]), bits).codes)
    grown.save(tmp_path / "grown.chrm")
    back = MasterWeights.load(tmp_path / "grown.chrm")
    assert (back.fingerprint, back.digest, back.origin) == (master.fingerprint, grown.digest, container.Origin(master.digest, 3))


def test_a_master_that_grows_twice_keeps_its_first_origin() -> None:
    master = _master()
    twice = master.grown(_rows(2)).grown(_rows(1))
    assert twice.origin == container.Origin(master.digest, 3) and twice.items == 6
    twice.require_origin()


def test_a_master_that_has_not_grown_from_the_one_it_names_is_refused(tmp_path: Path) -> None:
    master = _biased()
    grown = master.grown(_rows(2), np.zeros(2, np.float32))
    other = _master(seed=1)
    lies = {
        "another origin": dataclasses.replace(grown, origin=container.Origin(other.digest, 3)),
        "another number": dataclasses.replace(grown, origin=container.Origin(master.digest, 2)),
        "other layers": dataclasses.replace(grown, layers=other.layers),
        "another old bias": dataclasses.replace(grown, tensors=grown.tensors | {"item_bias": np.ones(6, np.float32)}),
    }
    for name, lie in lies.items():
        path = tmp_path / f"{name}.chrm"
        lie.save(path)
        with pytest.raises(MasterError, match="says it has grown from; let that one grow again"):
            MasterWeights.load(path)


def test_what_a_catalogue_cannot_grow_by_is_refused() -> None:
    for rows, biases, sentence in [
        (_rows(0), None, r"give \[new items, 5\]"),
        (_rows(2, dim=4), None, r"give \[new items, 5\]"),
        (_rows(2), np.zeros(2, np.float32), "give a bias for each"),
        (np.full((1, 5), np.nan, np.float32), None, "item_embedding"),
    ]:
        with pytest.raises(MasterError, match=sentence):
            _master().grown(rows, biases)
    with pytest.raises(MasterError, match="give a bias for each"):
        _biased().grown(_rows(2))
    with pytest.raises(MasterError, match="'config/items' is 9, and the item table has 3"):
        dataclasses.replace(_master(), config=_master().config | {"items": 9}).grown(_rows(2))
    with pytest.raises(MasterError, match="cannot have grown from 3"):
        dataclasses.replace(_master(), origin=container.Origin(bytes(8), 3))
