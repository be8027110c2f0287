"""The number grid and the master weights (DESIGN.md, contract 1); numpy only."""

from chordkit.quantization.channels import ChannelLayer, ChannelTable
from chordkit.quantization.engine import ENGINE_ARCHITECTURES, engine_refusal
from chordkit.quantization.grid import RANGES, WIDTHS, QuantizedRows, ScalePolicy, dequantize_rows, derive_codes, narrowest, select_codes
from chordkit.quantization.master import MasterLayer, MasterWeights
from chordkit.quantization.packing import pack_codes, packed_row_bytes, unpack_codes
from chordkit.quantization.personal import PersonalModel, read_personal, write_personal
from chordkit.quantization.scales import quantize_rows
from chordkit.quantization.tables import QuantizedTable, dequantize_table, quantize_table

__all__ = [
    "ENGINE_ARCHITECTURES",
    "RANGES",
    "WIDTHS",
    "ChannelLayer",
    "ChannelTable",
    "MasterLayer",
    "MasterWeights",
    "PersonalModel",
    "QuantizedRows",
    "QuantizedTable",
    "ScalePolicy",
    "dequantize_rows",
    "dequantize_table",
    "derive_codes",
    "engine_refusal",
    "narrowest",
    "pack_codes",
    "packed_row_bytes",
    "quantize_rows",
    "quantize_table",
    "read_personal",
    "select_codes",
    "unpack_codes",
    "write_personal",
]
