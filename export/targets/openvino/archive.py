"""OpenVINO's two files, ``model.xml`` and ``model.bin``, as one: a zip archive that any unzip takes apart for other programs.

The graph is deflated, thirty times smaller; weights are stored as they are. No dates, no attributes, one order: the same model gives the
same bytes.
"""

import io
import struct
import zipfile
import zlib

from chordkit.errors import CapabilityError

_GRAPH, _WEIGHTS = "model.xml", "model.bin"
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_END = 22  # bytes of the record that an archive without a remark ends in
_HEADER = 30  # bytes of the record that stands before an entry, whose last two numbers are the lengths of what follows it
_MOST_GRAPH = 64 << 20
"""Bytes of a graph: fifty times what the largest of ours has."""


def pack(graph: bytes, weights: bytes) -> bytes:
    """The file of a graph and its weights."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data, method in ((_GRAPH, graph, zipfile.ZIP_DEFLATED), (_WEIGHTS, weights, zipfile.ZIP_STORED)):
            entry = zipfile.ZipInfo(name, _NO_DATE)
            entry.create_system = 3  # as on Unix, wherever it is written
            archive.writestr(entry, data, method, 9)
    return file.getvalue()


def unpack(data: bytes) -> tuple[bytes, bytes]:
    """Graph and weights of a file.

    Raises:
        CapabilityError: it is no such file, or is damaged.
    """
    problem = problem_with(data)
    if problem is None:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return archive.read(_GRAPH), archive.read(_WEIGHTS)
        except _DAMAGE as error:
            problem = f"the file is damaged: {error}"
    raise CapabilityError(f"openvino: the runtime refuses the file ({problem}); export it again")


def weights_start(data: bytes) -> int:
    """Where in a file that :func:`unpack` takes its weights begin."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        header = archive.getinfo(_WEIGHTS).header_offset
    return header + _HEADER + sum(struct.unpack_from("<HH", data, header + _HEADER - 4))


def problem_with(data: bytes) -> str | None:
    """Why these bytes are no such file, told from its directory, or None."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries, remark = archive.infolist(), archive.comment
    except _DAMAGE as error:
        return f"the file is no zip archive: {error}"
    if [entry.filename for entry in entries] != [_GRAPH, _WEIGHTS]:
        return f"the file is no archive of {_GRAPH} and {_WEIGHTS}"
    graph, weights = entries
    if graph.header_offset or remark or data[-_END : -_END + 4] != b"PK\5\6":
        return "there is something before or behind the archive"
    if graph.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED) or weights.compress_type != zipfile.ZIP_STORED:
        return f"{_GRAPH} is not deflated or {_WEIGHTS} not stored"
    if graph.flag_bits & 1 or weights.flag_bits & 1:
        return "the archive is encrypted"
    if graph.file_size > _MOST_GRAPH or weights.file_size != weights.compress_size or weights.file_size > len(data):
        return "the sizes in the archive's directory are none that it can have"
    return None
