# SPDX-License-Identifier: MIT
"""Reads ExecuTorch program files: what the check and the tests need of them.

Layout (ExecuTorch's schema/program.fbs and extended_header.h): a flatbuffer with
the identifier "ETxx", whose first 8 bytes are followed by the extended header,
then segments of plain bytes.  ExecuTorch's generated Python accessors fail on
nested tables in 1.5.1, hence 60 lines of flatbuffer here; neither torch nor
executorch is imported.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

_HEADER_AT = 8
_HEADER = struct.Struct("<4sIQQQ")  # magic, length, program, segments at, size

UPDATE = "executorch::update_cross_attn_cache.out"
ALIAS = "executorch::alias.out"


class ProgramError(ValueError):
    """A file that is no readable program, or one that must not run."""


class Table:
    """A flatbuffer table; fields by their place in the schema, from 0."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - self._read("<i", at)
        if not 0 <= self._vtable < len(data):
            raise ValueError("table outside the file")

    def _read(self, code: str, at: int) -> int:
        # struct takes a negative offset as one from the end.
        if at < 0:
            raise ValueError("offset outside the file")
        return struct.unpack_from(code, self._data, at)[0]

    def place(self, slot: int) -> int | None:
        """Where the field stands in the file; None where it has its default."""
        entry = 4 + 2 * slot
        if entry >= self._read("<H", self._vtable):
            return None
        offset = self._read("<H", self._vtable + entry)
        return self._at + offset if offset else None

    def number(self, slot: int, code: str = "<i", default: int = 0) -> int:
        at = self.place(slot)
        return default if at is None else self._read(code, at)

    def _follow(self, slot: int) -> int | None:
        at = self.place(slot)
        return None if at is None else at + self._read("<I", at)

    def table(self, slot: int) -> Table | None:
        at = self._follow(slot)
        return None if at is None else Table(self._data, at)

    def text(self, slot: int) -> str:
        at = self._follow(slot)
        if at is None:
            return ""
        count = self._read("<I", at)
        return bytes(self._data[at + 4 : at + 4 + count]).decode("utf-8", "replace")

    def _vector(self, slot: int, size: int) -> range:
        at = self._follow(slot)
        if at is None:
            return range(0)
        count = self._read("<I", at)
        if at + 4 + count * size > len(self._data):
            raise ValueError("vector outside the file")
        return range(at + 4, at + 4 + count * size, size)

    def numbers(self, slot: int, code: str = "<i") -> list[int]:
        places = self._vector(slot, struct.calcsize(code))
        return [self._read(code, at) for at in places]

    def tables(self, slot: int) -> list[Table]:
        places = self._vector(slot, 4)
        return [Table(self._data, at + self._read("<I", at)) for at in places]


@dataclass
class Segment:
    """A run of bytes behind the flatbuffer; `offset` counts from its end."""

    table: Table
    offset: int
    size: int


@dataclass
class Call:
    """An instruction: an operator's name, or delegate, move, jump, free."""

    name: str
    arguments: list[int]


@dataclass
class TensorValue:
    scalar_type: int
    sizes: list[int]
    constant: int  # index of its data, 0 for none
    planned: bool  # lies in memory that the runtime plans
    mutable_data: int  # index of its initial data, 0 for none
    name: str

    @property
    def read_only(self) -> bool:
        return self.constant != 0 and not self.planned


@dataclass
class Method:
    name: str
    values: list[object]  # TensorValue, int, bool, float, str or None
    inputs: list[int]
    outputs: list[int]
    calls: list[Call]
    planned_bytes: list[int]
    delegates: list[str]

    @property
    def constants(self) -> list[object] | None:
        """What a method without instructions or inputs gives back."""
        if self.calls or self.inputs:
            return None
        return [self.values[i] for i in self.outputs]


@dataclass
class Program:
    path: Path
    data: bytearray  # flatbuffer with header
    segments_at: int
    segments_size: int
    segments: list[Segment]
    constant_segment: int
    constant_offsets: list[int]
    named_data: dict[str, int]
    methods: dict[str, Method] = field(default_factory=dict)

    def pack_header(self) -> None:
        """Writes segments_size back into `data`."""
        magic, length, size, at, _ = _HEADER.unpack_from(self.data, _HEADER_AT)
        _HEADER.pack_into(
            self.data, _HEADER_AT, magic, length, size, at, self.segments_size
        )


def read_program(path: str | os.PathLike) -> Program:
    """Reads everything but the segments. Raises ProgramError, one line."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEADER_AT + _HEADER.size)
            if len(head) < 8 or head[4:6] != b"ET":
                raise ProgramError(f"{path}: not an ExecuTorch program")
            # A program without any segment may do without the header.
            program_size, at, segments_size = size, 0, 0
            if len(head) == _HEADER_AT + _HEADER.size and head[8:12] == b"eh00":
                _, _, program_size, at, segments_size = _HEADER.unpack_from(
                    head, _HEADER_AT
                )
            want = max(program_size, at + segments_size)
            if want > size:
                raise ProgramError(f"{path}: has {size} bytes, its header wants {want}")
            file.seek(0)
            data = bytearray(file.read(program_size))
    except OSError as error:
        raise ProgramError(f"{path}: {error.strerror}") from None
    try:
        return _parse(path, data, at, segments_size)
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise ProgramError(f"{path}: damaged program: {error}") from None


def _parse(path: Path, data: bytearray, at: int, segments_size: int) -> Program:
    root = Table(data, struct.unpack_from("<I", data, 0)[0])
    segments = [
        Segment(t, t.number(0, "<Q"), t.number(1, "<Q")) for t in root.tables(4)
    ]
    constants = root.table(5)
    program = Program(
        path=path,
        data=data,
        segments_at=at,
        segments_size=segments_size,
        segments=segments,
        constant_segment=constants.number(0, "<I") if constants else 0,
        constant_offsets=constants.numbers(1, "<Q") if constants else [],
        named_data={t.text(0): t.number(1, "<I") for t in root.tables(7)},
    )
    if program.constant_offsets:
        _index(program.constant_segment, segments)
    for index in program.named_data.values():
        _index(index, segments)
    if any(s.offset + s.size > segments_size for s in segments):
        raise ValueError("segment outside the file")
    for plan in root.tables(1):
        method = _method(plan)
        program.methods[method.name] = method
    return program


def _index(index: int, items: list) -> None:
    if not 0 <= index < len(items):
        raise ValueError(f"index {index} of {len(items)}")


def _method(plan: Table) -> Method:
    operators = []
    for operator in plan.tables(6):
        name, overload = operator.text(0), operator.text(1)
        operators.append(f"{name}.{overload}" if overload else name)
    calls = []
    for chain in plan.tables(5):
        calls += [_call(t, operators) for t in chain.tables(2)]
    values = [_value(t) for t in plan.tables(2)]
    inputs, outputs = plan.numbers(3), plan.numbers(4)
    for call in calls:
        # A delegate is no kernel, but takes values all the same.
        if call.name not in ("move", "jump", "free"):
            for index in call.arguments:
                _index(index, values)
    for index in inputs + outputs:
        _index(index, values)
    return Method(
        name=plan.text(0),
        values=values,
        inputs=inputs,
        outputs=outputs,
        calls=calls,
        planned_bytes=plan.numbers(8, "<q"),
        delegates=[t.text(0) for t in plan.tables(7)],
    )


def _call(instruction: Table, operators: list[str]) -> Call:
    kind, arguments = instruction.number(0, "<B"), instruction.table(1)
    if arguments is None:
        return Call("none", [])
    if kind == 1:
        return Call(operators[arguments.number(0)], arguments.numbers(1))
    if kind == 2:
        return Call("delegate", arguments.numbers(1))
    names = {3: "move", 4: "jump", 5: "free"}
    return Call(names.get(kind, "none"), [arguments.number(0), arguments.number(1)])


def _value(value: Table) -> object:
    kind, content = value.number(0, "<B"), value.table(1)
    if content is None or kind <= 1:
        return None
    if kind == 5:
        extra = content.table(9)
        return TensorValue(
            scalar_type=content.number(0, "<b"),
            sizes=content.numbers(2),
            constant=content.number(5, "<I"),
            planned=content.table(6) is not None,
            mutable_data=extra.number(0, "<Q") if extra else 0,
            name=extra.text(1) if extra else "",
        )
    if kind == 6:
        return content.text(0)
    scalars = {2: "<q", 3: "<?", 4: "<d"}
    return content.number(0, scalars[kind]) if kind in scalars else None


def check_program(program: Program) -> None:
    """Raises ProgramError where a cache update writes to constant data.

    Loaded from a file, constant data is mapped read-only: the update would end
    the process with SIGSEGV.
    """
    for method in program.methods.values():
        for index, call in enumerate(method.calls):
            if call.name != UPDATE or len(call.arguments) < 3:
                continue
            for what, value_index in zip(("cache", "out"), call.arguments[1:3]):
                value = method.values[value_index]
                if isinstance(value, TensorValue) and value.read_only:
                    label = f" '{value.name}'" if value.name else ""
                    raise ProgramError(
                        f"{program.path}: {method.name}: instruction {index}: "
                        f"{UPDATE} writes its {what}{label} {value.sizes} into "
                        "constant data, want a buffer declared as mutated"
                    )
