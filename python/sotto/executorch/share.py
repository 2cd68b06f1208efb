# SPDX-License-Identifier: MIT
"""Stores a weight once that a program and a delegate both hold.

Whisper's token embedding is also its output projection.  The lookup runs in the
portable kernels and finds the matrix in the program's constant segment; the
projection runs in XNNPACK, which finds it among the named data.  The exporter
knows no relation between the two, so the file holds it twice.

A segment of a .pte file is no more than an offset and a size.  So the second
copy can go: its segment is pointed at the same bytes inside the constant
segment, and everything behind moves up.  The runtime (1.5.1, program.cpp and
pte_data_map.cpp) adds offset and base and loads; it never compares segments.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from .pte import Program, Segment, read_program

# Smaller than this is not worth an unusual file.
LEAST_BYTES = 1 << 20

_BLOCK = 1 << 22


def share_constants(path: str | os.PathLike) -> int:
    """Removes named data that the constant segment holds too; bytes saved.

    Rewrites the file in place. Only whole, equal matrices of at least
    LEAST_BYTES are touched. Raises pte.ProgramError.
    """
    program = read_program(path)
    if not program.constant_offsets:
        return 0
    home = program.segments[program.constant_segment]
    starts = sorted(set(program.constant_offsets))
    saved = 0
    with open(path, "r+b") as file:
        for index in sorted(set(program.named_data.values())):
            segment = program.segments[index]
            if segment.size < LEAST_BYTES or _inside(segment, home):
                continue
            for start in starts:
                if start + segment.size > home.size:
                    break
                twin = home.offset + start
                if _equal(file, program.segments_at, twin, segment):
                    saved += _redirect(file, program, segment, twin)
                    break
        if saved:
            program.pack_header()
            file.seek(0)
            file.write(program.data)
    return saved


def _inside(segment: Segment, home: Segment) -> bool:
    """Whether it is shared already (or the constant segment itself)."""
    return home.offset <= segment.offset < home.offset + home.size


def _equal(file, base: int, twin: int, segment: Segment) -> bool:
    at, count = 0, 4096  # a short first look tells most pairs apart
    while at < segment.size:
        count = min(count, segment.size - at)
        file.seek(base + twin + at)
        first = file.read(count)
        file.seek(base + segment.offset + at)
        if first != file.read(count):
            return False
        at, count = at + count, _BLOCK
    return True


def _redirect(file, program: Program, segment: Segment, twin: int) -> int:
    """Points `segment` at `twin` and closes the gap it leaves."""
    later = [s for s in program.segments if s.offset > segment.offset]
    # The next segment's offset is aligned, and so stays what moves with it.
    end = min((s.offset for s in later), default=program.segments_size)
    gap = end - segment.offset
    _move_up(file, program.segments_at + end, gap)
    for other in later:
        _set_offset(program, other, other.offset - gap)
    _set_offset(program, segment, twin)
    program.segments_size -= gap
    file.truncate(program.segments_at + program.segments_size)
    return gap


def _set_offset(program: Program, segment: Segment, value: int) -> None:
    # Only a first segment may lack the field, and nothing stands before it.
    place = segment.table.place(0)
    assert place is not None, "the first segment never moves"
    struct.pack_into("<Q", program.data, place, value)
    segment.offset = value


def _move_up(file, start: int, distance: int) -> None:
    at = start
    while True:
        file.seek(at)
        block = file.read(_BLOCK)
        if not block:
            return
        file.seek(at - distance)
        file.write(block)
        at += len(block)
