"""From a record batch of histories to one of strategies: the bytes that the service answers, whatever a user stands beside."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa

from chordkit.errors import EnvelopeError, InputError
from chordkit.hypernetwork import load_hypernetwork, make_user_vectors
from chordkit.inputs import left_pad
from chordkit.jobs.batch import Worker
from chordkit.jobs.histories import Catalogue
from chordkit.jobs.job import Sealing
from chordkit.quantization import MasterWeights
from chordkit.strategy import average_bits, decode, decode_user_vector, open_envelope


def _batch(histories: list[Any], kind: Any = None, **columns: Any) -> Any:
    given = {"user": [f"u{place}" for place in range(len(histories))]} | columns
    lists = pa.array(histories, pa.list_(kind or pa.int32()))
    return pa.record_batch([*map(pa.array, given.values()), lists], names=[*given, "history"])


def test_a_row_has_what_the_service_answers_alone(material, served) -> None:
    histories = material.histories(150)
    for bits in (None, 2.5):
        made = Worker(material.job(budget=bits)).make(_batch(histories))
        assert made.schema.names == ["user", "strategy", "user_vector", "average_bits", "unknown_items"]
        assert made["user"].to_pylist() == [f"u{place}" for place in range(150)]
        assert made["strategy"].to_pylist() == served(histories, bits)
    master = MasterWeights.load(material.master)
    widths = [
        decode(each, fingerprint=master.fingerprint, channels=master.channel_table.channels).widths for each in made["strategy"].to_pylist()
    ]
    assert made["average_bits"].to_pylist() == pytest.approx([average_bits(each, master.channel_table) for each in widths], rel=1e-6)
    network, _ = load_hypernetwork(material.hypernetwork, master)
    expected = make_user_vectors(network, left_pad([np.array(each) for each in histories], 20))
    vectors = [decode_user_vector(each, fingerprint=master.fingerprint, dim=16).values for each in made["user_vector"].to_pylist()]
    assert np.array_equal(vectors, expected) and np.abs(expected).max() > 0


def test_bytes_do_not_depend_on_the_batch(material) -> None:
    worker, batch = Worker(material.job()), _batch(material.histories(203, 5))
    whole = worker.make(batch)
    for size in (1, 7, 64, 200):
        pieces = [worker.make(batch.slice(start, size)) for start in range(0, 203, size)]
        assert pa.Table.from_batches(pieces).combine_chunks().equals(pa.Table.from_batches([whole]))
    order = pa.array(np.random.default_rng(1).permutation(203))
    assert worker.make(batch.take(order)).equals(whole.take(order))


def test_only_the_known_items_count(material) -> None:
    worker = Worker(material.job())
    made = worker.make(_batch([[1, 41, 2, None, 0, 3, -7], [1, 2, 3], [], None, [99], [0]]))
    assert made["unknown_items"].to_pylist() == [3, 0, 0, 0, 1, 0]
    first, second, *rest = made["strategy"].to_pylist()
    assert first == second is not None and rest == [None] * 4
    assert made["average_bits"].null_count == made["user_vector"].null_count == 4
    nameless = worker.make(_batch([[1, 2, 3], [4]], user=pa.array([None, 7])))
    assert nameless["strategy"].is_null().to_pylist() == [True, False] and nameless["user"].to_pylist() == [None, 7]


@pytest.mark.parametrize("history", [[], [1] * 21, [3, 2, 1]], ids=["none", "long", "short"])
def test_every_form_of_lists_is_read(history: list[int]) -> None:
    catalogue, window = Catalogue(40, None), 20
    forms = [
        pa.list_(pa.int64()),
        pa.large_list(pa.uint8()),
        pa.list_(pa.dictionary(pa.int8(), pa.int16())),
        pa.list_(pa.int32(), len(history)),
    ]
    for form in forms:
        catalogue.require_type("history", form)
        lists = pa.array([history, None, history, history], form)
        for sliced, users in ((lists, 4), (lists.slice(1, 2), 2)):
            found = catalogue.histories(sliced)
            taken = np.diff(found.ends, prepend=0) > 0
            expected = left_pad([np.array(history, np.int32)] * int(taken.sum()), window)
            assert len(found.ends) == users and np.array_equal(found.padded(taken, window), expected), form


def test_the_owners_ids_are_looked_up(material, tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"item": material.ids}), tmp_path / "items.parquet")
    named = Worker(material.job(items=tmp_path / "items.parquet"))
    histories = material.histories(50)
    texts = [[material.ids[item - 1] for item in each] + ["gone", None] for each in histories]
    plain = Worker(material.job()).make(_batch(histories))
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        made = named.make(_batch(texts, kind))
        assert made["strategy"].equals(plain["strategy"]) and made["unknown_items"].to_pylist() == [2] * 50
    # Whole numbers are ids too: 1,000 is the first item's.
    pq.write_table(pa.table({"item": range(1000, 1040)}), tmp_path / "numbers.parquet")
    numbered = Worker(material.job(items=tmp_path / "numbers.parquet"))
    assert numbered.make(_batch([[item + 999 for item in each] for each in histories]))["strategy"].equals(plain["strategy"])
    pq.write_table(pa.table({"item": ["a", "a"]}), tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="is missing or there twice"):
        material.job(items=tmp_path / "twice.parquet")
    pq.write_table(pa.table({"item": ["a", "b"]}), tmp_path / "two.parquet")
    with pytest.raises(InputError, match="2 item ids do not fit master weights of 40 items"):
        material.job(items=tmp_path / "two.parquet")


def test_envelopes_are_for_their_users(material) -> None:
    def opened(envelope: Any, **wanted: Any) -> Any:
        return open_envelope(envelope.as_py(), material.folder / "key.pub.pem", fingerprint=None, **wanted)

    histories = [[1, 2], [], [3]]
    bare = Worker(material.job()).make(_batch(histories))
    sealed = Worker(material.job(sealing=Sealing(material.key, 20261127))).make(_batch(histories))
    for place in (0, 2):
        for column in ("strategy", "user_vector"):
            found = opened(sealed[column][place], subject=f"u{place}".encode(), minimum_serial=20261127)
            assert found.payload == bare[column][place].as_py()
    assert sealed["strategy"][1].as_py() is None
    named = Worker(material.job(sealing=Sealing(material.key, 1, "install")))
    made = named.make(_batch([[1], [2]], install=pa.array([b"\0" * 16, b"\1" * 16])))
    assert opened(made["strategy"][1]).subject == b"\1" * 16
    nobody = Worker(material.job(sealing=Sealing(material.key, 1, ""))).make(_batch([[1]]))
    assert opened(nobody["strategy"][0]).subject == b""
    for wrong, said in ((None, "is missing"), ("x" * 25, "has 25 bytes, and a subject 1 to 24"), ("", "has 0 bytes")):
        with pytest.raises(EnvelopeError, match=said):
            named.make(_batch([[1], [2]], install=pa.array([wrong, "fine"])))
    with pytest.raises(InputError, match="serial: 0 is outside"):
        Sealing(material.key, 0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"user": pa.string()}, "no column 'history' among 'user'"),
        ({"user": pa.float64(), "history": pa.list_(pa.int32())}, "'user' is double; a user's id is text or a whole number"),
        ({"user": pa.string(), "history": pa.string()}, "'history' is string, not a list"),
        ({"user": pa.string(), "history": pa.list_(pa.float32())}, "'history' holds lists of float"),
        ({"user": pa.string(), "history": pa.list_(pa.string())}, "'history' holds ids as text; say with `items`"),
    ],
)
def test_another_table_is_refused_by_its_column(material, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Worker(material.job()).require_schema(pa.schema(columns))
