"""A shared object written by Python itself: no compiler and no linker are needed.

MindSpore opens a library by its file name and looks a kernel up by its name. What it finds here is
a few bytes of machine code that load two numbers and jump: the address of the function that starts
every kernel, and, in the register of the sixth argument, the address of what that function is to
know of this kernel. MindSpore passes a stream in that argument, which on the CPU is always null.
The addresses are of this process, so a file serves one process and is not kept.

The layout is that of the ELF specification: a header, one segment that may be executed (hash table,
symbols, names, code) and one with the dynamic section, and no sections.
"""

import struct

STUB_BYTES = 32
SONAME = b"native.so\0"
ELF_HEADER, PROGRAM_HEADER, SYMBOL = 64, 56, 24
PT_LOAD, PT_DYNAMIC = 1, 2
READ, WRITE, EXECUTE = 4, 2, 1
DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 4, 5, 6, 10, 11, 14
GLOBAL_FUNCTION = 0x12


def jump_x86_64(entry: int, kernel: int) -> bytes:
    """movabs r9, kernel; movabs rax, entry; jmp rax."""
    return (
        b"\x49\xb9"
        + struct.pack("<Q", kernel)
        + b"\x48\xb8"
        + struct.pack("<Q", entry)
        + (b"\xff\xe0")
    )


def jump_aarch64(entry: int, kernel: int) -> bytes:
    """ldr x5, kernel; ldr x16, entry; br x16; nop; the two numbers. Written, but never run."""
    code = struct.pack("<IIII", 0x58000085, 0x580000B0, 0xD61F0200, 0xD503201F)
    return code + struct.pack("<QQ", kernel, entry)


# Machine: ELF's number for it, its largest page, its jump.
MACHINES = {"x86_64": (62, 0x1000, jump_x86_64), "aarch64": (183, 0x10000, jump_aarch64)}


def shared_object(entry: int, kernels: dict[str, int], machine: str) -> bytes:
    """The bytes of a library in which each name of `kernels` calls `entry` with its number.

    Args:
        entry: address of the function that all names jump to.
        kernels: name -> the sixth argument of that function.
        machine: one of MACHINES.
    """
    number, page, jump = MACHINES[machine]
    names, name_offsets = b"\0", []
    for name in kernels:
        name_offsets.append(len(names))
        names += name.encode() + b"\0"
    soname = len(names)
    names += SONAME
    hash_table = _hash_table(len(kernels) + 1)
    hash_at = ELF_HEADER + 3 * PROGRAM_HEADER
    symbols_at = _round_up(hash_at + len(hash_table), 16)
    names_at = symbols_at + SYMBOL * (len(kernels) + 1)
    code_at = _round_up(names_at + len(names), STUB_BYTES)
    code_end = code_at + STUB_BYTES * len(kernels)
    dynamic_at = _round_up(code_end, page)
    symbols, code = bytes(SYMBOL), b""
    for offset, kernel in zip(name_offsets, kernels.values()):
        place = code_at + len(code)
        symbols += struct.pack("<IBBHQQ", offset, GLOBAL_FUNCTION, 0, 1, place, STUB_BYTES)
        code += jump(entry, kernel).ljust(STUB_BYTES, b"\0")
    entries = [(DT_SONAME, soname), (DT_HASH, hash_at), (DT_STRTAB, names_at)]
    entries += [(DT_SYMTAB, symbols_at), (DT_STRSZ, len(names)), (DT_SYMENT, SYMBOL), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    headers = _elf_header(number)
    headers += _program_header(PT_LOAD, READ | EXECUTE, 0, code_end, page)
    headers += _program_header(PT_LOAD, READ | WRITE, dynamic_at, len(dynamic), page)
    headers += _program_header(PT_DYNAMIC, READ | WRITE, dynamic_at, len(dynamic), 8)
    image = bytearray(dynamic_at + len(dynamic))
    for place, part in (
        (0, headers), (hash_at, hash_table), (symbols_at, symbols), (names_at, names),
        (code_at, code), (dynamic_at, dynamic),
    ):  # fmt: skip
        image[place : place + len(part)] = part
    return bytes(image)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _elf_header(machine: int) -> bytes:
    """Of a 64-bit little-endian shared object with three program headers."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    return head + struct.pack(
        "<HHIQQQIHHHHHH",
        3,
        machine,
        1,
        0,
        ELF_HEADER,
        0,
        0,
        ELF_HEADER,
        PROGRAM_HEADER,
        3,
        64,
        0,
        0,
    )


def _program_header(kind: int, flags: int, place: int, size: int, alignment: int) -> bytes:
    """A segment that lies in memory as it does in the file."""
    return struct.pack("<IIQQQQQQ", kind, flags, place, place, place, size, size, alignment)


def _hash_table(n_symbols: int) -> bytes:
    """Of one bucket, whose chain holds all symbols: a kernel is looked up once."""
    chain = [*range(2, n_symbols), 0] if n_symbols > 1 else []
    first = 1 if n_symbols > 1 else 0
    return struct.pack(f"<IIII{len(chain)}I", 1, n_symbols, first, 0, *chain)
