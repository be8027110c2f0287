"""What is in a LiteRT file: its bytes, its operators, the permutations it absorbs, and what is refused."""

import sys

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, Reranker, SASRecConfig, build
from chordkit.backbones.architectures.gru4rec import GRU4RecConfig
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import CapabilityError, InputError, MissingRuntimeError
from chordkit.export.artifact import Activations, ArtifactSpec
from chordkit.export.program import export_program
from chordkit.export.targets import bytes_of, lower
from chordkit.export.targets.ledger import weights_of
from chordkit.export.targets.litert import REQUIRED_VERSION
from chordkit.export.targets.litert import flatbuffer as litert_flatbuffer
from chordkit.export.targets.litert import grouping as litert_grouping
from chordkit.export.targets.litert import lower as litert
from chordkit.export.targets.litert.describe import describe
from chordkit.export.targets.litert.flatbuffer import GraphSpec, OperatorSpec, Quantization, TensorSpec, serialize
from chordkit.export.targets.litert.graph import pack
from chordkit.quantization import pack_codes

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

pytestmark = pytest.mark.long

ITEMS, CANDIDATES = 500, 10
ONE_HEAD = SASRecConfig(items=ITEMS, heads=1)


def prepared(config, widths="mixed"):
    torch.manual_seed(5)
    master = make_master(build(config).eval())
    channels = master.channel_table.channels
    chosen = np.random.default_rng(0).choice([2, 4, 8], channels) if widths == "mixed" else np.full(channels, widths)
    return master, chosen.astype(np.uint8)


@pytest.fixture(scope="module")
def mixed():
    """A one-head SASRec with a random strategy: (program, master, widths)."""
    master, widths = prepared(ONE_HEAD)
    return export_program((master, widths), CANDIDATES), master, widths


def requests(count=4):
    """Some histories with padding, and candidates: the same ones at every call."""
    random = np.random.default_rng(0)
    for _ in range(count):
        history = np.zeros((1, 50), np.int32)
        history[0, 12:] = random.integers(1, ITEMS + 1, 38)
        yield history, random.integers(1, ITEMS + 1, (1, CANDIDATES)).astype(np.int32)


def scores(data):
    runner = interpreter.Interpreter(model_content=data, num_threads=1).get_signature_runner("serving_default")
    return np.concatenate([runner(history=history, candidates=candidates)["scores"] for history, candidates in requests()])


def reference_scores(backbone):
    module = Reranker(backbone)
    with torch.no_grad():
        return np.concatenate([module(torch.from_numpy(history), torch.from_numpy(ids)).numpy() for history, ids in requests()])


# --- permutations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activations", list(Activations))
def test_only_query_output_and_ffn2_of_a_single_head_need_a_gather(mixed, activations):
    exported, _, _ = mixed
    lookups = 4  # codes and scales of history and candidates
    folded = describe(litert.lower(exported, activations)).operators["GATHER"]
    plain = describe(litert.lower(exported, activations, fold_permutations=False)).operators["GATHER"]
    assert folded == lookups + 2 * 3
    assert plain == lookups + 2 * 6


@pytest.mark.parametrize("heads", [1, 2])
def test_absorbed_permutations_leave_the_scores_alone(heads):
    master, widths = prepared(SASRecConfig(items=ITEMS, heads=heads, activation="gelu"))
    exported = export_program((master, widths), CANDIDATES)
    folded, plain = (scores(litert.lower(exported, fold_permutations=fold)) for fold in (True, False))
    np.testing.assert_allclose(folded, plain, rtol=0, atol=1e-5 * np.abs(plain).max())


@pytest.mark.parametrize("broken", ["columns", "output"])
def test_half_an_absorbed_permutation_is_seen(mixed, monkeypatch, broken):
    exported, master, widths = mixed
    expected = reference_scores(from_master(master, widths))
    absorb = litert_grouping._absorb

    def half(orders, writer, reader):
        absorb(orders, writer, reader)
        if broken == "columns":
            orders[id(reader)].columns = np.sort(orders[id(reader)].columns)
        else:
            orders[id(writer)].output = np.sort(orders[id(writer)].output)

    assert np.abs(scores(litert.lower(exported)) - expected).max() < 1e-4 * np.abs(expected).max()
    monkeypatch.setattr(litert_grouping, "_absorb", half)
    assert np.abs(scores(litert.lower(exported)) - expected).max() > 0.05 * np.abs(expected).max()


# --- operators -------------------------------------------------------------------------------------------------------


def test_a_single_head_needs_no_transpose_no_reshape_and_no_activation_of_its_own():
    operators = describe(litert.lower(export_program(build(ONE_HEAD).eval(), CANDIDATES))).operators
    assert "TRANSPOSE" not in operators and "RESHAPE" not in operators and "RELU" not in operators
    # The last block's keys are a BATCH_MATMUL with the query; the scores' scale has no operator: 15 MULs belong to the
    # five norms, one to the padding mask, one to the candidates' scores.
    assert operators["FULLY_CONNECTED"] == 11 and operators["BATCH_MATMUL"] == 5 and operators["SOFTMAX"] == 2
    assert operators["MUL"] == 17
    assert sum(operators.values()) == 80


@pytest.mark.parametrize(("activations", "full"), [("fp32", 6), ("int8", 7)])
@pytest.mark.parametrize("heads", [1, 4])
def test_the_last_block_runs_no_layer_on_all_slots(heads, activations, full):
    exported = export_program(prepared(SASRecConfig(items=ITEMS, heads=heads), 8), CANDIDATES)
    loaded = interpreter.Interpreter(model_content=litert.lower(exported, activations), num_threads=1)
    shapes = {detail["index"]: detail["shape"] for detail in loaded.get_tensor_details()}
    layers = [operator for operator in loaded._get_ops_details() if operator["op_name"] == "FULLY_CONNECTED"]
    # Six layers in the first block; int8 activations need the keys of all slots in the last one.
    assert sum(np.prod(shapes[layer["outputs"][0]]) == 50 * 64 for layer in layers) == full


@pytest.mark.parametrize("widths", [None, 8, 4, "mixed"])
def test_xnnpack_takes_the_graph_in_one_piece(widths):
    source = build(ONE_HEAD).eval() if widths is None else prepared(ONE_HEAD, widths)
    loaded = interpreter.Interpreter(model_content=litert.lower(export_program(source, CANDIDATES)), num_threads=1)
    loaded.allocate_tensors()
    names = [operator["op_name"] for operator in loaded._get_ops_details()]
    assert names.count("DELEGATE") == 1


# --- bytes -----------------------------------------------------------------------------------------------------------


def ideal_bytes(master, widths):
    """Codes at their width and one scale each, biases, norms, embedding rows: nothing that could be left out."""
    table = master.channel_table
    payload = int((table.in_features.astype(np.int64) * np.where(widths == 0, 2, widths)).sum()) // 8
    scales = 4 * table.channels
    floats = sum(4 * layer.bias.size for layer in master.layers.values()) + sum(4 * tensor.size for tensor in master.tensors.values())
    rows = sum(embedding.codes.size + 4 * embedding.scales.size for embedding in master.embeddings.values())
    return payload + scales + floats + rows


@pytest.mark.parametrize("widths", [8, 2, "mixed"])
@pytest.mark.parametrize("config", [ONE_HEAD, CaserConfig(items=ITEMS)], ids=["sasrec", "caser"])
def test_a_file_is_its_weights_and_little_else(config, widths):
    master, chosen = prepared(config, widths)
    data = litert.lower(export_program((master, chosen), CANDIDATES))
    operators = sum(describe(data).operators.values())
    # Beside the weights: per operator and its tensor about 80 bytes of tables, an int64 zero-point for each scale of the longest
    # layer or group (the runtime insists on as many, vectors of equal length are shared), 2 bytes a channel for the order, the causal mask
    # as int2 codes, and alignment.
    structure = 80 * operators + 8 * (256 + 50) + 2 * chosen.size + 50 * 50 // 4 + 1024
    assert ideal_bytes(master, chosen) < len(data) < ideal_bytes(master, chosen) + structure


@pytest.mark.parametrize("quantised", [False, True])
def test_the_item_table_is_stored_once(quantised):
    source = prepared(ONE_HEAD, 8) if quantised else build(ONE_HEAD).eval()
    table = source[0].embeddings["item_embedding"].codes if quantised else source.item_embedding.weight.detach().numpy()
    data = litert.lower(export_program(source, CANDIDATES))
    assert data.count(table[1:9].tobytes()) == 1
    # Runners read the size of the catalogue from the tensor of this name.
    details = interpreter.Interpreter(model_content=data).get_tensor_details()
    assert [detail["shape"].tolist() for detail in details if detail["name"] == "item_embedding"] == [[ITEMS + 1, 64]]


def test_constants_are_aligned_for_mapping(mixed):
    data = litert.lower(mixed[0])
    model = litert_flatbuffer.schema().Model.GetRootAs(data, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 40 and all(start % 16 == 0 for start in starts)


def test_the_same_program_gives_the_same_bytes(mixed):
    assert litert.lower(mixed[0]) == litert.lower(mixed[0])


def test_the_kind_of_activations_does_not_matter_to_a_float_program():
    exported = export_program(build(ONE_HEAD).eval(), CANDIDATES)
    assert litert.lower(exported, "int8") == litert.lower(exported, "fp32")


@pytest.mark.parametrize("width", [2, 4, 8])
def test_packing_is_that_of_the_contract_where_rows_fill_bytes(width):
    low, high = {2: (-2, 1), 4: (-7, 7), 8: (-127, 127)}[width]
    codes = np.random.default_rng(0).integers(low, high + 1, (9, 12)).astype(np.int8)
    assert pack(codes, width) == pack_codes(codes, width).tobytes()


# --- description -----------------------------------------------------------------------------------------------------


def test_a_description_tells_what_is_in_the_file(mixed):
    exported, master, widths = mixed
    data = litert.lower(exported)
    described = describe(data)
    assert described.file_bytes == len(data)
    assert described.description == "chordkit"
    assert described.required_version == REQUIRED_VERSION == "2.3.0"
    assert described.inputs == {"history": [1, 50], "candidates": [1, CANDIDATES]}
    assert described.outputs == {"scores": [1, CANDIDATES]}
    in_features = master.channel_table.in_features
    for width in (2, 4):
        mask = 50 * 50 * 2 // 8 if width == 2 else 0
        assert described.tensors[f"INT{width}"].constant_bytes == (in_features[widths == width] * width).sum() // 8 + mask
    assert described.constant_bytes < len(data)


def test_a_file_of_another_kind_or_a_cut_one_is_refused(mixed):
    data = litert.lower(mixed[0])
    with pytest.raises(InputError, match=r"not a \.tflite file"):
        describe(b"PK\3\4" + data[4:8].lower() + data[8:])
    for length in (9, 100, 2000, 8000):
        with pytest.raises(InputError, match="damaged"):
            describe(data[:length])


# --- refusals --------------------------------------------------------------------------------------------------------


class Lookup(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(9, 4)


class Sine(Lookup):
    def forward(self, history):
        return torch.sin(self.table(history))


class FirstAxisSoftmax(Lookup):
    def forward(self, history):
        return torch.softmax(self.table(history), dim=1)


def small_program(module, dtype=torch.int32):
    return torch.export.export(module().eval(), (torch.ones(1, 4, dtype=dtype),))


def test_an_operator_without_a_lowering_is_named_with_the_place_where_it_stands():
    with pytest.raises(CapabilityError, match=r"aten\.sin\.default in sin \(Sine, test_litert_structure\.py line \d+\) has no lowering"):
        litert.lower(small_program(Sine))


def test_a_form_of_an_operator_without_a_lowering_is_named():
    with pytest.raises(CapabilityError, match=r"softmax.*not over the last axis"):
        litert.lower(small_program(FirstAxisSoftmax))


def test_ids_of_64_bits_are_refused():
    with pytest.raises(CapabilityError, match=r"history is torch\.int64; use int32"):
        litert.lower(small_program(Sine, torch.int64))


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    litert_flatbuffer.schema.cache_clear()
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingRuntimeError, match=r"pip install 'chordkit\[litert\]'"):
        lower(ArtifactSpec("litert", "fp32", CANDIDATES), build(ONE_HEAD).eval())
    litert_flatbuffer.schema.cache_clear()


# --- the writer alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 4])
def test_the_runtime_reads_packed_rows_that_do_not_fill_bytes(width):
    low, high = {2: (-2, 1), 4: (-7, 7)}[width]
    codes = np.random.default_rng(1).integers(low, high + 1, (3, 7)).astype(np.int8)
    scales = np.array([0.5, 2.0, 3.0], np.float32)
    weights = TensorSpec((3, 7), f"INT{width}", pack(codes, width), Quantization(scales))
    ids, table, rows = TensorSpec((1,), "INT32", name="ids"), TensorSpec((3, 7)), TensorSpec((1, 7), name="rows")
    graph = GraphSpec({"ids": ids}, {"rows": rows})
    graph.operators.append(OperatorSpec("DEQUANTIZE", [weights], [table], ("DequantizeOptions", {})))
    graph.operators.append(OperatorSpec("GATHER", [table, ids], [rows], ("GatherOptions", {})))
    runner = interpreter.Interpreter(model_content=serialize(graph, "2.3.0")).get_signature_runner()
    for row in range(3):
        np.testing.assert_array_equal(runner(ids=np.array([row], np.int32))["rows"][0], codes[row] * scales[row])


def test_a_layer_that_is_run_once_a_slot_stands_once():
    torch.manual_seed(0)
    master = make_master(build(GRU4RecConfig(items=50, max_length=12, dim=16, hidden=32)).eval())
    widths = np.random.default_rng(0).choice([2, 4, 8], master.channel_table.channels).astype(np.uint8)
    data = litert.lower(export_program((master, widths), 10))
    told = bytes_of("litert", data)
    for width in (2, 4, 8):
        assert told[weights_of(width)] == int((master.channel_table.in_features[widths == width].astype(np.int64) * width).sum()) // 8


@pytest.mark.parametrize("widths", [None, 8])
def test_a_file_without_narrow_weights_needs_no_new_runtime(widths):
    source = build(ONE_HEAD).eval() if widths is None else prepared(ONE_HEAD, widths)
    data = litert.lower(export_program(source, CANDIDATES))
    assert not {"INT2", "INT4", "INT16"} & set(describe(data).tensors)
    model = litert_flatbuffer.schema().Model.GetRootAs(data, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    versions = {code.BuiltinCode(): code.Version() for code in codes}
    names = litert_flatbuffer.schema().BuiltinOperator
    # What tflite-runtime 2.14 registers.
    assert versions[names.GATHER] <= 2 and versions.get(names.DEQUANTIZE, 1) <= 5
