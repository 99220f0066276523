"""Colour profiles, made from published numbers only: ICC.1:2001-04, matrices and a tone curve."""

import struct

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
# CSS Color 4: linear colours of each space to XYZ under D65, and D65 to D50 by Bradford.
SRGB_TO_XYZ = np.array(
    [
        [506752 / 1228815, 87881 / 245763, 12673 / 70218],
        [87098 / 409605, 175762 / 245763, 12673 / 175545],
        [7918 / 409605, 87881 / 737289, 1001167 / 1053270],
    ]
)
P3_TO_XYZ = np.array(
    [
        [608311 / 1250200, 189793 / 714400, 198249 / 1000160],
        [35783 / 156275, 247089 / 357200, 198249 / 2500400],
        [0, 32229 / 714400, 5220557 / 5000800],
    ]
)
D65_TO_D50 = np.array(
    [
        [1.0479297925449969, 0.022946870601609652, -0.05019226628920524],
        [0.02962780877005599, 0.9904344267538799, -0.017073799063418826],
        [-0.009243040646204504, 0.015055191490298152, 0.7518742814281371],
    ]
)
D50 = (0.9642, 1.0, 0.8249)


def display_p3() -> bytes:
    """Return the profile of Display P3, as phones write it into photographs."""
    columns = (D65_TO_D50 @ P3_TO_XYZ).T
    curve = struct.pack(">4s4xI1024H", b"curv", 1024, *(linear(np.linspace(0, 1, 1024)) * 65535).round().astype(int))
    tags = {
        b"desc": struct.pack(">4s4xI11s", b"desc", 11, b"Display P3\0") + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += padded
    size = start + len(body)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp").ljust(68, b"\0")
    header += struct.pack(">3I", *(round(value * 65536) for value in D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def p3_in_srgb(colours: npt.NDArray[np.integer]) -> Matrix:
    """Convert colours of Display P3 to sRGB, 0 to 255, clipped to its gamut; shape (…, 3)."""
    xyz = linear(colours / 255) @ P3_TO_XYZ.T
    return encoded_values(np.clip(xyz @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1)) * 255


def linear(values: Matrix) -> Matrix:
    """Decode values from 0 to 1 to linear light; both spaces have the same curve."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded_values(light: Matrix) -> Matrix:
    """Encode linear light; the inverse of `linear`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _xyz(values: object) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(value) * 65536) for value in values))  # type: ignore[attr-defined]
